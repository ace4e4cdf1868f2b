import assert from "node:assert/strict";
import { test } from "node:test";
import { createOptOut } from "../src/opt-out";
import { asksNotToBeTracked } from "../src/privacy-signals";
import { MemoryStorage } from "./fakes";

test("Do Not Track and Global Privacy Control are heard", () => {
  assert.equal(asksNotToBeTracked({ doNotTrack: "1" }), true);
  assert.equal(asksNotToBeTracked({ doNotTrack: "yes" }), true);
  assert.equal(asksNotToBeTracked({ doNotTrack: null, globalPrivacyControl: true }), true);
});

test("no signal is no signal", () => {
  assert.equal(asksNotToBeTracked({}), false);
  assert.equal(asksNotToBeTracked({ doNotTrack: "0", globalPrivacyControl: false }), false);
  assert.equal(asksNotToBeTracked({ doNotTrack: "unspecified" }), false);
});

test("an opt-out is remembered until it is taken back", () => {
  const storage = new MemoryStorage();
  createOptOut(storage).optOut();
  assert.equal(createOptOut(storage).isOptedOut(), true);
  createOptOut(storage).optIn();
  assert.equal(createOptOut(storage).isOptedOut(), false);
});
