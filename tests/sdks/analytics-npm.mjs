/** Make calls of the npm package `analytics` with our plugin: node analytics-npm.mjs ENDPOINT */
import analytics from "analytics";
import { sluicePlugin } from "../../tracking/plugin-analytics/dist/sluice-plugin.js";

const [endpoint] = process.argv.slice(2);
const failures = [];
const plugin = sluicePlugin({
  endpoint,
  siteId: "shop.example",
  writeKey: "key-of-the-shop",
  onFailed: ({ reason, status, retryInMs }) => failures.push({ reason, status, dropped: retryInMs === null }),
});
const { default: Analytics } = analytics;
const client = Analytics({ app: "portal", version: "1.4.2", plugins: [plugin] });

await new Promise((resolve) => client.ready(resolve));
await client.page({ url: "https://shop.example/a", path: "/a", title: "A", referrer: "https://www.google.com/", section: 3 });
await client.track("Order Completed", { revenue: 39.95, products: [{ sku: "a-1" }] });
await client.identify("u_1", { plan: "pro" });
await client.track("Signed Up");
await client.track("x".repeat(300));
await client.reset();
await client.track("Left");
client.plugins.sluice.flush();
// Nothing else to do: the process ends when what waits has been sent.
process.on("exit", () => console.log(JSON.stringify({ failures })));
