/** Send some events with Snowplow's tracker for servers: node snowplow-node.mjs ENDPOINT SETTINGS */
import {
  buildPageView,
  buildSelfDescribingEvent,
  buildStructEvent,
  newTracker,
} from "@snowplow/node-tracker";

const [endpoint, settings] = process.argv.slice(2);
const { eventMethod, encodeBase64 } = JSON.parse(settings);

let sent = 0;
const failures = [];
const tracker = newTracker(
  { namespace: "node", appId: "shop-node", encodeBase64 },
  {
    endpoint,
    eventMethod,
    bufferSize: 100,
    onRequestSuccess: (events) => (sent += events.length),
    onRequestFailure: (failure) => failures.push(failure.status),
  },
);
tracker.setUserId("u-1");
tracker.setDomainUserId("d-1");
tracker.setNetworkUserId("n-1");
tracker.setSessionId("s-1");
tracker.setSessionIndex(3);
tracker.setUseragent("Agent/1");
tracker.setIpAddress("198.51.100.77");
tracker.setScreenResolution(1920, 1080);
tracker.setViewport(1280, 720);
tracker.setColorDepth(24);
tracker.setTimezone("Europe/Zurich");
tracker.setLang("de-CH");

const user = { schema: "iglu:com.acme/user/jsonschema/1-0-0", data: { plan: "pro", name: "Zoë?>~" } };
const page = {
  pageUrl: "https://shop.example/p/7?a=1",
  pageTitle: "Red shoes ü",
  referrer: "https://www.google.com/",
};
tracker.track(buildPageView(page), [user]);
tracker.track(
  buildStructEvent({ category: "shop", action: "add", label: "p7", property: "red", value: 2.5 }),
);
tracker.track(
  buildSelfDescribingEvent({
    event: { schema: "iglu:com.acme/checkout_started/jsonschema/2-0-1", data: { cart: "c-7" } },
  }),
  [user],
  { type: "ttm", value: 1700000000000 },
);

const deadline = Date.now() + 60_000;
while (sent < 3 && Date.now() < deadline) {
  await tracker.flush();
  await new Promise((resolve) => setTimeout(resolve, 200));
}
console.log(JSON.stringify({ sent, failures }));
