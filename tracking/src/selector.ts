const MAX_STEPS = 5;

/** A short CSS path that finds the element again: from the nearest id, at most five steps. */
export function selectorOf(element: Element): string {
  const steps: string[] = [];
  let at: Element | null = element;
  while (at && steps.length < MAX_STEPS) {
    const id = at.getAttribute("id");
    if (id) {
      steps.unshift("#" + CSS.escape(id));
      break;
    }
    steps.unshift(step(at));
    at = at.parentElement;
  }
  return steps.join(" > ");
}

function step(element: Element): string {
  const tag = element.localName;
  const siblings = element.parentElement
    ? [...element.parentElement.children].filter((other) => other.localName === tag)
    : [];
  return siblings.length > 1 ? `${tag}:nth-of-type(${siblings.indexOf(element) + 1})` : tag;
}
