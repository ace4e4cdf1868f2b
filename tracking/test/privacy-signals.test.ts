import assert from "node:assert/strict";
import { test } from "node:test";
import { asksNotToBeTracked } from "../src/privacy-signals";

function asks(signals: object): boolean {
  Object.defineProperty(globalThis, "navigator", { value: signals, configurable: true });
  return asksNotToBeTracked();
}

test("Do Not Track and Global Privacy Control are heard", () => {
  assert.equal(asks({ doNotTrack: "1" }), true);
  assert.equal(asks({ doNotTrack: null, globalPrivacyControl: true }), true);
});

test("no signal is no signal", () => {
  assert.equal(asks({}), false);
  assert.equal(asks({ doNotTrack: "0", globalPrivacyControl: false }), false);
  assert.equal(asks({ doNotTrack: "unspecified" }), false);
});
