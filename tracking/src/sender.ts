import type { Announce } from "./announce";
import { retryDelayMs } from "./backoff";
import type { Clock } from "./clock";
import type { Event } from "./event";
import { attempt } from "./guard";
import { MAX_KEPT, idsOf, type Outbox } from "./outbox";
import type { Outcome, Post } from "./transport";

// Beacons and keepalive fetches of all scripts on the page share 64 KiB in flight.
// https://fetch.spec.whatwg.org/#http-network-or-cache-fetch
export const MAX_KEEPALIVE_BYTES = 56 * 1024;
/** Leaves room for what a page that closes meanwhile still has to say. */
export const MAX_POST_BYTES = 32 * 1024;
export const MAX_BODY_EVENTS = 100;
/** Frameworks set a view's title after they changed the address. */
export const TITLE_SETTLES_MS = 100;
/** What the offline days of a phone may come to; the exporter remembers ids for as long. */
export const MAX_AGE_MS = 72 * 60 * 60 * 1000;

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
  /** The page is seen again; or, to be tried at once, the browser is online again. */
  wake(isSeen?: boolean): void;
  /** Send what the browser takes: the page may be gone in a moment. */
  hide(): void;
  /** Forget what waits and what may yet fail. */
  discard(): void;
  /** How many were given up since the page was loaded. */
  dropped(): number;
}

export function createSender(options: SenderOptions): Sender {
  const { batchSize, flushMs, idleMs, post, outbox, clock, makeBody, announce, random } = options;
  let queue: Event[] = [];
  let onTheWay: Event[] = [];
  let keptAliveBytes = 0;
  let postLimitBytes = MAX_POST_BYTES;
  let isFlushDue = false;
  let isHidden = false;
  let tellHiding = () => {};
  let isKeeping = false;
  let hasRecovered = false;
  /** Raised by `discard`, so that what is claimed meanwhile does not come back. */
  let generation = 0;
  /** In a row, and since when. */
  let failures = 0;
  let failingSince = 0;
  let droppedTotal = 0;
  let dueAt = 0;
  /** When the last view has its title; only a page that hides does not wait for it. */
  let settledAt = 0;
  let cancelTimer = () => {};

  function proceed(isUrgent?: boolean): void {
    // During an outage the retry timer is set already, and waits for the collector, not for us.
    if (!queue.length || failures) return;
    const now = clock.now();
    if (isUrgent || queue.length >= batchSize) {
      if (settledAt <= now || queue.length >= MAX_BODY_EVENTS) return flush();
      dueAt = now;
    }
    dueAt ||= now + flushMs;
    wait(Math.max(Math.min(dueAt - now, idleMs), Math.min(settledAt - now, TITLE_SETTLES_MS)));
  }

  function flush(): void {
    if (onTheWay.length || failures) isFlushDue = true;
    else send();
  }

  function wait(delayMs: number): void {
    cancelTimer();
    cancelTimer = clock.after(delayMs, () => (onTheWay.length ? (isFlushDue = true) : send()));
  }

  /** Send the oldest that fit into a body; false when there are none. */
  function send(): boolean {
    cancelTimer();
    isFlushDue = false;
    dueAt = 0;
    const room = MAX_KEEPALIVE_BYTES - keptAliveBytes;
    let count = Math.min(queue.length, MAX_BODY_EVENTS);
    let body = "";
    let bytes = 0;
    for (; count; count >>= 1) {
      body = attempt(() => makeBody(queue.slice(0, count))) || "";
      bytes = byteLength(body);
      // One goes in any case while the page stays, however heavy.
      const fits = bytes <= Math.min(postLimitBytes, isHidden ? room : postLimitBytes);
      if (body && (fits || (count < 2 && !isHidden))) break;
      if (!body && count < 2) {
        // Nobody can write it down, and it must not hold up the others.
        drop(queue.splice(0, 1), "refused", 0);
        return send();
      }
    }
    if (!count) return false;
    const batch = queue.splice(0, count);
    // Keepalive, so that a navigation does not cut it off. A retry goes without: the quota, which
    // other scripts share, may have been what failed.
    const keepalive = !failures && bytes <= room;
    if (keepalive) keptAliveBytes += bytes;
    onTheWay = onTheWay.concat(batch);
    void post(body, keepalive, isHidden ? undefined : new Promise<void>((resolve) => (tellHiding = resolve))).then((outcome) => {
      if (keepalive) keptAliveBytes -= bytes;
      // What was discarded meanwhile is not on its way any more, and does not come back.
      const isWanted = onTheWay.includes(batch[0]!);
      onTheWay = onTheWay.filter((event) => !batch.includes(event));
      if (isWanted) settle(batch, outcome, bytes);
      note();
      if (onTheWay.length) return;
      const isDue = isFlushDue;
      isFlushDue = false;
      proceed(isDue);
    });
    return true;
  }

  function settle(batch: Event[], { status, retryAfterMs, answer }: Outcome, bytes: number): void {
    // A page of a proxy, or one to sign in, is no word of the collector's.
    const isAccepted = status < 300 && (answer as { accepted?: unknown } | undefined)?.accepted !== undefined;
    if (status < 400 ? !isAccepted : status === 408 || status === 429 || status >= 500) {
      if (!failures++) failingSince = clock.now();
      const retryInMs = retryDelayMs(failures, clock.now() - failingSince, retryAfterMs || 0, random());
      tellFailed(batch, "unavailable", status, retryInMs);
      enqueue(batch.concat(queue));
      return wait(retryInMs);
    }
    failures = 0;
    if (status === 413 && batch[1]) {
      postLimitBytes = bytes / 2;
      isFlushDue = true;
      return enqueue(batch.concat(queue));
    }
    if (isAccepted) {
      announce("sluice:sent", { eventIds: idsOf(batch), status, answer });
      outbox?.remove(batch);
    } else drop(batch, "refused", status);
    if (isKeeping && !hasRecovered) {
      hasRecovered = true;
      const claimedIn = generation;
      outbox!.claim().then((left) => {
        if (claimedIn !== generation) return;
        enqueue(left.concat(queue));
        proceed(!!left[0]);
        // Frames that may not ask for locks have no database either: nothing was left behind there.
      }, () => {});
    }
  }

  /** Let these wait, bounded: the oldest make room. */
  function enqueue(all: Event[]): void {
    const oldest = clock.now() - MAX_AGE_MS;
    queue = all.filter((event) => +new Date(event.occurredAt!) > oldest).slice(-MAX_KEPT);
    if (all[queue.length]) drop(all.filter((event) => !queue.includes(event)), "overflow", 0);
  }

  function drop(events: Event[], reason: "refused" | "overflow", status: number): void {
    if (!events[0]) return;
    outbox?.remove(events);
    droppedTotal += events.length;
    tellFailed(events, reason, status, null);
  }

  function tellFailed(
    events: Event[],
    reason: "unavailable" | "refused" | "overflow",
    status: number,
    retryInMs: number | null,
  ): void {
    announce("sluice:failed", { eventIds: idsOf(events), reason, status, retryInMs, droppedTotal });
  }

  function note(): void {
    if (isHidden) outbox?.leave();
  }

  return {
    add(event, isUrgent, isKept) {
      if (isKept && outbox) {
        isKeeping = true;
        outbox.put(event);
      }
      if (event.eventType === "page_view") settledAt = clock.now() + TITLE_SETTLES_MS;
      enqueue([...queue, event]);
      proceed(isUrgent);
    },
    flush,
    hide() {
      isHidden = true;
      tellHiding();
      // What is sent into a known outage is lost; what is kept is not.
      while (!failures && send());
      note();
    },
    wake(isSeen) {
      if (isSeen) {
        isHidden = false;
        outbox?.stay();
      } else if (failures && !onTheWay.length) send();
    },
    discard() {
      queue = onTheWay = [];
      generation++;
      failures = 0;
      cancelTimer();
      outbox?.clear();
    },
    dropped: () => droppedTotal,
  };
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
