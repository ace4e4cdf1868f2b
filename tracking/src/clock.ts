import { guard } from "./guard";

/** Time as the tracker sees it, so that tests can turn it by hand. */
export interface Clock {
  now(): number;
  /** Run once after `delayMs`; the returned function cancels. */
  after(delayMs: number, run: () => void): () => void;
}

export const browserClock: Clock = {
  // Not Date.now or Date.parse, here and elsewhere: Datejs has others in their place.
  now: () => +new Date(),
  after(delayMs, run) {
    const timer = setTimeout(guard(run), delayMs);
    return () => clearTimeout(timer);
  },
};
