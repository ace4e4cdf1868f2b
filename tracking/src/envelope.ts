import type { Envelope, Event } from "./event";

const ITS_OWN = /^(event|occurred|prop)/;

/** Put events into one envelope; what all of them share is said once, what differs stays on each. */
export function fillEnvelope(events: Event[], context: Partial<Event> | undefined, sentAt: string): Envelope {
  const shared: { [field: string]: unknown } = {};
  const unsaid: { [field: string]: undefined } = {};
  const [first] = events as unknown as { [field: string]: unknown }[];
  for (const field in first) {
    if (!ITS_OWN.test(field) && events.every((event) => event[field as keyof Event] === first[field])) {
      shared[field] = first[field];
      // JSON leaves undefined fields out.
      unsaid[field] = undefined;
    }
  }
  // Prototype.js 1.6 has arrays write themselves as text; this one does not.
  return { ...context, ...shared, eventType: "batch", sentAt, events: Object.assign(events.map((event) => ({ ...event, ...unsaid })), { toJSON: 0 }) };
}
