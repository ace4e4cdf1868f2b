import assert from "node:assert/strict";
import { test } from "node:test";
import commerce from "../plugins/commerce";
import { FakePage, gtag } from "./fake-page";

const GA4_MUG = { item_id: "tin-mug", item_name: "Tin mug", item_category: "Kitchen", price: 18, quantity: 2 };
const MUG = { productId: "tin-mug", name: "Tin mug", category: "Kitchen", price: 18, quantity: 2 };
const aPurchase = (orderId = "L-1") => ({
  event: "purchase",
  ecommerce: { transaction_id: orderId, value: 36, currency: "EUR", shipping: 6, tax: 2, items: [GA4_MUG] },
});
const PURCHASE = {
  orderId: "L-1", value: 36, revenue: 36, currency: "EUR", itemCount: 2, items: [MUG], shipping: 6,
};

test("GA4's data layer is told as the shop's events", () => {
  const page = new FakePage().run(commerce);
  const { dataLayer } = page.window;
  const ecommerce = { currency: "EUR", value: 36, items: [GA4_MUG] };
  dataLayer.push({ event: "view_item", ecommerce });
  dataLayer.push({ ecommerce: null }, { event: "add_to_cart", ecommerce });
  dataLayer.push({ event: "remove_from_cart", ecommerce });
  dataLayer.push({ event: "begin_checkout", ecommerce });
  dataLayer.push(aPurchase());
  const product = { ...MUG, currency: "EUR", value: 36 };
  assert.deepEqual(page.told, [
    { type: "product_view", properties: product },
    { type: "add_to_cart", properties: product },
    { type: "remove_from_cart", properties: product },
    { type: "checkout", properties: { value: 36, currency: "EUR", itemCount: 2, items: [MUG] } },
    { type: "purchase", properties: PURCHASE },
  ]);
  assert.deepEqual(page.errors, []);
});

test("gtag's arguments are heard like objects", () => {
  const page = new FakePage().run(commerce);
  page.window.dataLayer.push(gtag("js", new Date()), gtag("config", "G-1"));
  page.window.dataLayer.push(gtag("event", "purchase", aPurchase().ecommerce));
  assert.deepEqual(page.told, [{ type: "purchase", properties: PURCHASE }]);
});

test("Segment's names and fields are known", () => {
  const page = new FakePage().run(commerce);
  const { dataLayer } = page.window;
  dataLayer.push({ event: "Product Viewed", product_id: "tin-mug", name: "Tin mug", price: "18.00", currency: "EUR" });
  dataLayer.push({ event: "Product Added", sku: "s-1", name: "Kettle", price: 52, quantity: 2 });
  dataLayer.push({
    event: "Order Completed", order_id: "o-1", revenue: 52, currency: "EUR",
    products: [{ product_id: "k", name: "Kettle", price: 52 }],
  });
  assert.deepEqual(page.told, [
    {
      type: "product_view",
      properties: { productId: "tin-mug", name: "Tin mug", price: 18, currency: "EUR", value: 18 },
    },
    { type: "add_to_cart", properties: { productId: "s-1", name: "Kettle", price: 52, quantity: 2, value: 104 } },
    {
      type: "purchase",
      properties: {
        orderId: "o-1", value: 52, revenue: 52, currency: "EUR", itemCount: 1,
        items: [{ productId: "k", name: "Kettle", price: 52 }],
      },
    },
  ]);
});

test("several products put into the cart at once are an event each", () => {
  const page = new FakePage().run(commerce);
  const items = [GA4_MUG, { item_id: "kettle", price: 52 }];
  page.window.dataLayer.push({ event: "add_to_cart", ecommerce: { currency: "EUR", value: 88, items } });
  assert.deepEqual(
    page.told.map(({ type, properties }) => [type, properties!.productId, properties!.value]),
    [["add_to_cart", "tin-mug", 36], ["add_to_cart", "kettle", 52]],
  );
});

test("an order of a thousand lines is told with a hundred", () => {
  const page = new FakePage().run(commerce);
  page.window.dataLayer.push({ event: "purchase", ecommerce: { items: Array(1000).fill(GA4_MUG) } });
  assert.equal((page.told[0]!.properties!.items as unknown[]).length, 100);
});

test("what was pushed before the plugin came is replayed, and the layer goes on as it was", () => {
  const page = new FakePage();
  const layer = [aPurchase(), null, "text", 7];
  const pushed: unknown[] = [];
  page.window.dataLayer = layer;
  layer.push = function (this: unknown, ...entries: any[]) {
    assert.equal(this, layer);
    pushed.push(...entries);
    return 42; // as GTM's own, which answers something else than the length
  };
  page.run(commerce);
  assert.equal(page.told.length, 1);
  const later = { event: "gtm.load" };
  assert.equal((layer.push as (...entries: unknown[]) => unknown)(later), 42);
  assert.deepEqual(pushed, [later]);
  assert.deepEqual(page.errors, []);
});

test("a plugin that fails on an entry does not fail the page's push; the page's own error is its to see", () => {
  const page = new FakePage().run(commerce);
  assert.equal(page.window.dataLayer.push({ event: "purchase", ecommerce: { items: 5 } }), 1);
  assert.equal(page.errors.length, 1);

  const broken = new FakePage();
  broken.window.dataLayer = Object.assign([], { push: () => { throw new Error("the page's"); } });
  broken.run(commerce);
  assert.throws(() => broken.window.dataLayer.push({}), /the page's/);
});

test("a data layer of another name is read when the tag says so", () => {
  const page = new FakePage({ options: { dataLayer: "shopLayer" } });
  page.window.shopLayer = [aPurchase()];
  page.run(commerce);
  assert.equal(page.told.length, 1);
});

test("an order is purchased once in a browser session: again pushed, or its page loaded again", () => {
  const stored = {};
  const first = new FakePage({ stored }).run(commerce);
  first.window.dataLayer.push(aPurchase(), aPurchase(), aPurchase("L-2"));
  assert.deepEqual(first.told.map(({ properties }) => properties!.orderId), ["L-1", "L-2"]);

  const reloaded = new FakePage({ stored });
  reloaded.window.dataLayer = [aPurchase()];
  reloaded.run(commerce);
  assert.deepEqual(reloaded.told, []);
});

test("nothing is stored before consent; once granted, the order is remembered; denied, it is forgotten", () => {
  const stored = {};
  const page = new FakePage({ stored, isGranted: false }).run(commerce);
  page.window.dataLayer.push(aPurchase(), aPurchase());
  assert.equal(page.told.length, 1);
  assert.deepEqual(stored, {});
  page.grant();
  assert.deepEqual(Object.keys(stored), ["sluice_shop.example_purchase_L-1"]);
  page.deny();
  assert.deepEqual(stored, {});
});

test("where storage is refused, a page still tells an order once", () => {
  const stored = new Proxy({}, {
    get: () => { throw new Error("refused"); },
    set: () => { throw new Error("refused"); },
  });
  const page = new FakePage({ stored }).run(commerce);
  page.window.dataLayer.push(aPurchase(), aPurchase());
  assert.equal(page.told.length, 1);
  assert.deepEqual(page.errors, []);
});
