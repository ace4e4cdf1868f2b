// The examples beside the contract, through the tracker's own types and envelope.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fillEnvelope } from "../src/envelope";
import type { Event } from "../src/event";

const contract = join(process.cwd(), "..", "core", "contract");
const schema = JSON.parse(readFileSync(join(contract, "event.schema.json"), "utf8"));
const fields = new Set(Object.keys(schema.$defs.Event.properties));

test("a canonical example uses the contract's names only", () => {
  const folder = join(contract, "examples", "valid");
  const examples = readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")));
  const canonical = examples.filter((example) => example.canonical);
  assert.ok(canonical.length >= 3);
  for (const { body } of canonical) {
    const { events = [], ...envelope } = body;
    const refilled = fillEnvelope((events.length ? events : [envelope]) as Event[], {}, "2026-11-21T10:00:00.000Z");
    for (const sent of [envelope, refilled, ...events, ...refilled.events]) {
      for (const name of Object.keys(sent)) assert.ok(fields.has(name) || name === "events", name);
    }
  }
});
