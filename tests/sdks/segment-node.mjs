/** Send the calls with Segment's SDK for servers: node segment-node.mjs HOST CALLS */
import { Analytics } from "@segment/analytics-node";

const [host, calls] = process.argv.slice(2);
const analytics = new Analytics({ writeKey: "key-of-the-shop", host, flushInterval: 100 });

const failures = [];
analytics.on("error", (error) => failures.push(String(error.reason)));

for (const { type, ...call } of JSON.parse(calls)) analytics[type](call);
await analytics.closeAndFlush({ timeout: 60_000 });
console.log(JSON.stringify({ failures }));
