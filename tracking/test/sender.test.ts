import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_AGE_MS, MAX_KEEPALIVE_BYTES, MAX_POST_BYTES, TITLE_SETTLES_MS, createSender } from "../src/sender";
import { MAX_KEPT } from "../src/outbox";
import type { Event } from "../src/event";
import type { Outcome } from "../src/transport";
import { HandClock, HandCollector, MemoryOutbox, anEvent, events as someEvents, recordAnnouncements, settled } from "./fakes";

const UNAVAILABLE: Outcome = { status: 503 };
const ACCEPTED: Outcome = { status: 200, answer: { accepted: 1, rejected: 0 } };
const NOW = new Date(1_795_256_130_000).toISOString();
const events = (count: number, fields: Partial<Event> = {}) => someEvents(count, { occurredAt: NOW, ...fields });

function aSender(options: { batchSize?: number; flushMs?: number; idleMs?: number } = {}) {
  const clock = new HandClock();
  const transport = new HandCollector();
  const outbox = new MemoryOutbox();
  const { announce, of } = recordAnnouncements();
  const sender = createSender({
    batchSize: 20,
    flushMs: 5_000,
    idleMs: 60_000,
    ...options,
    post: transport.post,
    outbox,
    clock,
    makeBody: (batch) => JSON.stringify(batch),
    announce,
    random: () => 0.5,
  });
  const add = (all: Event[]) => all.forEach((event) => sender.add(event, false, true));
  const posted = () => transport.posts.flatMap(({ events }) => events.map((event) => event.eventId));
  return { clock, transport, outbox, sender, add, posted, announced: of };
}
const ids = (all: Event[]) => all.map((event) => event.eventId);

test("a batch leaves five seconds after its first event", async () => {
  const { clock, transport, add } = aSender();
  add(events(2));
  await clock.turn(3_000);
  add(events(1));
  await clock.turn(1_999);
  assert.equal(transport.posts.length, 0);
  await clock.turn(1);
  assert.deepEqual(transport.posts.map(({ events }) => events.length), [3]);
  await clock.turn(60_000);
  assert.equal(transport.posts.length, 1);
});

test("what waits to hear that the page hides is let go with its batch, and the one under way hears it", async () => {
  const { clock, transport, add, sender } = aSender({ batchSize: 1 });
  add(events(1));
  await clock.turn(0);
  transport.outcome = () => new Promise(() => {});
  add(events(1));
  await clock.turn(0);
  const [before, now] = transport.hidings;
  assert.notEqual(before, now); // else each body would be kept for as long as the page is looked at
  sender.hide();
  await now;
});

test("a clock that is set back after a view holds nothing up for long", async () => {
  const { clock, transport, add, sender } = aSender();
  add(events(1, { eventType: "page_view" }));
  clock.setBack(3_600_000);
  sender.add(events(1)[0]!, true, true);
  await clock.turn(TITLE_SETTLES_MS);
  assert.deepEqual(transport.posts.map(({ events }) => events.length), [2]);
});

test("views that follow each other before any has its title leave by the hundred", async () => {
  const { clock, transport, add, announced } = aSender();
  for (let i = 0; i < 250; i++) {
    add(events(1, { eventType: "page_view", occurredAt: new Date(clock.now()).toISOString() }));
    await clock.turn(TITLE_SETTLES_MS / 2);
  }
  assert.deepEqual(transport.posts.map(({ events }) => events.length), [100, 100]);
  assert.deepEqual(announced("sluice:failed"), []);
});

test("the twentieth event does not wait, and each event is sent once, in order", async () => {
  const { clock, transport, add, posted } = aSender();
  const all = events(45);
  add(all);
  await settled();
  assert.equal(transport.posts[0]!.events.length, 20);
  await clock.turn(5_000);
  assert.deepEqual(posted(), ids(all));
});

test("a view that fills a batch waits for its title, unless the page hides", async () => {
  for (const hides of [false, true]) {
    const { clock, transport, sender, add } = aSender();
    add(events(19));
    add(events(1, { eventType: "page_view" }));
    sender.add(anEvent({ occurredAt: NOW }), true);
    await clock.turn(99);
    assert.equal(transport.posts.length, 0);
    if (hides) sender.hide();
    else await clock.turn(1);
    assert.deepEqual(transport.posts.map(({ events }) => events.length), [21]);
  }
});

test("one batch is under way at a time", async () => {
  const { clock, transport, add } = aSender({ batchSize: 1 });
  let answer: (outcome: Outcome) => void = () => {};
  transport.outcome = () => new Promise((resolve) => (answer = resolve));
  add(events(3));
  await clock.turn(1_000);
  assert.equal(transport.posts.length, 1);
  answer(ACCEPTED);
  await settled();
  assert.deepEqual(transport.posts.map(({ events }) => events.length), [1, 2]);
});

test("posts stay small enough for keepalive; a heavier event goes alone and without", async () => {
  const { clock, transport, add } = aSender({ batchSize: 100 });
  add(events(30, { title: "x".repeat(3_000) }));
  add([anEvent({ occurredAt: NOW, title: "x".repeat(MAX_KEEPALIVE_BYTES) })]);
  await clock.turn(60_000);
  const sizes = transport.posts.map(({ events }) => JSON.stringify(events).length);
  assert.ok(sizes.slice(0, -1).every((size) => size <= MAX_POST_BYTES), `${sizes}`);
  const kept = transport.posts.map(({ keepalive }) => keepalive);
  assert.deepEqual([new Set(kept.slice(0, -1)), kept.at(-1)], [new Set([true]), false]);
  assert.equal(transport.posts.flatMap(({ events }) => events).length, 31);
});

test("an unreachable collector loses nothing, and is asked ever less often", async () => {
  const { clock, transport, add, posted, announced } = aSender();
  transport.outcome = UNAVAILABLE;
  const all = events(3);
  add(all);
  await clock.turn(5_000);
  await clock.turn(60_000);
  const tries = transport.posts.length;
  assert.ok(tries > 10 && tries < 30, `${tries}`);
  assert.equal(announced("sluice:failed")[0]!.retryInMs, 375);
  await clock.turn(3_600_000);
  assert.ok(transport.posts.length - tries < 30, `${transport.posts.length - tries}`);

  transport.outcome = ACCEPTED;
  transport.posts.length = 0;
  await clock.turn(300_000);
  assert.deepEqual(posted(), ids(all));
});

test("events captured during an outage wait for the retry and do not hasten it", async () => {
  const { clock, transport, add } = aSender();
  transport.outcome = { status: 429, retryAfterMs: 30_000 };
  add(events(20));
  await settled();
  add(events(40));
  await clock.turn(29_999);
  assert.equal(transport.posts.length, 1);
  transport.outcome = ACCEPTED;
  await clock.turn(1_000);
  assert.equal(transport.posts.flatMap(({ events }) => events).length, 20 + 60);
});

test("back online, it is tried at once", async () => {
  const { clock, transport, add, sender } = aSender({ batchSize: 1 });
  transport.outcome = { status: 0, retryAfterMs: 600_000 };
  add(events(1));
  await settled();
  transport.outcome = ACCEPTED;
  sender.wake();
  await settled();
  assert.equal(transport.posts.length, 2);
  await clock.turn(3_600_000);
  assert.equal(transport.posts.length, 2);
});

test("a refused batch is dropped and counted, never repeated, and the next one goes", async () => {
  const { clock, transport, add, announced } = aSender({ batchSize: 2 });
  transport.outcome = { status: 400 };
  add(events(2));
  await clock.turn(600_000);
  assert.equal(transport.posts.length, 1);
  const [failed] = announced("sluice:failed");
  assert.deepEqual([failed!.reason, failed!.status, failed!.retryInMs, failed!.droppedTotal], ["refused", 400, null, 2]);
  transport.outcome = ACCEPTED;
  add(events(2));
  await settled();
  assert.equal(announced("sluice:sent").length, 1);
});

test("a body that is too large is halved until it fits; a single event is then refused", async () => {
  const { clock, transport, add, announced } = aSender({ batchSize: 8 });
  const all = events(8, { title: "x".repeat(500) });
  add(all.slice(0, 7));
  transport.outcome = async () =>
    transport.posts.at(-1)!.events.length > 2 ? { status: 413 } : ACCEPTED;
  add(all.slice(7));
  await clock.turn(60_000);
  assert.deepEqual(announced("sluice:sent").flatMap(({ eventIds }) => eventIds), ids(all));

  transport.outcome = { status: 413 };
  add(events(1));
  await clock.turn(60_000);
  assert.equal(announced("sluice:failed").at(-1)!.reason, "refused");
});

test("a hiding page sends what the browser takes, each event once, and keeps the rest", async () => {
  const { clock, transport, outbox, add, sender, posted } = aSender({ batchSize: 100 });
  let answer: (outcome: Outcome) => void = () => {};
  transport.outcome = () => new Promise((resolve) => (answer = resolve));
  const all = events(60, { title: "x".repeat(1_600) });
  add(all);
  sender.hide();
  sender.hide();
  await settled();
  const bytes = transport.posts.reduce((sum, { events }) => sum + JSON.stringify(events).length, 0);
  assert.ok(bytes <= MAX_KEEPALIVE_BYTES && bytes > MAX_KEEPALIVE_BYTES / 2, `${bytes}`);
  assert.ok(transport.posts.every(({ keepalive, mayCompress }) => keepalive && !mayCompress));
  assert.deepEqual(posted(), ids(all).slice(0, posted().length));
  assert.ok(outbox.leaves > 0);
  assert.equal(outbox.kept.size, 60);
  void clock;
  answer(ACCEPTED);
});

test("what is on its way when the page hides is kept, and not repeated by this page", async () => {
  const { clock, transport, outbox, add, sender } = aSender({ batchSize: 2 });
  const answers: ((outcome: Outcome) => void)[] = [];
  transport.outcome = () => new Promise((resolve) => answers.push(resolve));
  const all = events(3);
  add(all);
  sender.hide();
  assert.deepEqual(transport.posts.map(({ events }) => events.length), [2, 1]);
  assert.deepEqual([...outbox.kept.keys()], ids(all));
  answers.forEach((answer) => answer(ACCEPTED));
  await clock.turn(60_000);
  assert.equal(transport.posts.length, 2);
  assert.equal(outbox.kept.size, 0);
});

test("hiding in an outage sends nothing: what is kept is not lost", async () => {
  const { clock, transport, outbox, add, sender, posted } = aSender({ batchSize: 1 });
  transport.outcome = UNAVAILABLE;
  const all = events(2);
  add(all.slice(0, 1));
  await settled();
  add(all.slice(1));
  sender.hide();
  await settled();
  assert.equal(transport.posts.length, 1);
  assert.ok(outbox.leaves > 0);
  assert.deepEqual([...outbox.kept.keys()], ids(all));
  transport.outcome = ACCEPTED;
  transport.posts.length = 0;
  await clock.turn(10_000);
  assert.deepEqual(posted(), ids(all));
});

test("what pages left goes once the collector has answered, before anything else", async () => {
  const { clock, transport, outbox, add, posted } = aSender();
  const left = events(3);
  outbox.left = [...left];
  const [first, second] = events(2);
  add([first!]);
  await clock.turn(5_000);
  add([second!]);
  await clock.turn(5_000);
  assert.deepEqual(posted(), ids([first!, ...left, second!]));
  assert.equal(outbox.claims, 1);
  assert.equal(outbox.kept.size, 0);
  void transport;
});

test("nothing is claimed before the collector has answered", async () => {
  const { clock, transport, outbox, add } = aSender({ batchSize: 1 });
  transport.outcome = UNAVAILABLE;
  add(events(1));
  await settled();
  assert.equal(outbox.claims, 0);
  transport.outcome = ACCEPTED;
  await clock.turn(5_000);
  assert.equal(outbox.claims, 1);
});

test("what is claimed while everything is discarded does not come back", async () => {
  const { clock, outbox, add, sender, posted } = aSender({ batchSize: 1 });
  let claimed: (left: Event[]) => void = () => {};
  outbox.claim = () => new Promise((resolve) => (claimed = resolve));
  add(events(1));
  await settled();
  sender.discard();
  claimed(events(2));
  await clock.turn(60_000);
  assert.equal(posted().length, 1);
});

for (const outcome of [{ status: 200, answer: "<html>" }, { status: 200 }, { status: 302 }, { status: 204 }]) {
  test(`${JSON.stringify(outcome)} is nobody's word that events have arrived`, async () => {
    const { clock, transport, outbox, add, announced } = aSender({ batchSize: 1 });
    transport.outcome = outcome;
    add(events(1));
    await clock.turn(1_000);
    assert.equal(announced("sluice:sent").length, 0);
    assert.equal(outbox.kept.size, 1);
    transport.outcome = ACCEPTED;
    await clock.turn(10_000);
    assert.equal(outbox.kept.size, 0);
  });
}

test("an event that cannot be written down holds up no other", async () => {
  const { clock, add, posted, announced } = aSender();
  const all = events(5);
  Object.defineProperty(all[2], "toJSON", { value: () => assert.fail("too deep") });
  add(all);
  await clock.turn(60_000);
  assert.deepEqual(posted().sort(), ids(all.filter((_, i) => i !== 2)).sort());
  assert.deepEqual(announced("sluice:failed").at(-1)!.eventIds, [all[2]!.eventId]);
});

test("a hidden page whose bodies are too large does not ask for ever", async () => {
  const { clock, transport, add, sender } = aSender({ batchSize: 100 });
  transport.outcome = { status: 413 };
  add(events(64));
  sender.hide();
  await clock.turn(600_000);
  assert.ok(transport.posts.length < 200, `${transport.posts.length}`);
});

test("an event stays in the outbox until the collector has answered for it", async () => {
  const { clock, transport, outbox, add } = aSender({ batchSize: 1 });
  transport.outcome = UNAVAILABLE;
  add(events(2));
  await clock.turn(1_000);
  assert.equal(outbox.kept.size, 2);
  transport.outcome = ACCEPTED;
  await clock.turn(10_000);
  assert.equal(outbox.kept.size, 0);
});

test("what is not to be kept is sent, and stored nowhere", async () => {
  const { clock, outbox, sender, posted } = aSender();
  const [event] = events(1);
  sender.add(event!);
  assert.equal(outbox.kept.size, 0);
  await clock.turn(5_000);
  assert.deepEqual(posted(), [event!.eventId]);
});

test("an urgent event takes along what waits", async () => {
  const { sender, add, posted } = aSender();
  const all = events(3);
  add(all.slice(0, 2));
  sender.add(all[2]!, true, true);
  await settled();
  assert.deepEqual(posted(), ids(all));
});

test("a batch leaves after the idle time, though its first event may wait longer", async () => {
  const { clock, transport, add } = aSender({ flushMs: 300_000, idleMs: 60_000 });
  add(events(1));
  await clock.turn(59_000);
  add(events(1));
  await clock.turn(59_999);
  assert.equal(transport.posts.length, 0);
  await clock.turn(1);
  assert.equal(transport.posts.length, 1);
});

test("too many and too old make room, are counted, and leave the outbox", async () => {
  const { clock, transport, outbox, add, announced, sender } = aSender({ batchSize: 1 });
  transport.outcome = { status: 503, retryAfterMs: 3_600_000 };
  const all = events(MAX_KEPT + 5);
  add(all);
  await settled();
  assert.equal(sender.dropped(), 5);
  assert.equal(outbox.kept.size, MAX_KEPT);
  const old = events(2, { occurredAt: new Date(clock.now() - MAX_AGE_MS - 1).toISOString() });
  add(old);
  assert.equal(sender.dropped(), 7);
  const failed = announced("sluice:failed").filter(({ reason }) => reason === "overflow");
  assert.deepEqual(failed.at(-1)!.eventIds, [old[1]!.eventId]);
});

test("what is discarded never leaves, also when it was in flight and failed", async () => {
  const { clock, transport, add, sender, posted } = aSender({ batchSize: 2 });
  transport.outcome = UNAVAILABLE;
  add(events(2));
  add(events(1));
  sender.discard();
  await clock.turn(600_000);
  assert.equal(transport.posts.length, 1);

  transport.outcome = ACCEPTED;
  transport.posts.length = 0;
  const later = events(2);
  add(later);
  await settled();
  assert.deepEqual(posted(), ids(later));
});
