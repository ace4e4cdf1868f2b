import assert from "node:assert/strict";
import { test } from "node:test";
import { uuidv4, uuidv7 } from "../src/ids";

test("a UUIDv7 carries its version, its variant and its millisecond", () => {
  const now = Date.now() + 1_000;
  const id = uuidv7(now);
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(parseInt(id.replace(/-/g, "").slice(0, 12), 16), now);
});

test("ids of one page rise: within a millisecond, over a full counter, and when the clock steps back", () => {
  const now = Date.now() + 10_000;
  const ids = Array.from({ length: 10_000 }, (_, i) => uuidv7(i < 9_000 ? now : now - 5_000));
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual([...ids].sort(), ids);
});

test("a UUIDv4 is random and has its shape", () => {
  const ids = new Set(Array.from({ length: 1_000 }, uuidv4));
  assert.equal(ids.size, 1_000);
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
