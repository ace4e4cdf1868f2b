import { HOLDS_INPUT, IGNORED, isA, PRIVATE } from "./element";
import { guard, listen } from "./guard";
import { redact } from "./redact";

const SETTLES_MS = 700;
const MAX_TEXT_CHARS = 200;

/** Record what is selected and copied: how long it is, and its text only where the page asks for it. */
export function watchSelection(
  record: (eventType: string, properties: { [name: string]: unknown }) => void,
  withText: boolean,
): void {
  let last: string;
  let timer: ReturnType<typeof setTimeout>;

  /** What is selected in a field was typed there, in a shadow root's too. */
  function isTyped(event: UIEvent): boolean {
    let focused = document.activeElement;
    while (focused?.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
    return ([...event.composedPath().slice(0, -2), focused] as Element[]).some((node) => node?.localName && isA(node, HOLDS_INPUT));
  }

  function tell(eventType: string): void {
    const selection = getSelection()!;
    const text = String(selection);
    const isTold = eventType === "text_select" && text === last;
    last = text;
    // Of a component that it touches anything may be in the text. What is around it is touched, too.
    const touches = (kind: string, root: ParentNode = document): boolean => {
      const hosts = [...root.querySelectorAll("*")].filter(({ shadowRoot }) => shadowRoot && touches(kind, shadowRoot));
      return [...root.querySelectorAll(kind), ...hosts].some((element) => root !== document || selection.containsNode(element, true));
    };
    // Within a shadow root or a field it has a text and yet is collapsed, or is told of as it is, in
    // closed ones, too (Firefox): none of ours.
    if (!text || isTold || selection.isCollapsed || selection.anchorNode!.getRootNode() !== document || touches(IGNORED)) return;
    record(eventType, {
      length: text.length,
      text: withText && !touches(PRIVATE) ? redact(text.slice(0, MAX_TEXT_CHARS)) : undefined,
    });
  }

  listen(document, "selectionchange", (event: UIEvent) => {
    clearTimeout(timer);
    if (!isTyped(event)) timer = setTimeout(guard(tell), SETTLES_MS, "text_select");
  });
  listen(document, "copy", (event: UIEvent) => isTyped(event) || tell("copy"));
}
