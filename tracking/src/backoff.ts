const FIRST_MS = 500;
const MOST_EARLY_MS = 4_000;
const MOST_LATE_MS = 5 * 60_000;
const MOST_ASKED_MS = 60 * 60_000;
const EARLY_MS = 60_000;

/**
 * How long to wait after the `failures`-th failure in a row, of an outage that lasts so long:
 * doubling, with jitter, short during its first minute (most are restarts), at most five minutes
 * later; what the server asks for goes first, up to an hour. `random` is in [0, 1).
 */
export function retryDelayMs(failures: number, lastedMs: number, askedMs: number, random: number): number {
  const most = lastedMs < EARLY_MS ? MOST_EARLY_MS : MOST_LATE_MS;
  // Half fixed, half random: browsers that failed together do not come back together.
  return Math.min(askedMs, MOST_ASKED_MS) + (Math.min(FIRST_MS * 2 ** (failures - 1), most) * (1 + random)) / 2;
}

/** `Retry-After` in milliseconds: seconds, or an HTTP date; 0 without one. */
export function parseRetryAfterMs(header: string | null, now: number): number {
  return Math.max(+header! * 1000 || +new Date(header!) - now || 0, 0);
}
