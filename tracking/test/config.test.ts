import assert from "node:assert/strict";
import { test } from "node:test";
import { readConfig } from "../src/config";

const PAGE = { hostname: "shop.example", origin: "https://shop.example" };
const script = (dataset: { [name: string]: string } = {}) => ({ src: "https://data.shop.example/js/tracking.js", dataset });

test("a bare script tag is enough", () => {
  assert.deepEqual(readConfig(script(), PAGE), {
    siteId: "shop.example",
    endpoint: "https://data.shop.example/collect",
    respectDnt: true,
    flushMs: 5_000,
    batchSize: 20,
    debug: false,
  });
});

test("attributes decide; nonsense and excess fall back to what works", () => {
  const config = readConfig(script({ siteId: "s", endpoint: "/e", respectDnt: "false", debug: "", flushSeconds: "0.5", batchSize: "many" }), PAGE);
  assert.deepEqual(config, { siteId: "s", endpoint: "/e", respectDnt: false, flushMs: 500, batchSize: 20, debug: true });
  assert.equal(readConfig(script({ batchSize: "100000" }), PAGE).batchSize, 100);
  assert.equal(readConfig(script({ flushSeconds: "-1" }), PAGE).flushMs, 5_000);
});

test("without a script element the page's own origin is the collector", () => {
  assert.equal(readConfig(null, PAGE).endpoint, "https://shop.example/collect");
});
