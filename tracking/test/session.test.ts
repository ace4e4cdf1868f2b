import assert from "node:assert/strict";
import { test } from "node:test";
import { sessionIdOf, uuidv7 } from "../src/ids";
import { campaignOf, createEnd, createTouch, ongoingSession } from "../src/session";
import { MemoryStorage } from "./fakes";

const START = 1_795_256_130_000;
const SESSION_IDLE_MS = 30 * 60_000;
function countedIds() {
  let made = 0;
  return () => `session-${++made}`;
}
function sessions(
  storage = new MemoryStorage(),
  ids: (now: number) => string = countedIds(),
  { campaign = "", atMidnight = false } = {},
) {
  return createTouch(storage, createEnd(SESSION_IDLE_MS, atMidnight, () => campaign), (now) => ({ campaign, id: ids(now) }));
}

test("a visitor's first session has index 1", () => {
  const { id, lastAt, index } = sessions()(START);
  assert.deepEqual([id, lastAt, index], ["session-1", START, 1]);
});

test("a session lasts while events keep coming, and the next one begins after 30 idle minutes", () => {
  const touch = sessions();
  let now = START;
  for (let i = 0; i < 10; i++) assert.equal(touch((now += SESSION_IDLE_MS - 1)).id, "session-1");
  const next = touch((now += SESSION_IDLE_MS));
  assert.deepEqual([next.id, next.index], ["session-2", 2]);
});

test("the id of every session says when it began, as the export reads it", () => {
  const touch = sessions(new MemoryStorage(), sessionIdOf);
  for (const began of [START, START + 3_600_000, START + 86_400_000]) {
    uuidv7(began + 60_000); // an event's that was made before
    assert.equal(parseInt(touch(began).id.replace("-", "").slice(0, 12), 16), began);
    touch(began + 60_000);
  }
});

test("who only looks begins no session and keeps none alive", () => {
  const storage = new MemoryStorage();
  const touch = sessions(storage);
  const look = (at: number) => ongoingSession(storage, SESSION_IDLE_MS, at);
  assert.equal(look(START), undefined);
  touch(START);
  assert.equal(look(START + SESSION_IDLE_MS - 1), "session-1");
  assert.equal(look(START + SESSION_IDLE_MS), undefined);
  assert.equal(touch(START + SESSION_IDLE_MS).index, 2);
});

test("two tabs share a session, and follow each other into the next", () => {
  const storage = new MemoryStorage();
  const ids = countedIds();
  const [here, there] = [sessions(storage, ids), sessions(storage, ids)];
  assert.equal(here(START).id, there(START + 1).id);
  const next = there(START + SESSION_IDLE_MS + 10_000);
  assert.equal(here(START + SESSION_IDLE_MS + 10_001).id, next.id);
});

test("a tab that was left alone ends no session that another keeps alive", () => {
  const storage = new MemoryStorage();
  const ids = countedIds();
  const [idle, busy] = [sessions(storage, ids), sessions(storage, ids)];
  idle(START);
  for (let minutes = 4; minutes <= 32; minutes += 4) busy(START + minutes * 60_000);
  assert.equal(idle(START + 33 * 60_000).id, "session-1");
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
  assert.equal(touch(START + 4_000 + SESSION_IDLE_MS - 1).id, "session-1");
});

test("a clock that was far ahead does not keep a session for ever", () => {
  const touch = sessions();
  touch(START + 365 * 86_400_000);
  assert.equal(touch(START).id, "session-2");
});

test("at midnight a session ends where that is asked for", () => {
  const late = new Date(2026, 10, 29, 23, 59, 50).getTime();
  for (const [atMidnight, expected] of [[true, "session-2"], [false, "session-1"]] as const) {
    const touch = sessions(new MemoryStorage(), countedIds(), { atMidnight });
    touch(late);
    assert.equal(touch(late + 20_000).id, expected);
  }
});

test("a page with a new campaign begins a session; one without any, or with the same, does not", () => {
  const storage = new MemoryStorage();
  const ids = countedIds();
  const page = (campaign: string) => sessions(storage, ids, { campaign })(START).id;
  const seen = [page("utm_source,a"), page(""), page("utm_source,a"), page("utm_source,b"), page("")];
  assert.deepEqual(seen, ["session-1", "session-1", "session-1", "session-2", "session-2"]);
});

test("a campaign is what advertisers add to an address", () => {
  assert.equal(campaignOf("https://a.example/?b=2&utm_source=n&gclid=x#?utm_source=no"), campaignOf("?gclid=x&utm_source=n&c=3"));
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
