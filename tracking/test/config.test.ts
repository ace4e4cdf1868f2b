import assert from "node:assert/strict";
import { test } from "node:test";
import { isOn, nameOf, readConfig, within } from "../src/config";
import { besideScript } from "../src/plugins";

const PAGE = { hostname: "shop.example", href: "https://shop.example/p/7?x=1" };
const script = (dataset: { [name: string]: string } = {}) => ({ src: "https://data.shop.example/js/tracking.js", dataset });

test("a bare script tag is enough", () => {
  assert.deepEqual(readConfig(script(), PAGE), {
    siteId: "shop.example",
    endpoint: "https://data.shop.example/collect",
    src: "https://data.shop.example/js/tracking.js",
    data: {},
  });
});

test("attributes decide", () => {
  const config = readConfig(script({ name: "other", siteId: "s", endpoint: "/e" }), PAGE);
  assert.deepEqual([nameOf(config.data), config.siteId, config.endpoint], ["other", "s", "/e"]);
});

test("under an alias the chunks are beside the script", () => {
  const { src, endpoint } = readConfig({ src: "https://shop.example/a/app.js?v=1/2", dataset: {} }, PAGE);
  assert.equal(besideScript(src, "chunk.js"), "https://shop.example/a/chunk.js");
  assert.equal(endpoint, "https://shop.example/collect");
});


test("a number keeps within its bounds; nonsense is the default", () => {
  const cases = { "0.5": 1, "7": 7, "100000": 100, "-1": 20, many: 20, "": 20 };
  for (const [text, expected] of Object.entries(cases)) assert.equal(within(text, 20, 1, 100), expected, text);
  assert.equal(within(undefined, 20, 1, 100), 20);
});

test("a setting without a value is on", () => {
  assert.deepEqual([undefined, "false", "", "true"].map(isOn), [false, false, true, true]);
});
