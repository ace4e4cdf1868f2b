import type { Announce } from "./announce";
import { retryDelayMs } from "./backoff";
import type { Clock } from "./clock";
import type { Event } from "./event";
import type { Outbox } from "./outbox";
import type { Outcome, Post } from "./transport";

// Beacons and keepalive fetches of all scripts on the page share 64 KiB in flight.
// https://fetch.spec.whatwg.org/#http-network-or-cache-fetch
export const MAX_KEEPALIVE_BYTES = 56 * 1024;
/** Leaves room for what a page that closes meanwhile still has to say. */
export const MAX_POST_BYTES = 32 * 1024;
export const MAX_BODY_EVENTS = 100;
export const MAX_QUEUED_EVENTS = 1_000;
export const MAX_QUEUED_BYTES = 2 * 1024 * 1024;
/** Envelope and context around the events, generously. */
const FRAME_BYTES = 1_024;

export interface SenderOptions {
  batchSize: number;
  /** How long the first event of a batch waits. */
  flushMs: number;
  /** A batch leaves earlier when nothing was added for so long. */
  idleMs: number;
  post: Post;
  /** Where events are kept that must outlive the page; without one they do not. */
  outbox?: Outbox;
  clock: Clock;
  makeBody: (events: Event[]) => string;
  announce: Announce;
  /** In [0, 1). */
  random: () => number;
}

/** Batches, sends, and keeps what could not be sent: in order, bounded, one batch at a time. */
export interface Sender {
  /** Take an event; `isUrgent` sends it at once, `isKept` keeps it beyond the page. */
  add(event: Event, isUrgent?: boolean, isKept?: boolean): void;
  /** Send what waits, unless a batch is under way or the collector is being left in peace. */
  flush(): void;
  /** Try at once after an outage: the browser is online again, or the page is seen again. */
  wake(isSeen: boolean): void;
  /** Send what the browser takes: the page may be gone in a moment. */
  flushBeforeHiding(): void;
  /** Go on with what a page left that is no more. */
  recover(): Promise<void>;
  /** Forget what waits and what may yet fail. */
  discard(): void;
  /** How many were given up since the page was loaded. */
  dropped(): number;
}

type Reason = "unavailable" | "refused" | "overflow" | "expired";

export function createSender(options: SenderOptions): Sender {
  const { batchSize, flushMs, idleMs, post, outbox, clock, makeBody, announce, random } = options;
  let queue: Event[] = [];
  let onTheWay: Event[] = [];
  let doubtful: Event[] = [];
  let keptAliveBytes = 0;
  let postLimitBytes = MAX_POST_BYTES;
  let isFlushDue = false;
  let isHidden = false;
  let failures = 0;
  let failingSince = 0;
  let droppedTotal = 0;
  let dueAt = 0;
  let cancelTimer = () => {};

  function proceed(isUrgent?: boolean): void {
    // During an outage the retry timer is set already, and waits for the collector, not for us.
    if (!queue.length || failures) return;
    if (isUrgent || queue.length >= batchSize) return flush();
    const now = clock.now();
    dueAt = dueAt || now + flushMs;
    wait(Math.min(dueAt - now, idleMs));
  }

  function flush(): void {
    if (onTheWay.length || failures) isFlushDue = true;
    else send();
  }

  function note(): void {
    if (outbox && isHidden) outbox.leave(idsOf(onTheWay), !failures);
  }

  /** Send the oldest; false when nothing was, or nothing more fits. */
  function send(): boolean {
    cancelTimer();
    isFlushDue = false;
    dueAt = 0;
    const room = MAX_KEEPALIVE_BYTES - keptAliveBytes;
    const limit = (isHidden ? room : postLimitBytes) - FRAME_BYTES;
    let count = 0;
    // One at least while the page stays, however heavy.
    for (let weight = 0; count < MAX_BODY_EVENTS && queue[count]; count++) {
      weight += bytesOf(queue[count]!);
      if (weight > limit && (count || isHidden)) break;
    }
    const batch = queue.splice(0, count);
    if (!count) return false;
    const body = makeBody(batch);
    // Keepalive, so that a navigation does not cut it off. A retry goes without: the quota, which
    // other scripts share, may have been what failed.
    const bytes = byteLength(body);
    const keepalive = !failures && bytes <= room;
    if (keepalive) keptAliveBytes += bytes;
    onTheWay = onTheWay.concat(batch);
    void post(body, keepalive, !isHidden).then((outcome) => {
      if (keepalive) keptAliveBytes -= bytes;
      // What was discarded meanwhile is not on its way any more, and does not come back.
      const isWanted = onTheWay.includes(batch[0]!);
      onTheWay = onTheWay.filter((event) => !batch.includes(event));
      if (isWanted) settle(batch, outcome);
      note();
      if (!onTheWay.length && !failures) isFlushDue ? send() : proceed();
    });
    return true;
  }

  function settle(batch: Event[], { status, retryAfterMs, answer }: Outcome): void {
    if (!status || status === 408 || status === 429 || status >= 500) {
      if (!failures++) failingSince = clock.now();
      const retryInMs = retryDelayMs(failures, clock.now() - failingSince, retryAfterMs || 0, random());
      tellFailed(batch, "unavailable", status, retryInMs);
      enqueue([...doubtful, ...batch, ...queue]);
      doubtful = [];
      return wait(retryInMs);
    }
    failures = 0;
    if (status === 413 && batch.length > 1) {
      postLimitBytes = FRAME_BYTES + weigh(batch) / 2;
      isFlushDue = true;
      return enqueue(batch.concat(queue));
    }
    if (outbox) outbox.remove(idsOf(batch.concat(doubtful)));
    doubtful = [];
    if (status < 300) announce("sluice:sent", { eventIds: idsOf(batch), status, answer });
    else drop(batch, "refused", status);
  }

  function wait(delayMs: number): void {
    cancelTimer();
    cancelTimer = clock.after(delayMs, () => {
      if (onTheWay.length) isFlushDue = true;
      else send();
    });
  }

  /** Let these wait, bounded: the oldest make room. */
  function enqueue(all: Event[]): void {
    let first = Math.max(all.length - MAX_QUEUED_EVENTS, 0);
    let bytes = weigh(all.slice(first));
    while (bytes > MAX_QUEUED_BYTES && first < all.length - 1) bytes -= bytesOf(all[first++]!);
    queue = all.slice(first);
    drop(all.slice(0, first), "overflow", 0);
  }

  function drop(events: Event[], reason: Reason, status: number): void {
    if (!events.length) return;
    if (outbox) outbox.remove(idsOf(events));
    droppedTotal += events.length;
    tellFailed(events, reason, status, null);
  }

  function tellFailed(events: Event[], reason: Reason, status: number, retryInMs: number | null): void {
    announce("sluice:failed", { eventIds: idsOf(events), reason, status, retryInMs, droppedTotal });
  }

  return {
    add(event, isUrgent, isKept) {
      if (outbox && isKept) outbox.put(event);
      enqueue([...queue, event]);
      proceed(isUrgent);
    },
    flush,
    flushBeforeHiding() {
      isHidden = true;
      // What is sent into a known outage is lost; what is kept is not.
      while (!failures && send());
      note();
    },
    wake(isSeen) {
      if (isSeen) {
        isHidden = false;
        if (outbox) outbox.stay();
      }
      if (failures && !onTheWay.length) send();
    },
    async recover() {
      const { lost, doubtful: maybe, expired } = await outbox!.claim();
      drop(expired, "expired", 0);
      doubtful = maybe;
      enqueue([...lost, ...queue]);
      proceed(!!lost.length);
    },
    discard() {
      if (outbox) outbox.clear();
      queue = onTheWay = doubtful = [];
      failures = 0;
      cancelTimer();
    },
    dropped: () => droppedTotal,
  };
}

const sizes = new WeakMap<Event, number>();

/** As JSON, measured once. */
function bytesOf(event: Event): number {
  if (!sizes.has(event)) sizes.set(event, byteLength(JSON.stringify(event)) + 1);
  return sizes.get(event)!;
}

function weigh(events: Event[]): number {
  return events.reduce((sum, event) => sum + bytesOf(event), 0);
}

function idsOf(events: Event[]): string[] {
  return events.map((event) => event.eventId!);
}

function byteLength(text: string): number {
  return new Blob([text]).size;
}
