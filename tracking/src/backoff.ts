const FIRST_MS = 500;
const MOST_EARLY_MS = 4_000;
const MOST_LATE_MS = 5 * 60_000;
const MOST_ASKED_MS = 60 * 60_000;
const EARLY_MS = 60_000;

/**
 * How long to wait after a failure: doubling, with jitter, short during an outage's first minute
 * (most are restarts), at most five minutes later; the server's own wish goes first, up to an hour.
 */
export function retryDelayMs(outage: {
  failures: number;
  lastedMs: number;
  retryAfterMs?: number | undefined;
  /** In [0, 1). */
  random: number;
}): number {
  const most = outage.lastedMs < EARLY_MS ? MOST_EARLY_MS : MOST_LATE_MS;
  const doubled = Math.min(FIRST_MS * 2 ** (outage.failures - 1), most);
  // Half fixed, half random: browsers that failed together do not come back together.
  const jittered = doubled / 2 + (doubled / 2) * outage.random;
  const asked = Math.min(outage.retryAfterMs || 0, MOST_ASKED_MS);
  return Math.max(jittered, asked + (asked && jittered));
}

/** `Retry-After` in milliseconds: seconds, or an HTTP date. */
export function parseRetryAfterMs(header: string | null, now: number): number | undefined {
  if (!header) return undefined;
  const delayMs = /^\s*\d+\s*$/.test(header) ? parseInt(header, 10) * 1000 : Date.parse(header) - now;
  return delayMs > 0 ? delayMs : undefined;
}
