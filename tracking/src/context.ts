import type { Event } from "./event";

/** What a batch's events share about browser and screen. Read when sending: it may force a layout. */
export function readContext(): Partial<Event> {
  return {
    source: "web",
    language: navigator.language || undefined,
    timezone: timezone(),
    screenWidth: screen.width | 0,
    screenHeight: screen.height | 0,
    viewportWidth: innerWidth | 0,
    viewportHeight: innerHeight | 0,
  };
}

let known: string | undefined;

// Kept once known: building a DateTimeFormat costs a millisecond.
function timezone(): string | undefined {
  return (known = known || Intl.DateTimeFormat().resolvedOptions().timeZone || undefined);
}
