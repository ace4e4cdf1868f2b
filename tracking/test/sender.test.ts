import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_BEACON_BYTES, MAX_POST_BYTES, createSender } from "../src/sender";
import type { Event } from "../src/event";
import type { Outcome } from "../src/transport";
import { HandClock, HandTransport, anEvent, events, recordAnnouncements, settled } from "./fakes";

const UNAVAILABLE: Outcome = { kind: "unavailable", status: 503 };
const ACCEPTED: Outcome = { kind: "accepted", status: 200, answer: { accepted: 1, rejected: 0 } };

function aSender(options: { batchSize?: number } = {}) {
  const clock = new HandClock();
  const transport = new HandTransport();
  const { announce, of } = recordAnnouncements();
  const sender = createSender({
    batchSize: options.batchSize ?? 20,
    flushMs: 5_000,
    transport,
    clock,
    makeBody: (batch) => JSON.stringify(batch),
    announce,
    random: () => 0.5,
  });
  const add = (all: Event[]) => all.forEach((event) => sender.add(event));
  const posted = () => transport.posts.flatMap(({ events }) => events.map((event) => event.eventId));
  return { clock, transport, sender, add, posted, announced: of };
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

test("the twentieth event does not wait, and each event is sent once, in order", async () => {
  const { clock, transport, add, posted } = aSender();
  const all = events(45);
  add(all);
  await settled();
  assert.equal(transport.posts[0]!.events.length, 20);
  await clock.turn(5_000);
  assert.deepEqual(posted(), ids(all));
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
  add([anEvent({ title: "x".repeat(MAX_POST_BYTES) })]);
  await clock.turn(60_000);
  const sizes = transport.posts.map(({ events }) => JSON.stringify(events).length);
  assert.ok(sizes.slice(0, -1).every((size) => size <= MAX_POST_BYTES), `${sizes}`);
  assert.deepEqual(transport.posts.map(({ keepalive }) => keepalive), [true, true, true, false]);
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
  transport.outcome = { kind: "unavailable", status: 429, retryAfterMs: 30_000 };
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
  transport.outcome = { kind: "unavailable", status: 0, retryAfterMs: 600_000 };
  add(events(1));
  await settled();
  transport.outcome = ACCEPTED;
  sender.retryNow();
  await settled();
  assert.equal(transport.posts.length, 2);
  await clock.turn(3_600_000);
  assert.equal(transport.posts.length, 2);
});

test("a refused batch is dropped and counted, never repeated, and the next one goes", async () => {
  const { clock, transport, add, announced } = aSender({ batchSize: 2 });
  transport.outcome = { kind: "refused", status: 400 };
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
    transport.posts.at(-1)!.events.length > 2 ? { kind: "too_large", status: 413 } : ACCEPTED;
  add(all.slice(7));
  await clock.turn(60_000);
  assert.deepEqual(announced("sluice:sent").flatMap(({ eventIds }) => eventIds), ids(all));

  transport.outcome = { kind: "too_large", status: 413 };
  add(events(1));
  await clock.turn(60_000);
  assert.equal(announced("sluice:failed").at(-1)!.reason, "refused");
});

test("a hiding page hands everything over in beacons below the quota, each event once", async () => {
  const { clock, transport, add, sender } = aSender({ batchSize: 100 });
  const all = events(60, { title: "x".repeat(1_600) });
  add(all);
  sender.flushBeforeHiding();
  sender.flushBeforeHiding();
  await clock.turn(60_000);
  assert.ok(transport.beacons.every((beacon) => JSON.stringify(beacon).length <= MAX_BEACON_BYTES));
  assert.equal(transport.beacons.length, 2);
  assert.deepEqual(ids(transport.beacons.flat()), ids(all));
  assert.equal(transport.posts.length, 0);
});

test("what the quota refuses goes in halves, and the rest by fetch", async () => {
  const { clock, transport, add, sender } = aSender({ batchSize: 100 });
  transport.beaconQuotaBytes = 30_000;
  const all = events(40, { title: "x".repeat(1_000) });
  add(all);
  sender.flushBeforeHiding();
  assert.ok(transport.beacons.length >= 1);
  assert.equal(transport.posts[0]!.keepalive, true);
  await clock.turn(60_000);
  const sent = [...transport.beacons.flat(), ...transport.posts.flatMap(({ events }) => events)];
  assert.deepEqual(ids(sent), ids(all));
});

test("what is in flight when the page hides is not repeated", async () => {
  const { clock, transport, add, sender } = aSender({ batchSize: 2 });
  let answer: (outcome: Outcome) => void = () => {};
  transport.outcome = () => new Promise((resolve) => (answer = resolve));
  add(events(3));
  sender.flushBeforeHiding();
  assert.deepEqual(transport.beacons.map((beacon) => beacon.length), [1]);
  answer(ACCEPTED);
  await clock.turn(60_000);
  assert.equal(transport.posts.length, 1);
});

test("hiding in an outage uses a fetch, whose failure is learnt, instead of a beacon", async () => {
  const { clock, transport, add, sender, posted } = aSender({ batchSize: 1 });
  transport.outcome = UNAVAILABLE;
  const all = events(2);
  add(all.slice(0, 1));
  await settled();
  add(all.slice(1));
  sender.flushBeforeHiding();
  await settled();
  assert.equal(transport.beacons.length, 0);
  assert.equal(transport.posts.at(-1)!.keepalive, true);
  transport.outcome = ACCEPTED;
  transport.posts.length = 0;
  await clock.turn(10_000);
  assert.deepEqual(posted(), ids(all));
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
