import assert from "node:assert/strict";
import { test } from "node:test";
import { fillEnvelope } from "../src/envelope";
import { anEvent } from "./fakes";

const SENT_AT = "2026-11-21T10:15:31.000Z";
const wire = (...args: Parameters<typeof fillEnvelope>) => JSON.parse(JSON.stringify(fillEnvelope(...args)));

test("what all events share is said once", () => {
  const shared = { visitorId: "v", sessionId: "s", sessionIndex: 2, userId: "u" };
  const body = wire([anEvent({ ...shared, url: "/a" }), anEvent({ ...shared, url: "/b" })], { siteId: "shop" }, SENT_AT);
  assert.deepEqual(Object.keys(body).sort(), [
    "eventType", "events", "sentAt", "sessionId", "sessionIndex", "siteId", "userId", "visitorId",
  ]);
  assert.deepEqual(body.events.map(Object.keys), [["eventId", "eventType", "url"], ["eventId", "eventType", "url"]]);
});

test("a session that ends within a batch stays on its events", () => {
  const body = wire([anEvent({ sessionId: "s1", visitorId: "v" }), anEvent({ sessionId: "s2", visitorId: "v" })], {}, SENT_AT);
  assert.equal("sessionId" in body, false);
  assert.deepEqual(body.events.map((event: { sessionId: string }) => event.sessionId), ["s1", "s2"]);
  assert.equal(body.visitorId, "v");
});

test("somebody who signs in within a batch is not said to have been there before", () => {
  const body = wire([anEvent(), anEvent({ userId: "u" })], {}, SENT_AT);
  assert.equal("userId" in body, false);
  assert.deepEqual(body.events.map((event: { userId?: string }) => event.userId), [undefined, "u"]);
});
