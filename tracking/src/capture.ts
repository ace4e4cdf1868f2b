import type { Event } from "./event";
import { attempt } from "./guard";
import { uuidv7 } from "./ids";
import { cleanUrl, redact } from "./redact";

// The contract's limits: a clipped title is better than a refused event.
export const MAX_NAME_CHARS = 200;
export const MAX_TITLE_CHARS = 1_000;
// The collector refuses an event that is longer as a whole.
const MAX_PROPERTIES_CHARS = 30_000;

export type Properties = { [name: string]: unknown };

/** An event of what just happened, on the page as it is; who did it is said later. */
export function makeEvent(eventType: string, properties: unknown, now: number, fields?: Partial<Event>): Event {
  return {
    eventId: uuidv7(now),
    eventType: shortened(eventType),
    occurredAt: new Date(now).toISOString(),
    url: cleanUrl(location.href),
    title: currentTitle(),
    ...fields,
    properties: copyOf(properties),
  };
}

/** A name, or another's id, as far as the contract takes it. */
export function shortened(name: unknown): string {
  return `${name}`.slice(0, MAX_NAME_CHARS);
}

export function currentTitle(): string {
  return redact(`${document.title}`.slice(0, 2 * MAX_TITLE_CHARS)).slice(0, MAX_TITLE_CHARS);
}

/** As JSON will have it, and as it is now: the page may go on changing its own object. */
export function copyOf(properties: unknown): Properties | undefined {
  // A cycle or a bigint throws: the event still happened.
  return attempt(() => {
    const text = JSON.stringify(properties);
    return /^{/.test(text) && text.length < MAX_PROPERTIES_CHARS ? JSON.parse(text) : undefined;
  });
}
