import assert from "node:assert/strict";
import { test } from "node:test";
import { outcomeOf } from "../src/transport";

const kind = (status: number) => outcomeOf(status, new Headers(), "").kind;

test("only what may pass is worth a retry", () => {
  for (const status of [200, 202, 204]) assert.equal(kind(status), "accepted");
  for (const status of [408, 429, 500, 502, 503, 504]) assert.equal(kind(status), "unavailable");
  for (const status of [400, 401, 403, 404, 415, 422]) assert.equal(kind(status), "refused");
  assert.equal(kind(413), "too_large");
});

test("the server's answer and its Retry-After are passed on", () => {
  assert.deepEqual(outcomeOf(200, new Headers(), '{"accepted":2,"rejected":0}'), {
    kind: "accepted", status: 200, answer: { accepted: 2, rejected: 0 },
  });
  assert.deepEqual(outcomeOf(503, new Headers({ "retry-after": "3" }), ""), {
    kind: "unavailable", status: 503, retryAfterMs: 3_000,
  });
});
