import { isA, isIgnored, isWithin, labelOf, PRIVATE, selectorOf } from "./element";
import { guard, listen } from "./guard";
import { cleanHref } from "./redact";

const MAX_HREF_CHARS = 2_000;
const LINK = "a[href],area[href]";
const INTERACTIVE =
  LINK +
  ",button,input,select,textarea,label,summary,option," +
  "[role=button],[role=link],[role=tab],[role=menuitem],[role=checkbox],[role=switch]";
/** Components that are controls themselves, with a role that no attribute tells. */
const COMPONENT = /-(button|ary-tab|link|chip)$/;
const FILE = /\.(pdf|zip|(doc|xls|ppt)x?|csv|txt|epub|dmg|exe|msi|apk|pkg|iso|gz|7z|rar|mp[34]|mov|avi|wav)$/i;

/** Record every click, told about the nearest control around it; `leaves` where another site or a file follows. */
export function watchClicks(record: (properties: { [name: string]: unknown }, leaves?: boolean) => void): void {
  /** What was clicked last: a page that keeps a press from its field may pass it on itself. */
  let last: Element | undefined;
  function clicked(event: MouseEvent): void {
    // The composed path sees into open shadow roots, where `target` stops at the host.
    // Document and window end it, and may have anything under an element's names. Prototype.js before 1.6.0.3 puts an
    // `Element` of its own in the browser's place. A slot is only where a component shows what the page put into it.
    const path: Element[] = (event.composedPath().slice(0, -2) as HTMLSlotElement[]).filter((node) => node.localName && !node.assignedNodes);
    if (!path[0] || isIgnored(path[0])) return;
    const control = path.find((element) => isA(element, INTERACTIVE) || (element.shadowRoot && COMPONENT.test(element.localName)));
    // Components have something else of that name, and ASP.NET Ajax has objects.
    const field = control && isA(control, "label") && (control as HTMLLabelElement).control;
    const pressesField = field && field.matches?.(":enabled");
    last = path[0];
    const target = control || path[0];
    const link = path.find((element) => isA(element, LINK)) as HTMLAnchorElement | undefined;
    // An SVG link's href is an object; its attribute is text everywhere.
    const href = (link && (typeof link.href === "string" ? link.href : link.getAttribute("href"))) || undefined;
    const outbound = (/^http/.test(link?.protocol!) && link!.host !== location.host) || undefined;
    const download = link?.hasAttribute("download") || FILE.test(link?.pathname!) || undefined;
    const box = target.getBoundingClientRect();
    const tell = () => record(
      // JSON leaves undefined fields out.
      {
        selector: selectorOf(target),
        tag: target.localName,
        // Only controls have text worth telling: a click beside them would take the whole page's. What a visitor
        // chooses is none.
        text: (control && !pressesField && !isWithin(path[0], PRIVATE) && labelOf(control)) || undefined,
        href: href && cleanHref(href).slice(0, MAX_HREF_CHARS),
        outbound,
        download,
        // `detail` counts presses of a pointer: Enter on a button clicks with none, at 0/0.
        ...((event.detail || event.button) && {
          x: event.pageX | 0,
          y: event.pageY | 0,
          elementX: (event.clientX - box.left) | 0,
          elementY: (event.clientY - box.top) | 0,
        }),
      },
      outbound || download,
    );
    // The field that a label presses tells of the press, if the page lets it.
    if (pressesField) setTimeout(guard(() => event.defaultPrevented && last !== field && tell()));
    else tell();
  }
  listen(window, "click", clicked);
  // The middle button opens a link in another tab.
  listen(window, "auxclick", (event: MouseEvent) => event.button === 1 && clicked(event));
}
