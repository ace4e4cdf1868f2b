import type { Event } from "./event";

/** An event waiting to be sent, with what it weighs as JSON. */
export interface Queued {
  event: Event;
  bytes: number;
}

export const MAX_QUEUED_EVENTS = 1_000;
export const MAX_QUEUED_BYTES = 2 * 1024 * 1024;

/** Events in order of capture, bounded. */
export interface Queue {
  size(): number;
  /** Append; returns the oldest ones, which had to make room. */
  push(item: Queued): Queued[];
  /** Take the oldest that fit into a body; at least one, however heavy. */
  take(maxEvents: number, maxBytes: number): Queued[];
  /** Return what could not be sent to the front; returns what had to make room. */
  putBack(items: Queued[]): Queued[];
  clear(): void;
}

export function createQueue(): Queue {
  let items: Queued[] = [];

  function keep(all: Queued[]): Queued[] {
    let first = Math.max(all.length - MAX_QUEUED_EVENTS, 0);
    let bytes = weigh(all.slice(first));
    while (bytes > MAX_QUEUED_BYTES && first < all.length - 1) bytes -= all[first++]!.bytes;
    items = all.slice(first);
    return all.slice(0, first);
  }

  return {
    size: () => items.length,
    push: (item) => keep(items.concat(item)),
    take(maxEvents, maxBytes) {
      let count = 0;
      for (let bytes = 0; count < Math.min(maxEvents, items.length); count++) {
        bytes += items[count]!.bytes;
        if (count && bytes > maxBytes) break;
      }
      return items.splice(0, count);
    },
    putBack: (back) => keep(back.concat(items)),
    clear: () => void (items = []),
  };
}

export function weigh(items: Queued[]): number {
  return items.reduce((sum, item) => sum + item.bytes, 0);
}
