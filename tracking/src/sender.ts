import type { Announce } from "./announce";
import { retryDelayMs } from "./backoff";
import type { Clock } from "./clock";
import type { Event } from "./event";
import { createQueue, weigh, type Queued } from "./queue";
import type { Outcome, Transport } from "./transport";

// Beacons and keepalive fetches of all scripts on the page share 64 KiB in flight.
// https://fetch.spec.whatwg.org/#http-network-or-cache-fetch
export const MAX_BEACON_BYTES = 56 * 1024;
/** Small enough to go as keepalive and leave room for the beacon of a page that closes meanwhile. */
export const MAX_POST_BYTES = 32 * 1024;
export const MAX_BODY_EVENTS = 100;
/** Envelope and context around the events, generously. */
const FRAME_BYTES = 1_024;

export interface SenderOptions {
  batchSize: number;
  flushMs: number;
  transport: Transport;
  clock: Clock;
  makeBody: (events: Event[]) => string;
  announce: Announce;
  /** In [0, 1). */
  random: () => number;
}

/** Batches, sends, and keeps what could not be sent: in order, bounded, one batch at a time. */
export interface Sender {
  add(event: Event): void;
  /** Send what waits, unless a batch is under way or the collector is being left in peace. */
  flush(): void;
  /** Try at once after an outage: the browser says it is online again. */
  retryNow(): void;
  /** Hand everything to the browser: the page may be gone in a moment. */
  flushBeforeHiding(): void;
  /** Forget what waits and what may yet fail. */
  discard(): void;
}

export function createSender(options: SenderOptions): Sender {
  const { batchSize, flushMs, transport, clock, makeBody, announce, random } = options;
  const queue = createQueue();
  let postLimitBytes = MAX_POST_BYTES;
  let inFlight = 0;
  let isFlushDue = false;
  let failures = 0;
  let failingSince = 0;
  let droppedTotal = 0;
  /** Raised by `discard`, so that what is in flight then does not come back. */
  let generation = 0;
  let cancelTimer: (() => void) | undefined;

  function add(event: Event): void {
    countDropped(queue.push({ event, bytes: byteLength(JSON.stringify(event)) + 1 }), "overflow", 0);
    // During an outage the retry timer is set already, and waits for the collector, not for us.
    if (!failures) proceed();
  }

  function proceed(): void {
    if (queue.size() >= batchSize) flush();
    else if (queue.size() && !cancelTimer) wait(flushMs);
  }

  function flush(): void {
    if (inFlight || failures) isFlushDue = true;
    else postOldest();
  }

  function flushBeforeHiding(): void {
    // A beacon's fate is never learnt: during an outage it would lose what a fetch gives back.
    if (!failures) beaconAll();
    postOldest(true);
  }

  function beaconAll(): void {
    let limitBytes = MAX_BEACON_BYTES - FRAME_BYTES;
    while (queue.size()) {
      const batch = queue.take(MAX_BODY_EVENTS, limitBytes);
      if (transport.beacon(bodyOf(batch))) {
        announce("sluice:sent", { eventIds: idsOf(batch), via: "beacon", status: null, answer: null });
        continue;
      }
      // Refused: the quota is used up by us or by others. Half may fit; less than one cannot.
      queue.putBack(batch);
      if (batch.length === 1) return;
      limitBytes = weigh(batch) / 2;
    }
  }

  function postOldest(isHiding = false): void {
    stopWaiting();
    isFlushDue = false;
    const batch = queue.take(MAX_BODY_EVENTS, postLimitBytes - FRAME_BYTES);
    if (!batch.length) return;
    const body = bodyOf(batch);
    // Keepalive, so that a navigation does not cut it off. A retry goes without, unless it is the
    // last chance: the quota may have been what failed.
    const keepalive = (isHiding || !failures) && byteLength(body) <= MAX_POST_BYTES;
    const sentIn = generation;
    inFlight++;
    void transport.post(body, keepalive).then((outcome) => {
      inFlight--;
      if (sentIn === generation) settle(batch, outcome);
      if (!inFlight && !failures) isFlushDue ? postOldest() : proceed();
    });
  }

  function settle(batch: Queued[], outcome: Outcome): void {
    const { status } = outcome;
    if (outcome.kind === "unavailable") return retryLater(batch, outcome);
    failures = 0;
    if (outcome.kind === "accepted") {
      announce("sluice:sent", { eventIds: idsOf(batch), via: "fetch", status, answer: outcome.answer });
    } else if (outcome.kind === "too_large" && batch.length > 1) {
      postLimitBytes = FRAME_BYTES + weigh(batch) / 2;
      countDropped(queue.putBack(batch), "overflow", 0);
      isFlushDue = true;
    } else {
      countDropped(batch, "refused", status);
    }
  }

  function retryLater(batch: Queued[], outcome: Outcome & { kind: "unavailable" }): void {
    if (!failures++) failingSince = clock.now();
    const retryInMs = retryDelayMs({
      failures,
      lastedMs: clock.now() - failingSince,
      retryAfterMs: outcome.retryAfterMs,
      random: random(),
    });
    tellFailed(batch, "unavailable", outcome.status, retryInMs);
    countDropped(queue.putBack(batch), "overflow", 0);
    wait(retryInMs);
  }

  function wait(delayMs: number): void {
    stopWaiting();
    cancelTimer = clock.after(delayMs, () => {
      cancelTimer = undefined;
      if (inFlight) isFlushDue = true;
      else postOldest();
    });
  }

  function stopWaiting(): void {
    if (cancelTimer) cancelTimer();
    cancelTimer = undefined;
  }

  function countDropped(items: Queued[], reason: "refused" | "overflow", status: number): void {
    droppedTotal += items.length;
    if (items.length) tellFailed(items, reason, status, null);
  }

  function tellFailed(
    items: Queued[],
    reason: "unavailable" | "refused" | "overflow",
    status: number,
    retryInMs: number | null,
  ): void {
    announce("sluice:failed", { eventIds: idsOf(items), reason, status, retryInMs, droppedTotal });
  }

  function bodyOf(batch: Queued[]): string {
    return makeBody(batch.map((item) => item.event));
  }

  return {
    add,
    flush,
    flushBeforeHiding,
    retryNow() {
      if (failures && !inFlight) postOldest();
    },
    discard() {
      queue.clear();
      generation++;
      failures = 0;
      stopWaiting();
    },
  };
}

function idsOf(items: Queued[]): string[] {
  return items.map((item) => item.event.eventId || "");
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
