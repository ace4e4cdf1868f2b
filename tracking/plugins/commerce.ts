import type { Plugin } from "../src/plugin";
import { eventIn, readDataLayer } from "./page/data-layer";
import { createOnce } from "./page/once";

const MAX_ITEMS = 100;

// What GA4 and Segment call it, and what we do.
// https://developers.google.com/analytics/devguides/collection/ga4/ecommerce
// https://segment.com/docs/connections/spec/ecommerce/v2/
const TYPES: { [name: string]: string } = {
  view_item: "product_view",
  "Product Viewed": "product_view",
  add_to_cart: "add_to_cart",
  "Product Added": "add_to_cart",
  remove_from_cart: "remove_from_cart",
  "Product Removed": "remove_from_cart",
  begin_checkout: "checkout",
  "Checkout Started": "checkout",
  purchase: "purchase",
  "Order Completed": "purchase",
};

/** What a shop tells others in its data layer, told as the events of a shop. */
const commerce: Plugin = (sluice, host) => {
  const isNew = createOnce(host);

  readDataLayer(host, (entry) => {
    const { name, data } = eventIn(entry);
    const type = TYPES[name];
    const isPurchase = type === "purchase";
    const orderId = data.transaction_id ?? data.order_id;
    if (!type || (isPurchase && orderId && !isNew("purchase_" + orderId))) return;

    const isOrder = isPurchase || type === "checkout";
    const { currency } = data;
    const value = number(data.value ?? data.revenue);
    const shipping = number(data.shipping);
    let itemCount = 0;
    const items = (data.items || data.products || (isOrder ? [] : [data])).slice(0, MAX_ITEMS).map((from: any) => {
      const [price, quantity] = [from.price, from.quantity].map(number);
      const item = {
        productId: from.item_id ?? from.product_id ?? from.sku,
        name: from.item_name ?? from.name,
        category: from.item_category ?? from.category,
        price,
        quantity,
      };
      itemCount += quantity || 1;
      if (!isOrder) sluice.track(type, { ...item, currency, value: price! * (quantity || 1) || value });
      return item;
    });
    if (isOrder) {
      sluice.track(type, { orderId, value, revenue: isPurchase ? value : undefined, currency, itemCount, items, shipping });
    }
  });
};

export default commerce;

/** A number, in text too; "1,299" is none, for it may be either of two: NaN, which JSON tells as null. */
const number = (said: any): number | undefined => said && +said;
