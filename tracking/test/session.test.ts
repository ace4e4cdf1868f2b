import assert from "node:assert/strict";
import { test } from "node:test";
import { SESSION_IDLE_MS, continueSession, createSessionKeeper } from "../src/session";
import { MemoryStorage } from "./fakes";

const START = 1_795_256_130_000;
function countedIds() {
  let made = 0;
  return () => `session-${++made}`;
}

test("a visitor's first session has index 1", () => {
  assert.deepEqual(continueSession(null, START, () => "s"), { id: "s", startedAt: START, lastAt: START, index: 1 });
});

test("a session lasts while events keep coming, and the next one begins after 30 idle minutes", () => {
  const sessions = createSessionKeeper(new MemoryStorage(), countedIds());
  let now = START;
  for (let i = 0; i < 10; i++) assert.equal(sessions.touch((now += SESSION_IDLE_MS - 1)).id, "session-1");
  const next = sessions.touch((now += SESSION_IDLE_MS));
  assert.deepEqual([next.id, next.index, next.startedAt], ["session-2", 2, now]);
});

test("two tabs share a session, and follow each other into the next", () => {
  const storage = new MemoryStorage();
  const ids = countedIds();
  const [here, there] = [createSessionKeeper(storage, ids), createSessionKeeper(storage, ids)];
  assert.equal(here.touch(START).id, there.touch(START + 1).id);
  const next = there.touch(START + SESSION_IDLE_MS + 10_000);
  assert.equal(here.touch(START + SESSION_IDLE_MS + 10_001).id, next.id);
});

test("activity is written at most every five seconds, and when asked", () => {
  const storage = new MemoryStorage();
  const sessions = createSessionKeeper(storage, countedIds());
  for (let ms = 0; ms < 5_000; ms += 100) sessions.touch(START + ms);
  assert.equal(storage.writes, 1);
  sessions.touch(START + 5_000);
  assert.equal(storage.writes, 2);
  sessions.touch(START + 5_001);
  sessions.save();
  assert.equal(storage.writes, 3);
});

test("unsaved activity still counts: the session does not end early", () => {
  const sessions = createSessionKeeper(new MemoryStorage(), countedIds());
  sessions.touch(START);
  sessions.touch(START + 4_000);
  assert.equal(sessions.touch(START + 4_000 + SESSION_IDLE_MS - 1).id, "session-1");
});

test("a clock that was far ahead does not keep a session for ever", () => {
  const sessions = createSessionKeeper(new MemoryStorage(), countedIds());
  sessions.touch(START + 365 * 86_400_000);
  assert.equal(sessions.touch(START).id, "session-2");
});

for (const text of ["", "{", "7", "{}", '{"id":"x"}', "null"]) {
  test(`a stored session of ${JSON.stringify(text)} is no session`, () => {
    const storage = new MemoryStorage();
    storage.values.set("sluice_session", text);
    assert.equal(createSessionKeeper(storage, countedIds()).touch(START).index, 1);
  });
}
