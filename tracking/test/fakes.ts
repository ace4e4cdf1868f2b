import type { Announce, Announcements } from "../src/announce";
import type { Clock } from "../src/clock";
import type { Event } from "../src/event";
import type { Storage } from "../src/storage";
import type { Outbox } from "../src/outbox";
import type { Outcome, Post } from "../src/transport";

/** A clock turned by hand. */
export class HandClock implements Clock {
  private timers: { at: number; run: () => void }[] = [];
  private setBackMs = 0;
  constructor(private time = 1_795_256_130_000) {}

  now(): number {
    return this.time - this.setBackMs;
  }

  /** As somebody does with a computer's clock: timers go on. */
  setBack(ms: number): void {
    this.setBackMs += ms;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.time + delayMs, run };
    this.timers.push(timer);
    return () => void (this.timers = this.timers.filter((other) => other !== timer));
  }

  /** Turn on, running what falls due in order, and let promises settle. */
  async turn(ms: number): Promise<void> {
    const until = this.time + ms;
    for (;;) {
      await settled();
      const next = this.timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.timers = this.timers.filter((other) => other !== next);
      this.time = Math.max(this.time, next.at);
      next.run();
    }
    this.time = until;
    await settled();
  }
}

export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A collector reached by hand: answers as told, remembers every body. */
export class HandCollector {
  readonly posts: { events: Event[]; keepalive: boolean; mayCompress: boolean }[] = [];
  /** What each is told that the page hides by. */
  readonly hidings: (Promise<void> | undefined)[] = [];
  outcome: Outcome | (() => Promise<Outcome>) = { status: 200, answer: { accepted: 1, rejected: 0 } };

  readonly post: Post = async (body, keepalive, hiding) => {
    this.posts.push({ events: JSON.parse(body), keepalive, mayCompress: !!hiding });
    this.hidings.push(hiding);
    return typeof this.outcome === "function" ? this.outcome() : this.outcome;
  };
}

/** An outbox in memory; `left` is what an earlier page would have left. */
export class MemoryOutbox implements Outbox {
  readonly kept = new Map<string, Event>();
  left: Event[] = [];
  claims = 0;
  leaves = 0;
  put(event: Event): void {
    this.kept.set(event.eventId!, event);
  }
  remove(events: Event[]): void {
    events.forEach((event) => this.kept.delete(event.eventId!));
  }
  clear(): void {
    this.kept.clear();
  }
  leave(): void {
    this.leaves++;
  }
  stay(): void {}
  async claim(): Promise<Event[]> {
    this.claims++;
    this.left.forEach((event) => this.put(event));
    return this.left.splice(0);
  }
}

export class MemoryStorage implements Storage {
  readonly values = new Map<string, string>();
  writes = 0;
  read = (key: string): string => this.values.get(key) ?? "";
  write = (key: string, value: string): void => {
    this.writes++;
    this.values.set(key, value);
  };
}

export function recordAnnouncements() {
  const heard: { name: keyof Announcements; detail: Announcements[keyof Announcements] }[] = [];
  const announce: Announce = (name, detail) => void heard.push({ name, detail });
  const of = <Name extends keyof Announcements>(name: Name) =>
    heard.filter((one) => one.name === name).map((one) => one.detail as Announcements[Name]);
  return { announce, of };
}

let made = 0;
export function anEvent(fields: Partial<Event> = {}): Event {
  return { eventId: `event-${++made}`, eventType: "click", ...fields };
}

export function events(count: number, fields: Partial<Event> = {}): Event[] {
  return Array.from({ length: count }, () => anEvent(fields));
}
