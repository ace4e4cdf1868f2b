import { listen } from "./guard";

const IDLE_MS = 30_000;
const TELL_EVERY_MS = 60_000;

/**
 * Record for how long a page was used: visible, with no pause between two signs of life counted
 * for more than half a minute. Told as increments, at least every engaged minute; returns what
 * tells the last one.
 */
export function watchEngagement(record: (engagedMs: number) => void, now: () => number): () => void {
  let lastAt = now();
  let engagedMs = 0;
  let isAway = document.hidden;

  function count(least: number): void {
    const at = now();
    if (!isAway) engagedMs += Math.min(Math.max(at - lastAt, 0), IDLE_MS);
    lastAt = at;
    isAway = document.hidden;
    if (engagedMs < least) return;
    record(engagedMs);
    engagedMs = 0;
  }
  for (const type of ["pointermove", "pointerdown", "keydown", "scroll", "visibilitychange"]) {
    listen(document, type, () => {
      // A pointer moves sixty times a second.
      if (document.hidden !== isAway || now() - lastAt > 1_000) count(TELL_EVERY_MS);
    });
  }
  return () => count(100);
}
