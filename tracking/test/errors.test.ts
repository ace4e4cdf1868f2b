import assert from "node:assert/strict";
import { test } from "node:test";
import errors from "../plugins/errors";
import { FakeElement, define, observing } from "./observing-host";

define({ window: globalThis });

const anError = (fields: object = {}) => ({
  target: globalThis,
  message: "x is undefined",
  filename: "https://shop.example/app.js?token=s3cret",
  lineno: 12,
  colno: 5,
  error: { message: "x is undefined", stack: "Error: x\n at f (https://shop.example/app.js?token=s3cret)" },
  ...fields,
});

test("an error is told at once, with where it was and without what is private", () => {
  const page = observing(errors);
  page.fire("error", anError({ message: "no user joe@example.com" }));
  assert.deepEqual(page.of("js_error"), [
    {
      kind: "error",
      message: "no user [email]",
      source: "https://shop.example/app.js?token=[redacted]",
      line: 12,
      column: 5,
      stack: "Error: x\n at f (https://shop.example/app.js?token=[redacted])",
      count: 1,
    },
  ]);
});

test("the same error again is only counted, and the counts add up", () => {
  const page = observing(errors);
  for (let i = 0; i < 7; i++) page.fire("error", anError());
  page.fire("error", anError({ lineno: 13 }));
  assert.equal(page.tracked.length, 2);
  page.hide();
  page.hide();
  assert.deepEqual(page.of("js_error").map(({ line, count }) => [line, count]), [[12, 1], [13, 1], [12, 6]]);
});

test("twenty kinds of errors are told, and how many more there were", () => {
  const page = observing(errors);
  for (let line = 1; line <= 25; line++) page.fire("error", anError({ lineno: line }));
  page.hide();
  assert.equal(page.of("js_error").length, 20);
  assert.deepEqual(page.of("errors_omitted"), [{ count: 5 }]);
});

test("a rejection's place is read from its stack; what is no error is told as text", () => {
  const page = observing(errors);
  const stack = "TypeError: nope\n    at load (https://shop.example/app.js:3:14)";
  page.fire("unhandledrejection", { reason: { message: "nope", stack } });
  for (const reason of ["plain", undefined, null, 0]) page.fire("unhandledrejection", { reason });
  const told = page.of("js_error");
  assert.deepEqual(
    told.map(({ kind, message, source, line, column }) => [kind, message, source, line, column]),
    [
      ["rejection", "nope", "https://shop.example/app.js", 3, 14],
      ["rejection", "plain", "", 0, 0],
      ["rejection", "", "", 0, 0],
      ["rejection", "0", "", 0, 0],
    ],
  );
});

test("texts are bounded", () => {
  const page = observing(errors);
  page.fire("error", anError({ message: "m".repeat(1e6), error: { stack: "s".repeat(1e6) } }));
  const [told] = page.of("js_error");
  assert.deepEqual([String(told!.message).length, String(told!.stack).length], [500, 2_000]);
});

test("extensions and our own chunks are not the page's errors", () => {
  const page = observing(errors);
  page.fire("error", anError({ filename: "chrome-extension://abc/content.js" }));
  page.fire("error", anError({ filename: import.meta.url }));
  assert.deepEqual(page.tracked, []);
});

test("a resource that failed is told by tag and clean address", () => {
  const page = observing(errors);
  const image = Object.assign(new FakeElement(), { localName: "img", src: "https://cdn.example/a.png?token=1" });
  page.fire("error", { target: image });
  page.fire("error", { target: Object.assign(new FakeElement(), { src: "https://cdn.example/b.png", ignored: true }) });
  assert.deepEqual(page.tracked, [
    { name: "resource_error", properties: { tag: "img", url: "https://cdn.example/a.png?token=[redacted]", count: 1 } },
  ]);
});
