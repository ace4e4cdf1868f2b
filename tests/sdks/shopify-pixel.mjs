/** The pixel of tracking/snippets/shopify in a sandbox like Shopify's: a fake `analytics`, real events. */
import { readFile } from "node:fs/promises";
import vm from "node:vm";

const [endpoint, scenario] = process.argv.slice(2);
const { allowed = true, stored = {}, steps, gpc = false, pageViews = "checkout" } = JSON.parse(scenario);

const file = new URL("../../tracking/snippets/shopify/web-pixel.js", import.meta.url);
const code = (await readFile(file, "utf8"))
  .replace("https://events.shop.example/collect", endpoint)
  .replace('PAGE_VIEWS = "checkout"', `PAGE_VIEWS = "${pageViews}"`);

const subscribers = {};
let onConsent;
const sent = [];
const sandbox = {
  analytics: { subscribe: (name, run) => (subscribers[name] = run) },
  api: { customerPrivacy: { subscribe: (name, run) => name === "visitorConsentCollected" && (onConsent = run) } },
  init: { customerPrivacy: { analyticsProcessingAllowed: allowed, marketingAllowed: false } },
  browser: {
    localStorage: { getItem: async (key) => stored[key] ?? null },
    cookie: { get: async () => "" },
  },
  navigator: { globalPrivacyControl: gpc },
  fetch: (url, options) => {
    const answer = fetch(url, options);
    sent.push(answer.catch(() => undefined));
    return answer;
  },
  setTimeout: (run, ms) => setTimeout(run, ms / 20),
  console,
};
vm.runInNewContext(code, sandbox);

const location = (href) => ({ href, pathname: new URL(href).pathname });
for (const { name, id, at, data = {}, consent } of steps) {
  if (consent !== undefined) onConsent({ customerPrivacy: { analyticsProcessingAllowed: consent } });
  else {
    subscribers[name]({
      id,
      name,
      clientId: "shopify-client",
      timestamp: new Date().toISOString(),
      context: {
        document: { location: location(at), referrer: "https://www.google.com/", title: "Red shoes" },
        navigator: { language: "de-CH", userAgent: "Mozilla/5.0 (X11) Chrome/142.0" },
        window: { innerWidth: 1280, innerHeight: 720 },
      },
      data,
    });
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
}
// Retries wait less than a second here.
await new Promise((resolve) => setTimeout(resolve, 700));
await Promise.all(sent);
console.log(JSON.stringify({ requests: sent.length, subscribed: Object.keys(subscribers).sort() }));
