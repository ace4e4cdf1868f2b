import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_QUEUED_BYTES, MAX_QUEUED_EVENTS, createQueue, type Queued } from "../src/queue";
import { anEvent } from "./fakes";

function items(count: number, bytes: number): Queued[] {
  return Array.from({ length: count }, () => ({ event: anEvent(), bytes }));
}

test("a body takes the oldest events that fit, in order", () => {
  const queue = createQueue();
  const [a, b, c] = items(3, 40) as [Queued, Queued, Queued];
  [a, b, c].forEach((item) => queue.push(item));
  assert.deepEqual(queue.take(100, 80), [a, b]);
  assert.deepEqual(queue.take(100, 80), [c]);
  assert.deepEqual(queue.take(100, 80), []);
});

test("an event heavier than a body goes alone", () => {
  const queue = createQueue();
  const [heavy, light] = [...items(1, 500), ...items(1, 5)] as [Queued, Queued];
  queue.push(heavy);
  queue.push(light);
  assert.deepEqual(queue.take(100, 80), [heavy]);
});

test("a full queue drops the oldest and says which", () => {
  const queue = createQueue();
  const all = items(MAX_QUEUED_EVENTS + 2, 1);
  assert.deepEqual(all.flatMap((item) => queue.push(item)), all.slice(0, 2));
  assert.equal(queue.size(), MAX_QUEUED_EVENTS);
});

test("the queue is bounded in bytes too", () => {
  const queue = createQueue();
  const all = items(5, MAX_QUEUED_BYTES / 4);
  assert.deepEqual(all.flatMap((item) => queue.push(item)), all.slice(0, 1));
});

test("what is put back is the first to go again", () => {
  const queue = createQueue();
  const [a, b] = items(2, 1) as [Queued, Queued];
  queue.push(b);
  queue.putBack([a]);
  assert.deepEqual(queue.take(2, 80), [a, b]);
});
