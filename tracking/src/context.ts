import type { Event } from "./event";

/** What a batch's events share about browser and screen. Read when sending: it may force a layout. */
export function readContext(): Partial<Event> {
  return {
    source: "web",
    language: navigator.language || undefined,
    timezone: timezone(),
    screenWidth: Math.round(screen.width),
    screenHeight: Math.round(screen.height),
    viewportWidth: Math.round(innerWidth),
    viewportHeight: Math.round(innerHeight),
  };
}

let knownTimezone: string | undefined;

// Kept once known: building a DateTimeFormat costs a millisecond.
function timezone(): string | undefined {
  try {
    knownTimezone = knownTimezone || Intl.DateTimeFormat().resolvedOptions().timeZone;
  } catch {
    // Hardened browsers refuse; the event goes without.
  }
  return knownTimezone || undefined;
}
