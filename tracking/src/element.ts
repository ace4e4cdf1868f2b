import { attempt } from "./guard";
import { cleanUrl, redact } from "./redact";

const MAX_STEPS = 5;
const MAX_TEXT_CHARS = 100;
const MAX_READ_CHARS = 999;
export const IGNORED = "[data-sluice-ignore]";
/** Fields and editors, documents that can be written into among them. */
export const HOLDS_INPUT = "input,select,textarea,option,:read-write";
/** Editors that are locked, too: what was written there may be shown still. And what is to be chosen. */
export const PRIVATE = HOLDS_INPUT + ",[contenteditable],[role*=radio i],[role*=box i],[role=option i],[role=switch i],[aria-haspopup=listbox i],[data-sluice-mask]," + IGNORED;

/**
 * A short CSS path that finds the element again: from the nearest id, at most five steps. In an open
 * shadow root it is that of the host, and goes on within.
 */
export function selectorOf(element: Element): string {
  const steps: string[] = [];
  for (let at: Element | false = element; at && steps.length < MAX_STEPS; ) {
    const id = at.getAttribute("id");
    steps.unshift(id ? "#" + escaped(id) : escaped(at.localName) + placeOf(at));
    at = (!id && around(at, "parentElement")) || hostOf(at);
  }
  return cleanUrl(steps.join(" > "));
}

/** As CSS has it; as it is where the page has a `CSS` of its own. */
function escaped(name: string): string {
  return attempt(() => CSS.escape(name)) || name;
}

/** Of the open shadow root that it is in. Documents and links have a `host` of their own. */
function hostOf(element: Element): Element | false {
  const root = element.getRootNode();
  return root instanceof ShadowRoot && root.host;
}

/** Which of its kind it is, where there are several. */
function placeOf(element: Element): string {
  let place = 0;
  for (let at: Element | null = element; at; at = around(at, "previousElementSibling")) place += +(at.localName === element.localName);
  // Not every WebKit says it of a root.
  return isA(element, ":root,:only-of-type") ? "" : `:nth-of-type(${place})`;
}

/** Whether a selector matches. Not by a form's own method: a field called so would hide it. */
export function isA(element: Element, kind: string): boolean {
  return HTMLElement.prototype.matches.call(element, kind);
}

/** What is beside, around or in it. Not by a form's own property either: it may lead in a circle. */
function around(element: Element, name: "assignedSlot" | "parentElement" | "previousElementSibling"): Element | null;
function around(element: Element, name: "childNodes"): NodeListOf<ChildNode>;
function around(element: Element, name: string): unknown {
  return Reflect.get(HTMLElement.prototype, name, element);
}

/** Is the element, or one around it as the page shows it, such a one? Components are seen into and out of. */
export function isWithin(element: Element | null | undefined, kind: string): boolean {
  for (let at: Element | false | null | undefined = element; at; at = around(at, "assignedSlot") || around(at, "parentElement") || hostOf(at)) if (isA(at, kind)) return true;
  return false;
}

/** Is the element, or one around it, marked to be left alone? */
export function isIgnored(element: Element): boolean {
  return isWithin(element, IGNORED);
}

/** A control's label, redacted; never anything typed or chosen by the visitor, nor of what holds something masked. */
export function labelOf(element: Element): string {
  const text = shownIn(element as Shown).trim() || element.getAttribute("aria-label") || "";
  if (/\0/.test(text) || isWithin(element, PRIVATE)) return "";
  return redact(text.replace(/\s+/g, " ").slice(0, MAX_READ_CHARS)).trim().slice(0, MAX_TEXT_CHARS);
}

/** Text, or an element, which may be a slot. */
type Shown = Text & HTMLSlotElement;

/** The text as the page shows it: within components, and what is put into their slots; \0 for what is not to be told. */
function shownIn(node: Shown): string {
  if (node.nodeType === 3) return node.data;
  // A comment has no name.
  if (!node.localName || isA(node, "style,script,noscript")) return "";
  if (isA(node, PRIVATE)) return "\0";
  // A slot that nothing is put into shows its own. Components have something else of its method's name.
  const put = isA(node, "slot") && node.assignedNodes();
  const parts = put && put[0] ? put : around((node.shadowRoot || node) as Element, "childNodes");
  const text = ([...parts] as Shown[]).map(shownIn).join("");
  // What the page shows apart is no one word: nothing would be found in it.
  return put || node.shadowRoot || isA(node, "div,p,li") ? ` ${text} ` : text;
}
