import { HOLDS_INPUT, IGNORED } from "./element";
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

  function tell(eventType: string): void {
    const selection = getSelection()!;
    const text = String(selection);
    const isTold = eventType === "text_select" && text === last;
    last = text;
    // What is selected in a field was typed there.
    const isPrivate =
      document.activeElement?.matches(HOLDS_INPUT) || selection.anchorNode?.parentElement?.closest(IGNORED);
    if (text && !isTold && !isPrivate) {
      record(eventType, { length: text.length, text: withText ? redact(text.slice(0, MAX_TEXT_CHARS)) : undefined });
    }
  }

  listen(document, "selectionchange", () => {
    clearTimeout(timer);
    timer = setTimeout(guard(tell), SETTLES_MS, "text_select");
  });
  listen(document, "copy", () => tell("copy"));
}
