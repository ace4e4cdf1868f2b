import assert from "node:assert/strict";
import { mock, test } from "node:test";
import search from "../plugins/search";
import { FakePage } from "./fake-page";

interface Shown {
  address: string;
  referrer?: string;
  /** The text and the attribute of the element that says how many; none without. */
  text?: string;
  attribute?: string;
  options?: { [name: string]: string };
}

/** What a page tells when it is loaded with this address and shows this. */
function toldBy({ address, referrer = "", text, attribute = "", options }: Shown): unknown[][] {
  const element = text === undefined ? null : { getAttribute: () => attribute, textContent: text };
  const page = new FakePage({ options });
  Object.assign(globalThis, {
    location: new URL("https://shop.example" + address),
    document: {
      referrer,
      querySelector: (selector: string) => (selector === "[data-sluice-results]" ? element : null),
    },
  });
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    page.run(search);
    for (let look = 0; look < 20; look++) mock.timers.tick(250);
  } finally {
    mock.timers.reset();
  }
  assert.deepEqual(page.errors, []);
  return page.told.map(({ type, properties }) => [type, properties]);
}

const resultsOf = (text: string, attribute = "") =>
  (toldBy({ address: "/?q=x", text, attribute })[0]![1] as { results?: number }).results;

test("a count is read however people write it", () => {
  for (const text of ["1234", "1,234 results", "About 1.234 things", "1 234", "1’234", "1'234", "1\u00a0234"]) {
    assert.equal(resultsOf(text), 1234, text);
  }
  assert.equal(resultsOf("12,345,678"), 12_345_678);
  assert.equal(resultsOf("3 for “iphone 15”"), 3);
  assert.equal(resultsOf("many", "7"), 7, "the attribute comes first");
  assert.equal(resultsOf("none that we could find"), undefined);
});

test("no count is waited for, and then the search is told without", () => {
  assert.deepEqual(toldBy({ address: "/?q=mug" }), [["search", { query: "mug" }]]);
});

test("nothing found is a failed search as well", () => {
  assert.deepEqual(toldBy({ address: "/?q=mug", text: "0 things" }), [
    ["search", { query: "mug", results: 0 }],
    ["search_failed", { query: "mug" }],
  ]);
});

test("the first parameter that says something is the query, in the hash too", () => {
  const queryIn = (address: string, options?: { [name: string]: string }) =>
    (toldBy({ address, text: "1", options })[0]?.[1] as { query?: string } | undefined)?.query;
  assert.equal(queryIn("/?q=&query=++tin++mug+"), "tin mug");
  assert.equal(queryIn("/#/find?s=lamp"), "lamp");
  assert.equal(queryIn("/?find=lamp"), undefined);
  assert.equal(queryIn("/?q=no&find=lamp", { searchParams: "find text" }), "lamp");
  assert.equal(queryIn("/?q=" + "x".repeat(5_000)), "x".repeat(100));
  assert.equal(queryIn("/?q=ann%40mail.example"), "[redacted:email]");
});

test("the same search on the page before is not another", () => {
  const asked = (referrer: string) =>
    toldBy({ address: "/?q=mug&page=2&color=red", referrer, text: "9", options: { searchFilters: "color" } }).length;
  assert.equal(asked("https://shop.example/?q=mug&color=red"), 0);
  assert.equal(asked("https://shop.example/?q=mug&color=blue"), 1, "another filter is another search");
  assert.equal(asked("https://shop.example/"), 1);
  assert.equal(asked("https://engine.example/?q=mug&color=red"), 1, "elsewhere is not here");
  assert.equal(asked(""), 1);
});
