import { redact } from "./redact";

const MAX_STEPS = 5;
const MAX_TEXT_CHARS = 100;
const MAX_READ_CHARS = 999;
export const IGNORED = "[data-sluice-ignore]";
export const HOLDS_INPUT = "input,select,textarea,option,[contenteditable]";
const PRIVATE = HOLDS_INPUT + ",[data-sluice-mask]," + IGNORED;

/** A short CSS path that finds the element again: from the nearest id, at most five steps. */
export function selectorOf(element: Element): string {
  const steps: string[] = [];
  for (let at: Element | null = element; at && steps.length < MAX_STEPS; at = at.parentElement) {
    const id = at.getAttribute("id");
    const alike = [...(at.parentElement || at).children].filter((other) => other.localName === at!.localName);
    steps.unshift(
      id ? "#" + CSS.escape(id) : at.localName + (alike[1] ? `:nth-of-type(${alike.indexOf(at) + 1})` : ""),
    );
    if (id) break;
  }
  return steps.join(" > ");
}

/** Is the element, or one around it, marked to be left alone? */
export function isIgnored(element: Element): boolean {
  return !!element.closest(IGNORED);
}

/** A control's label, redacted; never anything typed or chosen by the visitor, nor what is masked. */
export function labelOf(element: Element): string {
  if (element.closest(PRIVATE)) return "";
  const text = (!element.querySelector(PRIVATE) && element.textContent) || element.getAttribute("aria-label") || "";
  return redact(text.slice(0, MAX_READ_CHARS).replace(/\s+/g, " ").trim()).slice(0, MAX_TEXT_CHARS);
}
