import { cleanUrl, redact } from "./redact";

const MAX_STEPS = 5;
const MAX_TEXT_CHARS = 100;
const MAX_READ_CHARS = 999;
export const IGNORED = "[data-sluice-ignore]";
/** Fields and editors, documents that can be written into among them. */
export const HOLDS_INPUT = "input,select,textarea,option,:read-write";
/** Editors that are locked, too: what was written there may be shown still. */
export const PRIVATE = HOLDS_INPUT + ",[contenteditable],[data-sluice-mask]," + IGNORED;

/** A short CSS path that finds the element again: from the nearest id, at most five steps. */
export function selectorOf(element: Element): string {
  const steps: string[] = [];
  for (let at: Element | null = element; at && steps.length < MAX_STEPS; at = at.parentElement) {
    const id = at.getAttribute("id");
    steps.unshift(id ? "#" + CSS.escape(id) : at.localName + placeOf(at));
    if (id) break;
  }
  return cleanUrl(steps.join(" > "));
}

/** Which of its kind it is, where there are several. */
function placeOf(element: Element): string {
  const before = countAlike(element, "previousElementSibling");
  return before + countAlike(element, "nextElementSibling") ? `:nth-of-type(${before + 1})` : "";
}

// Not the parent's children: a form's are hidden by a field that is called so.
function countAlike(element: Element, side: "previousElementSibling" | "nextElementSibling"): number {
  let count = 0;
  for (let other = element[side]; other; other = other[side]) if (other.localName === element.localName) count++;
  return count;
}

/** Is the element, or one around it, such a one? Seen from within open shadow roots, too. */
function isWithin(element: Element, kind: string): boolean {
  const root = element.getRootNode();
  return !!element.closest(kind) || (root instanceof ShadowRoot && isWithin(root.host, kind));
}

/** Is the element, or one around it, marked to be left alone? */
export function isIgnored(element: Element): boolean {
  return isWithin(element, IGNORED);
}

/** A control's label, redacted; never anything typed or chosen by the visitor, nor what is masked. */
export function labelOf(element: Element): string {
  if (isWithin(element, PRIVATE)) return "";
  const text = (!element.querySelector(PRIVATE) && element.textContent) || element.getAttribute("aria-label") || "";
  return redact(text.slice(0, MAX_READ_CHARS).replace(/\s+/g, " ").trim()).slice(0, MAX_TEXT_CHARS);
}
