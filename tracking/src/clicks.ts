import { isA, isIgnored, isWithin, labelOf, PRIVATE, selectorOf } from "./element";
import { guard, listen } from "./guard";
import { cleanHref } from "./redact";

const MAX_HREF_CHARS = 2_000;
// SVG's, too.
const LINK = ":any-link";
const INTERACTIVE =
  LINK +
  ",button,input,select,textarea,label,summary,option," +
  "[role=button],[role=link],[role=tab],[role=menuitem],[role=checkbox],[role=switch]";
/** A page may pass a label's press on a little later. */
const PASSED_ON_MS = 20;
/** Components that are controls themselves, with a role that no attribute tells. */
const COMPONENT = /-(button|ary-tab|link|chip)$/;
const FILE = /^[^?#]*\.(pdf|zip|(doc|xls|ppt)x?|csv|txt|epub|dmg|exe|msi|apk|pkg|iso|gz|7z|rar|mp[34]|mov|avi|wav)(?![^?#])/i;

/** Record every click, told about the nearest control around it; `leaves` where another site or a file follows. */
export function watchClicks(record: (properties: { [name: string]: unknown }, leaves?: boolean) => void): void {
  let last: Element | undefined;
  function clicked(event: MouseEvent): void {
    // The composed path sees into open shadow roots, where `target` stops at the host.
    // Document and window end it, and may have anything under an element's names. Prototype.js before 1.6.0.3 puts an
    // `Element` of its own in the browser's place.
    const path = (event.composedPath().slice(0, -2) as HTMLSlotElement[]).filter((node) => node.localName);
    const pressed = path[0];
    // What a page sends to the document presses nothing.
    last = pressed || last;
    if (!pressed || isIgnored(pressed)) return;
    const control = path.find((element) => isA(element, INTERACTIVE) || (element.shadowRoot && COMPONENT.test(element.localName)));
    // Other elements may have anything of that name: ASP.NET Ajax has objects.
    const pressesField = control && isA(control, "label") && (control as Partial<HTMLLabelElement>).control?.matches(":enabled");
    // A slot is only where a component shows what the page put into it.
    const target = control || path.find((element) => !element.assignedNodes)!;
    const link = path.find((element) => isA(element, LINK)) as HTMLAnchorElement | undefined;
    // An SVG link's href is an object. Of mailto and the like only the kind is left, which leads to no site or file.
    const href = link && cleanHref((link.href as string & { baseVal?: string }).baseVal ?? link.href);
    const outbound = (/^https?:/.test(href!) && href!.split("/")[2] !== location.host) || undefined;
    const download = link?.hasAttribute("download") || FILE.test(href!) || undefined;
    const box = target.getBoundingClientRect();
    // JSON leaves undefined fields out.
    const properties = {
      selector: selectorOf(target),
      tag: target.localName,
      // Only controls have text worth telling: a click beside them would take the whole page's. What a visitor
      // chooses is none.
      text: (control && !pressesField && !isWithin(pressed, PRIVATE) && labelOf(control)) || undefined,
      href: href?.slice(0, MAX_HREF_CHARS),
      outbound,
      download,
      // `detail` counts presses of a pointer: Enter on a button clicks with none, at 0/0.
      ...((event.detail || event.button) && {
        x: event.pageX | 0,
        y: event.pageY | 0,
        elementX: (event.clientX - box.left) | 0,
        elementY: (event.clientY - box.top) | 0,
      }),
    };
    const tell = () => record(properties, outbound || download);
    // What a label presses tells of the press, if something is clicked by it: its field, or what the page passes it on to.
    if (pressesField) setTimeout(guard(() => last === pressed && tell()), PASSED_ON_MS);
    else tell();
  }
  listen(window, "click", clicked);
  // The middle button opens a link in another tab.
  listen(window, "auxclick", (event: MouseEvent) => event.button === 1 && clicked(event));
}
