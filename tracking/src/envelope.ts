import type { Envelope, Event } from "./event";

/** Who and when-about: usually one for the whole batch, but a session may end within it. */
const SHARED = ["visitorId", "sessionId", "sessionIndex", "userId"] as const;

/** Put events into one envelope; what all of them share is said once, what differs stays on each. */
export function fillEnvelope(events: Event[], context: Partial<Event>, sentAt: string): Envelope {
  const shared = SHARED.filter((field) => events.every((event) => event[field] === events[0]![field]));
  // JSON leaves undefined fields out.
  const said: Partial<Event> = {};
  const unsaid: Partial<Event> = {};
  shared.forEach((field) => {
    said[field] = events[0]![field] as never;
    unsaid[field] = undefined;
  });
  return {
    ...context,
    ...said,
    eventType: "batch",
    sentAt,
    events: events.map((event) => ({ ...event, ...unsaid })),
  };
}
