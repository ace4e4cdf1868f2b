// Sluice, as a custom pixel: Settings → Customer events → Add custom pixel. Fill in these two.
const ENDPOINT = "https://events.shop.example/collect";
const SITE_ID = "shop.example";

// "checkout": the theme has the tracker (sluice.liquid), which counts the shop's own pages.
// "all": it has not, and the pixel counts them.
const PAGE_VIEWS = "checkout";

const MAX_HELD = 100;
const SESSION_IDLE_MS = 30 * 60 * 1000;
const RETRY_AFTER_MS = [500, 2000, 8000];

const TOLD_AS = {
  page_viewed: ["page_view", () => undefined],
  product_viewed: ["product_view", (data) => tellLine({ merchandise: data.productVariant, quantity: 1 })],
  product_added_to_cart: ["add_to_cart", (data) => tellLine(data.cartLine)],
  checkout_started: ["checkout", (data) => tellCheckout(data.checkout)],
  checkout_completed: ["purchase", (data) => tellPurchase(data.checkout)],
};

let isAllowed = mayAnalyse(init.customerPrivacy);
let held = [];

api.customerPrivacy.subscribe("visitorConsentCollected", (event) => {
  isAllowed = mayAnalyse(event.customerPrivacy);
  const waiting = held;
  held = [];
  // Denied: what was held is forgotten.
  if (isAllowed) waiting.forEach(send);
});

for (const name of Object.keys(TOLD_AS)) {
  analytics.subscribe(name, (event) => {
    if (!isWanted(event)) return;
    if (isAllowed) return send(event);
    // Not asked yet, or denied: nothing leaves, nothing is stored.
    held = [...held, event].slice(-MAX_HELD);
  });
}

function mayAnalyse(privacy) {
  return !!privacy && privacy.analyticsProcessingAllowed === true;
}

function isWanted(event) {
  if (event.name !== "page_viewed" || PAGE_VIEWS === "all") return true;
  return /^\/(?:[a-z-]+\/)?(?:\d+\/)?checkouts?(?:\/|$)/.test(pathOf(event));
}

function pathOf(event) {
  const { document } = event.context || {};
  return (document && document.location && document.location.pathname) || "";
}

// --- what an event tells: what was bought and for how much, never by whom ---------------------

function describe(event) {
  const [eventType, properties] = TOLD_AS[event.name];
  const { document = {}, navigator = {}, window = {} } = event.context || {};
  const { location = {} } = document;
  return {
    // Shopify's own id: whatever is sent again is delivered once. An order is one purchase, however
    // often its page is opened.
    eventId: orderIdOf(event) ? `shopify-purchase-${orderIdOf(event)}` : event.id,
    eventType,
    occurredAt: event.timestamp,
    url: location.href && withoutSecrets(location.href),
    path: location.pathname && withoutTokens(location.pathname),
    title: document.title,
    referrer: document.referrer && withoutSecrets(document.referrer),
    language: navigator.language,
    userAgent: navigator.userAgent,
    viewportWidth: window.innerWidth,
    viewportHeight: window.innerHeight,
    properties: properties(event.data || {}),
  };
}

function tellVariant(variant) {
  if (!variant) return undefined;
  const { product = {}, price = {} } = variant;
  return {
    productId: product.id,
    variantId: variant.id,
    sku: variant.sku,
    name: product.title,
    variant: variant.title,
    brand: product.vendor,
    category: product.type,
    price: price.amount,
    currency: price.currencyCode,
  };
}

function tellLine(line) {
  if (!line || !line.merchandise) return undefined;
  const { price, quantity } = { ...tellVariant(line.merchandise), quantity: line.quantity };
  return { ...tellVariant(line.merchandise), quantity, value: price === undefined ? undefined : price * quantity };
}

function tellCheckout(checkout) {
  if (!checkout) return undefined;
  const amount = (money) => (money ? money.amount : undefined);
  const lines = checkout.lineItems || [];
  return {
    value: amount(checkout.totalPrice),
    tax: amount(checkout.totalTax),
    shipping: amount(checkout.shippingLine && checkout.shippingLine.price),
    currency: checkout.currencyCode,
    itemCount: lines.reduce((count, line) => count + line.quantity, 0),
    items: lines.map((line) => ({ ...tellVariant(line.variant), quantity: line.quantity })),
  };
}

function tellPurchase(checkout) {
  const told = tellCheckout(checkout);
  return told && { orderId: checkout.order ? checkout.order.id : undefined, revenue: told.value, ...told };
}

function orderIdOf(event) {
  const { checkout } = event.data || {};
  return event.name === "checkout_completed" && checkout && checkout.order ? checkout.order.id : undefined;
}

// A checkout's address opens it: its token is not told, and neither is what follows "?" there.
function withoutSecrets(address) {
  const bare = withoutTokens(address);
  return bare === address ? address : bare.split(/[?#]/)[0];
}

function withoutTokens(address) {
  return address.replace(/\/(checkouts(?:\/cn|\/co|\/c)?|orders|thank_you)\/[^/?#]+/g, "/$1/…");
}

// --- who it was, and the way to the collector --------------------------------------------------

async function send(event) {
  const who = await whoIsHere(event);
  if (!who) return;
  const body = JSON.stringify({
    siteId: SITE_ID,
    source: "shopify",
    consent: "granted",
    sentAt: new Date().toISOString(),
    ...who,
    events: [describe(event)],
  });
  // A string is text/plain, which needs no preflight; keepalive outlives the page.
  for (const waitMs of [...RETRY_AFTER_MS, null]) {
    try {
      const { status } = await fetch(ENDPOINT, { method: "POST", body, keepalive: true, credentials: "omit" });
      if (status < 500 && status !== 429 && status !== 408) return;
    } catch {
      // No answer: the same body, with the same id, again.
    }
    if (waitMs === null) return;
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

/** The tracker's own ids where the theme has it; Shopify's otherwise; nobody who opted out. */
async function whoIsHere(event) {
  if (typeof navigator !== "undefined" && navigator.globalPrivacyControl) return undefined;
  const read = async (key) => {
    try {
      return (await browser.localStorage.getItem(key)) || (await browser.cookie.get(key)) || undefined;
    } catch {
      return undefined;
    }
  };
  if (await read("sluice_opt_out")) return undefined;
  return { visitorId: (await read("sluice_visitor")) || event.clientId, sessionId: await sessionId(read) };
}

async function sessionId(read) {
  try {
    const { id, lastAt } = JSON.parse(await read("sluice_session"));
    return Math.abs(Date.now() - lastAt) < SESSION_IDLE_MS ? id : undefined;
  } catch {
    return undefined;
  }
}
