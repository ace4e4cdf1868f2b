import assert from "node:assert/strict";
import { test } from "node:test";
import { asksNotToBeTracked } from "../src/privacy-signals";

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
