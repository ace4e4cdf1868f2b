import type { Announce } from "./announce";
import type { Clock } from "./clock";
import type { Event } from "./event";
import { uuidv7 } from "./ids";
import type { SessionKeeper } from "./session";
import type { Visitor } from "./visitor";

// The contract's limits: a clipped title is better than a refused event.
export const MAX_NAME_CHARS = 200;
export const MAX_TITLE_CHARS = 1_000;
export const MAX_URL_CHARS = 8_000;

export interface CaptureOptions {
  isAllowed: () => boolean;
  visitor: Visitor;
  sessions: SessionKeeper;
  clock: Clock;
  add: (event: Event) => void;
  announce: Announce;
}

/** Makes an event of what just happened and passes it on; nothing, where nothing may be told. */
export type Capture = (
  eventType: string,
  properties?: { [name: string]: unknown },
  fields?: Partial<Event>,
) => Event | undefined;

export function createCapture(options: CaptureOptions): Capture {
  const { isAllowed, visitor, sessions, clock, add, announce } = options;
  return (eventType, properties, fields) => {
    // Callers write JavaScript: a name may be anything.
    if (typeof eventType !== "string" || !eventType || !isAllowed()) return undefined;
    const now = clock.now();
    const session = sessions.touch(now);
    const event: Event = {
      eventId: uuidv7(now),
      eventType: eventType.slice(0, MAX_NAME_CHARS),
      occurredAt: new Date(now).toISOString(),
      url: location.href.slice(0, MAX_URL_CHARS),
      path: location.pathname.slice(0, MAX_URL_CHARS),
      title: currentTitle(),
      visitorId: visitor.visitorId(),
      sessionId: session.id,
      sessionIndex: session.index,
      userId: visitor.userId(),
      ...fields,
      properties: copyOf(properties),
    };
    add(event);
    announce("sluice:event", { event });
    return event;
  };
}

export function currentTitle(): string {
  return document.title.slice(0, MAX_TITLE_CHARS);
}

/** As JSON will have it, and as it is now: the page may go on changing its own object. */
export function copyOf(properties: unknown): { [name: string]: unknown } | undefined {
  if (typeof properties !== "object" || !properties || Array.isArray(properties)) return undefined;
  try {
    return JSON.parse(JSON.stringify(properties));
  } catch {
    // A cycle or a bigint: the event still happened.
    return undefined;
  }
}
