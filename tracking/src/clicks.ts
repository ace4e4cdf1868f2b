import { guard } from "./guard";
import { selectorOf } from "./selector";

/** What is told about a click. */
export interface ClickProperties {
  selector: string;
  tag: string;
  text?: string;
  href?: string;
  outbound?: true;
  download?: true;
  /** From the document's left and top edge, in CSS pixels; absent for a click by keyboard. */
  x?: number;
  y?: number;
  /** From the element's left and top edge. */
  elementX?: number;
  elementY?: number;
}

const MAX_TEXT_CHARS = 100;
const MAX_HREF_CHARS = 2_000;
const IGNORED = "[data-sluice-ignore]";
const INTERACTIVE =
  "a[href],area[href],button,input,select,textarea,label,summary,option," +
  "[role=button],[role=link],[role=tab],[role=menuitem],[role=checkbox],[role=switch],[onclick]";
const HOLDS_INPUT = "input,select,textarea,option,[contenteditable]";

export function watchClicks(record: (properties: ClickProperties) => void): void {
  // Capturing: a page that stops propagation still had the click.
  document.addEventListener(
    "click",
    guard((event: MouseEvent) => {
      const properties = describeClick(event);
      if (properties) record(properties);
    }),
    { capture: true, passive: true },
  );
}

/** The click's properties; nothing where the page asks to be ignored. */
function describeClick(event: MouseEvent): ClickProperties | undefined {
  // The composed path sees into open shadow roots, where `target` stops at the host.
  const path = event.composedPath().filter((node) => node instanceof Element);
  if (!path[0] || path.some((element) => element.matches(IGNORED))) return undefined;

  const element = path.find((candidate) => candidate.matches(INTERACTIVE));
  const target = element || path[0];
  const properties: ClickProperties = { selector: selectorOf(target), tag: target.localName };
  if (element) {
    // Only controls have text worth telling: a click beside them would take the whole page's.
    const text = textOf(element);
    if (text) properties.text = text;
    const link = element.closest("a[href],area[href]") as HTMLAnchorElement | null;
    if (link) describeLink(link, properties);
  }
  // `detail` counts presses of a pointer: Enter on a button clicks with none, at 0/0.
  if (event.detail) {
    const box = target.getBoundingClientRect();
    properties.x = Math.round(event.pageX);
    properties.y = Math.round(event.pageY);
    properties.elementX = Math.round(event.clientX - box.left);
    properties.elementY = Math.round(event.clientY - box.top);
  }
  return properties;
}

function describeLink(link: HTMLAnchorElement, properties: ClickProperties): void {
  // An SVG link's href is an object; its attribute is text everywhere.
  const href = typeof link.href === "string" ? link.href : link.getAttribute("href") || "";
  properties.href = href.slice(0, MAX_HREF_CHARS);
  if (/^https?:$/.test(link.protocol) && link.host !== location.host) properties.outbound = true;
  if (link.hasAttribute("download")) properties.download = true;
}

/** The control's label; never anything typed or chosen by the visitor. */
function textOf(element: Element): string {
  if (element.closest(HOLDS_INPUT)) return "";
  const holdsPrivate = element.querySelector(HOLDS_INPUT + "," + IGNORED);
  const text = (!holdsPrivate && element.textContent) || element.getAttribute("aria-label") || "";
  return text.replace(/\s+/g, " ").trim().slice(0, MAX_TEXT_CHARS);
}
