import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRetryAfterMs, retryDelayMs } from "../src/backoff";

test("waits double from half a second, to four seconds in the first minute", () => {
  const waits = [1, 2, 3, 4, 5, 6].map((failures) => retryDelayMs(failures, 1_000, 0, 0.999999));
  assert.deepEqual(waits.map(Math.round), [500, 1_000, 2_000, 4_000, 4_000, 4_000]);
});

test("a long outage is asked about every five minutes at most", () => {
  for (const failures of [20, 200, 2_000]) {
    assert.equal(Math.round(retryDelayMs(failures, 3_600_000, 0, 0.999999)), 300_000);
  }
});

test("jitter takes up to half of the wait off", () => {
  assert.equal(retryDelayMs(3, 0, 0, 0), 1_000);
});

test("the server's wish is never undercut, and bounded by an hour", () => {
  const wait = (retryAfterMs: number) => retryDelayMs(1, 0, retryAfterMs, 0.5);
  assert.ok(wait(20_000) >= 20_000 && wait(20_000) < 21_000);
  assert.ok(wait(1e12) < 3_601_000);
});

test("Retry-After is read as seconds or as a date", () => {
  const now = Date.parse("2026-11-21T10:00:00Z");
  assert.equal(parseRetryAfterMs("7", now), 7_000);
  assert.equal(parseRetryAfterMs("Sat, 21 Nov 2026 10:00:30 GMT", now), 30_000);
  for (const nothing of [null, "", "soon", "-3", "0", "Sat, 21 Nov 2020 10:00:30 GMT"]) {
    assert.equal(parseRetryAfterMs(nothing, now), 0);
  }
});
