import type { Announce, Announcements } from "../src/announce";
import type { Clock } from "../src/clock";
import type { Event } from "../src/event";
import type { Storage } from "../src/storage";
import type { Outcome, Transport } from "../src/transport";

/** A clock turned by hand. */
export class HandClock implements Clock {
  private timers: { at: number; run: () => void }[] = [];
  constructor(private time = 1_795_256_130_000) {}

  now(): number {
    return this.time;
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
export class HandTransport implements Transport {
  readonly posts: { events: Event[]; keepalive: boolean }[] = [];
  readonly beacons: Event[][] = [];
  outcome: Outcome | (() => Promise<Outcome>) = { kind: "accepted", status: 200, answer: null };
  beaconQuotaBytes = Infinity;

  async post(body: string, keepalive: boolean): Promise<Outcome> {
    this.posts.push({ events: JSON.parse(body), keepalive });
    return typeof this.outcome === "function" ? this.outcome() : this.outcome;
  }

  beacon(body: string): boolean {
    if (body.length > this.beaconQuotaBytes) return false;
    this.beaconQuotaBytes -= body.length;
    this.beacons.push(JSON.parse(body));
    return true;
  }
}

export class MemoryStorage implements Storage {
  readonly values = new Map<string, string>();
  writes = 0;
  read(key: string): string | null {
    return this.values.get(key) ?? null;
  }
  write(key: string, value: string): void {
    this.writes++;
    this.values.set(key, value);
  }
  remove(key: string): void {
    this.values.delete(key);
  }
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
