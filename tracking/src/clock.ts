import { guard } from "./guard";

/** Time as the tracker sees it, so that tests can turn it by hand. */
export interface Clock {
  now(): number;
  /** Run once after `delayMs`; the returned function cancels. */
  after(delayMs: number, run: () => void): () => void;
}

export const browserClock: Clock = {
  now: () => +new Date(),
  after(delayMs, run) {
    const timer = setTimeout(guard(run), delayMs);
    return () => clearTimeout(timer);
  },
};
