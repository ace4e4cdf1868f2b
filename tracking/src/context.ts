import type { Event } from "./event";
import { attempt } from "./guard";

/**
 * What a batch's events share about browser and screen. Read when sending: it may force a layout.
 * Nothing, where the page has put something else in the place of what tells it.
 */
export function readContext(): Partial<Event> | undefined {
  return attempt(() => ({
    source: "web",
    language: navigator.language,
    timezone: timezone(),
    screenWidth: screen.width | 0,
    screenHeight: screen.height | 0,
    viewportWidth: innerWidth | 0,
    viewportHeight: innerHeight | 0,
  }));
}

declare global {
  interface Window {
    Temporal?: { Now: { timeZoneId(): string } };
  }
}

// A process's first DateTimeFormat takes 20 ms in Chromium, its first Temporal 0.4 to 0.8.
function timezone(): string | undefined {
  return window.Temporal?.Now.timeZoneId() || Intl.DateTimeFormat().resolvedOptions().timeZone;
}
