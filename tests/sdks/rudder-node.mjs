/** Send the calls with RudderStack's SDK for servers: node rudder-node.mjs HOST CALLS */
import Analytics from "@rudderstack/rudder-sdk-node";

const [dataPlaneUrl, calls] = process.argv.slice(2);
const failures = [];
const analytics = new Analytics("key-of-the-shop", {
  dataPlaneUrl,
  flushInterval: 100,
  logLevel: "none",
  errorHandler: (error) => failures.push(String(error)),
});

const answered = JSON.parse(calls).map(
  ({ type, ...call }) => new Promise((resolve) => analytics[type](call, resolve)),
);
await analytics.flush();
await Promise.all(answered);
console.log(JSON.stringify({ failures }));
