import assert from "node:assert/strict";
import { test } from "node:test";
import { campaignOf, createEnd, createTouch, type SessionRules } from "../src/session";
import { MemoryStorage } from "./fakes";

const START = 1_795_256_130_000;
const SESSION_IDLE_MS = 30 * 60_000;
function nth(place: number) {
  return "019aa1b2-7c1e-7a50-9d3e-012345" + (100_000 + place);
}
function firstId() {
  return nth(1);
}
function sessions(storage = new MemoryStorage(), newId = firstId, rules: Partial<SessionRules> = {}) {
  return createTouch(storage, { idleMs: SESSION_IDLE_MS, ...rules }, newId);
}

test("a visitor's first session has index 1", () => {
  const { id, lastAt, index } = sessions()(START);
  assert.deepEqual([id, lastAt, index], [nth(1), START, 1]);
});

test("a session lasts while events keep coming, and the next one begins after 30 idle minutes", () => {
  const touch = sessions();
  let now = START;
  for (let i = 0; i < 10; i++) assert.equal(touch((now += SESSION_IDLE_MS - 1)).id, nth(1));
  const next = touch((now += SESSION_IDLE_MS));
  assert.deepEqual([next.id, next.index], [nth(2), 2]);
});

test("two tabs share a session, and follow each other into the next", () => {
  const storage = new MemoryStorage();
  const [here, there] = [sessions(storage), sessions(storage)];
  assert.equal(here(START).id, there(START + 1).id);
  const next = there(START + SESSION_IDLE_MS + 10_000);
  assert.equal(here(START + SESSION_IDLE_MS + 10_001).id, next.id);
});

test("tabs that are restored in the same instant begin one session", () => {
  const yesterday = new MemoryStorage();
  const { id } = sessions(yesterday)(START);
  const began = [1, 2, 3].map(() => {
    // What one tab's process writes, another's does not see at once.
    const seen = new MemoryStorage();
    yesterday.values.forEach((value, key) => seen.values.set(key, value));
    return sessions(seen, () => "random")(START + 86_400_000);
  });
  assert.deepEqual(began.map((session) => [session.id, session.index]), Array(3).fill([nth(2), 2]));
  assert.notEqual(began[0]!.id, id);
});

test("every session has an id of its own", () => {
  const from = (id: string) => {
    const touch = sessions(new MemoryStorage(), () => id);
    return Array.from({ length: 40 }, (_, days) => touch(START + days * 86_400_000).id);
  };
  for (const id of ["019aa1b2-7c1e-7a50-9d3e-ffffffffffff", firstId(), "by hand", "-".repeat(60)]) {
    const ids = from(id);
    assert.equal(new Set(ids).size, ids.length);
    assert.ok(ids.slice(1).every((next) => next.length <= 36));
  }
});

test("a tab that was left alone ends no session that another keeps alive", () => {
  const storage = new MemoryStorage();
  const [idle, busy] = [sessions(storage), sessions(storage)];
  idle(START);
  for (let minutes = 4; minutes <= 32; minutes += 4) busy(START + minutes * 60_000);
  assert.equal(idle(START + 33 * 60_000).id, nth(1));
});

test("activity is written at most every five seconds", () => {
  const storage = new MemoryStorage();
  const touch = sessions(storage);
  for (let ms = 0; ms < 5_000; ms += 100) touch(START + ms);
  assert.equal(storage.writes, 1);
  touch(START + 5_000);
  assert.equal(storage.writes, 2);
});

test("unsaved activity still counts: the session does not end early", () => {
  const touch = sessions();
  touch(START);
  touch(START + 4_000);
  assert.equal(touch(START + 4_000 + SESSION_IDLE_MS - 1).id, nth(1));
});

test("a clock that was far ahead does not keep a session for ever", () => {
  const touch = sessions();
  touch(START + 365 * 86_400_000);
  assert.equal(touch(START).id, nth(2));
});

test("at midnight a session ends where that is asked for", () => {
  const late = new Date(2026, 10, 29, 23, 59, 50).getTime();
  for (const [atMidnight, expected] of [[true, nth(2)], [false, nth(1)]] as const) {
    const touch = sessions(new MemoryStorage(), firstId, { hasEnded: createEnd(atMidnight, "") });
    touch(late);
    assert.equal(touch(late + 20_000).id, expected);
  }
});

test("a page with a new campaign begins a session; one without any, or with the same, does not", () => {
  const storage = new MemoryStorage();
  const page = (campaign: string) => sessions(storage, firstId, { campaign, hasEnded: createEnd(false, campaign) })(START).id;
  const seen = [page("utm_source,a"), page(""), page("utm_source,a"), page("utm_source,b"), page("")];
  assert.deepEqual(seen, [nth(1), nth(1), nth(1), nth(2), nth(2)]);
});

test("a campaign is what advertisers add to an address", () => {
  assert.equal(campaignOf("?b=2&utm_source=n&gclid=x"), campaignOf("?gclid=x&utm_source=n&c=3"));
  assert.equal(campaignOf("?gid=1&page=2"), "");
  for (const name of ["utm_id", "gclid", "fbclid", "msclkid", "ttclid", "twclid", "dclid", "gbraid", "li_fat_id"]) {
    assert.equal(campaignOf(`?${name}=1`), `${name},1`);
  }
});

for (const text of ["", "{", "7", "{}", '{"id":"x"}', '{"id":"x","lastAt":"y","index":"z"}', "null"]) {
  test(`a stored session of ${JSON.stringify(text)} is no session`, () => {
    const storage = new MemoryStorage();
    storage.values.set("session", text);
    assert.equal(sessions(storage)(START).index, 1);
  });
}
