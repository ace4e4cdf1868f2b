// src/announce.ts
function announceOnWindow(debug) {
  return (name, detail) => {
    if (debug || name === "sluice:failed") dispatchEvent(new CustomEvent(name, { detail }));
  };
}

// src/ids.ts
var COUNTER_LIMIT = 4096;
var lastMs = 0;
var counter = 0;
function uuidv7(nowMs = Date.now()) {
  if (nowMs > lastMs) {
    lastMs = nowMs;
    counter = random16() & 2047;
  } else if (++counter >= COUNTER_LIMIT) {
    lastMs++;
    counter = 0;
  }
  const time = hex(lastMs, 12);
  const tail = randomBytes(8);
  tail[0] = tail[0] & 63 | 128;
  return format(time + hex(28672 | counter, 4) + hexBytes(tail));
}
function randomBytes(length) {
  const bytes = new Uint8Array(length);
  try {
    crypto.getRandomValues(bytes);
  } catch {
    for (let i = 0; i < length; i++) bytes[i] = Math.random() * 256;
  }
  return bytes;
}
function random16() {
  const bytes = randomBytes(2);
  return bytes[0] << 8 | bytes[1];
}
function hex(value, digits) {
  return value.toString(16).padStart(digits, "0");
}
function hexBytes(bytes) {
  let text = "";
  bytes.forEach((byte) => text += hex(byte, 2));
  return text;
}
function format(digits) {
  return digits.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}

// src/capture.ts
var MAX_NAME_CHARS = 200;
var MAX_TITLE_CHARS = 1e3;
var MAX_URL_CHARS = 8e3;
function copyOf(properties) {
  if (typeof properties !== "object" || !properties || Array.isArray(properties)) return void 0;
  try {
    return JSON.parse(JSON.stringify(properties));
  } catch {
    return void 0;
  }
}

// src/clock.ts
var browserClock = {
  now: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  }
};

// src/context.ts
function readContext() {
  return {
    source: "web",
    language: navigator.language || void 0,
    timezone: timezone(),
    screenWidth: Math.round(screen.width),
    screenHeight: Math.round(screen.height),
    viewportWidth: Math.round(innerWidth),
    viewportHeight: Math.round(innerHeight)
  };
}
var knownTimezone;
function timezone() {
  try {
    knownTimezone = knownTimezone || Intl.DateTimeFormat().resolvedOptions().timeZone;
  } catch {
  }
  return knownTimezone || void 0;
}

// src/envelope.ts
var SHARED = ["visitorId", "sessionId", "sessionIndex", "userId"];
function fillEnvelope(events, context, sentAt) {
  const shared = SHARED.filter((field) => events.every((event) => event[field] === events[0][field]));
  const said = {};
  const unsaid = {};
  shared.forEach((field) => {
    said[field] = events[0][field];
    unsaid[field] = void 0;
  });
  return {
    ...context,
    ...said,
    eventType: "batch",
    sentAt,
    events: events.map((event) => ({ ...event, ...unsaid }))
  };
}

// src/guard.ts
function guard(run) {
  return (...args) => {
    try {
      return run(...args);
    } catch {
      return void 0;
    }
  };
}

// src/page-lifecycle.ts
function whenHidden(run) {
  document.addEventListener(
    "visibilitychange",
    guard(() => {
      if (document.visibilityState === "hidden") run();
    }),
    true
  );
  addEventListener("pagehide", guard(run), true);
}

// src/privacy-signals.ts
function asksNotToBeTracked(browser) {
  return browser.globalPrivacyControl === true || /^(1|yes)$/.test(browser.doNotTrack || "");
}

// src/backoff.ts
var FIRST_MS = 500;
var MOST_EARLY_MS = 4e3;
var MOST_LATE_MS = 5 * 6e4;
var MOST_ASKED_MS = 60 * 6e4;
var EARLY_MS = 6e4;
function retryDelayMs(outage) {
  const most = outage.lastedMs < EARLY_MS ? MOST_EARLY_MS : MOST_LATE_MS;
  const doubled = Math.min(FIRST_MS * 2 ** (outage.failures - 1), most);
  const jittered = doubled / 2 + doubled / 2 * outage.random;
  const asked = Math.min(outage.retryAfterMs || 0, MOST_ASKED_MS);
  return Math.max(jittered, asked + (asked && jittered));
}
function parseRetryAfterMs(header, now) {
  if (!header) return void 0;
  const delayMs = /^\s*\d+\s*$/.test(header) ? parseInt(header, 10) * 1e3 : Date.parse(header) - now;
  return delayMs > 0 ? delayMs : void 0;
}

// src/queue.ts
var MAX_QUEUED_EVENTS = 1e3;
var MAX_QUEUED_BYTES = 2 * 1024 * 1024;
function createQueue() {
  let items = [];
  function keep(all) {
    let first = Math.max(all.length - MAX_QUEUED_EVENTS, 0);
    let bytes = weigh(all.slice(first));
    while (bytes > MAX_QUEUED_BYTES && first < all.length - 1) bytes -= all[first++].bytes;
    items = all.slice(first);
    return all.slice(0, first);
  }
  return {
    size: () => items.length,
    push: (item) => keep(items.concat(item)),
    take(maxEvents, maxBytes) {
      let count = 0;
      for (let bytes = 0; count < Math.min(maxEvents, items.length); count++) {
        bytes += items[count].bytes;
        if (count && bytes > maxBytes) break;
      }
      return items.splice(0, count);
    },
    putBack: (back) => keep(back.concat(items)),
    clear: () => void (items = [])
  };
}
function weigh(items) {
  return items.reduce((sum, item) => sum + item.bytes, 0);
}

// src/sender.ts
var MAX_BEACON_BYTES = 56 * 1024;
var MAX_POST_BYTES = 32 * 1024;
var MAX_BODY_EVENTS = 100;
var FRAME_BYTES = 1024;
function createSender(options) {
  const { batchSize, flushMs, transport, clock, makeBody, announce, random } = options;
  const queue = createQueue();
  let postLimitBytes = MAX_POST_BYTES;
  let inFlight = 0;
  let isFlushDue = false;
  let failures = 0;
  let failingSince = 0;
  let droppedTotal = 0;
  let generation = 0;
  let cancelTimer;
  function add(event) {
    countDropped(queue.push({ event, bytes: byteLength(JSON.stringify(event)) + 1 }), "overflow", 0);
    if (!failures) proceed();
  }
  function proceed() {
    if (queue.size() >= batchSize) flush();
    else if (queue.size() && !cancelTimer) wait(flushMs);
  }
  function flush() {
    if (inFlight || failures) isFlushDue = true;
    else postOldest();
  }
  function flushBeforeHiding() {
    if (!failures) beaconAll();
    postOldest(true);
  }
  function beaconAll() {
    let limitBytes = MAX_BEACON_BYTES - FRAME_BYTES;
    while (queue.size()) {
      const batch = queue.take(MAX_BODY_EVENTS, limitBytes);
      if (transport.beacon(bodyOf(batch))) {
        announce("sluice:sent", { eventIds: idsOf(batch), via: "beacon", status: null, answer: null });
        continue;
      }
      queue.putBack(batch);
      if (batch.length === 1) return;
      limitBytes = weigh(batch) / 2;
    }
  }
  function postOldest(isHiding = false) {
    stopWaiting();
    isFlushDue = false;
    const batch = queue.take(MAX_BODY_EVENTS, postLimitBytes - FRAME_BYTES);
    if (!batch.length) return;
    const body = bodyOf(batch);
    const keepalive = (isHiding || !failures) && byteLength(body) <= MAX_POST_BYTES;
    const sentIn = generation;
    inFlight++;
    void transport.post(body, keepalive).then((outcome) => {
      inFlight--;
      if (sentIn === generation) settle(batch, outcome);
      if (!inFlight && !failures) isFlushDue ? postOldest() : proceed();
    });
  }
  function settle(batch, outcome) {
    const { status } = outcome;
    if (outcome.kind === "unavailable") return retryLater(batch, outcome);
    failures = 0;
    if (outcome.kind === "accepted") {
      announce("sluice:sent", { eventIds: idsOf(batch), via: "fetch", status, answer: outcome.answer });
    } else if (outcome.kind === "too_large" && batch.length > 1) {
      postLimitBytes = FRAME_BYTES + weigh(batch) / 2;
      countDropped(queue.putBack(batch), "overflow", 0);
      isFlushDue = true;
    } else {
      countDropped(batch, "refused", status);
    }
  }
  function retryLater(batch, outcome) {
    if (!failures++) failingSince = clock.now();
    const retryInMs = retryDelayMs({
      failures,
      lastedMs: clock.now() - failingSince,
      retryAfterMs: outcome.retryAfterMs,
      random: random()
    });
    tellFailed(batch, "unavailable", outcome.status, retryInMs);
    countDropped(queue.putBack(batch), "overflow", 0);
    wait(retryInMs);
  }
  function wait(delayMs) {
    stopWaiting();
    cancelTimer = clock.after(delayMs, () => {
      cancelTimer = void 0;
      if (inFlight) isFlushDue = true;
      else postOldest();
    });
  }
  function stopWaiting() {
    if (cancelTimer) cancelTimer();
    cancelTimer = void 0;
  }
  function countDropped(items, reason, status) {
    droppedTotal += items.length;
    if (items.length) tellFailed(items, reason, status, null);
  }
  function tellFailed(items, reason, status, retryInMs) {
    announce("sluice:failed", { eventIds: idsOf(items), reason, status, retryInMs, droppedTotal });
  }
  function bodyOf(batch) {
    return makeBody(batch.map((item) => item.event));
  }
  return {
    add,
    flush,
    flushBeforeHiding,
    retryNow() {
      if (failures && !inFlight) postOldest();
    },
    discard() {
      queue.clear();
      generation++;
      failures = 0;
      stopWaiting();
    }
  };
}
function idsOf(items) {
  return items.map((item) => item.event.eventId || "");
}
function byteLength(text) {
  return new TextEncoder().encode(text).length;
}

// src/session.ts
var SESSION_IDLE_MS = 30 * 60 * 1e3;
var SAVE_EVERY_MS = 5e3;
var SESSION_KEY = "sluice_session";
function continueSession(stored, now, newId) {
  if (stored && Math.abs(now - stored.lastAt) < SESSION_IDLE_MS) return { ...stored, lastAt: now };
  return { id: newId(), startedAt: now, lastAt: now, index: (stored ? stored.index : 0) + 1 };
}
function createSessionKeeper(storage, newId) {
  let current = null;
  let savedAt = 0;
  function save() {
    if (!current || current.lastAt === savedAt) return;
    storage.write(SESSION_KEY, JSON.stringify(current));
    savedAt = current.lastAt;
  }
  return {
    touch(now) {
      const stored = parseSession(storage.read(SESSION_KEY));
      const latest = stored && current && stored.id === current.id && current.lastAt > stored.lastAt ? current : stored;
      current = continueSession(latest, now, newId);
      const isKnown = stored && stored.id === current.id;
      if (!isKnown || Math.abs(now - savedAt) >= SAVE_EVERY_MS) save();
      return current;
    },
    save,
    forget() {
      current = null;
      savedAt = 0;
      storage.remove(SESSION_KEY);
    }
  };
}
function parseSession(text) {
  try {
    const session = JSON.parse(text || "null");
    return session && session.id && session.lastAt >= 0 && session.index > 0 ? session : null;
  } catch {
    return null;
  }
}

// src/storage.ts
var COOKIE_SECONDS = 400 * 24 * 60 * 60;
function browserStorage() {
  const memory = {};
  return {
    read: (key) => attempt(() => localStorage.getItem(key)) || attempt(() => readCookie(key)) || memory[key] || null,
    write(key, value) {
      const stored = attempt(() => {
        localStorage.setItem(key, value);
        return true;
      });
      if (stored) return;
      memory[key] = value;
      attempt(() => writeCookie(key, value, COOKIE_SECONDS));
    },
    remove(key) {
      delete memory[key];
      attempt(() => localStorage.removeItem(key));
      attempt(() => readCookie(key) && writeCookie(key, "", 0));
    }
  };
}
function attempt(touch) {
  try {
    return touch();
  } catch {
    return void 0;
  }
}
function readCookie(key) {
  const found = ("; " + document.cookie).split("; " + key + "=")[1];
  return found === void 0 ? null : decodeURIComponent(found.split(";")[0]);
}
function writeCookie(key, value, maxAgeSeconds) {
  document.cookie = `${key}=${encodeURIComponent(value)}; path=/; max-age=${maxAgeSeconds}; samesite=lax` + (location.protocol === "https:" ? "; secure" : "");
}

// src/transport.ts
var TIMEOUT_MS = 1e4;
var CONTENT_TYPE = "text/plain;charset=UTF-8";
function browserTransport(endpoint) {
  return {
    async post(body, keepalive) {
      const abort = new AbortController();
      const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
      try {
        const response = await fetch(endpoint, {
          method: "POST",
          body,
          keepalive,
          headers: { "content-type": CONTENT_TYPE },
          // All the collector needs is in the body: the site's cookies are none of its business,
          // and without credentials a collector on another origin may answer with plain CORS.
          credentials: "omit",
          signal: abort.signal
        });
        return outcomeOf(response.status, response.headers, await response.text());
      } catch {
        return { kind: "unavailable", status: 0 };
      } finally {
        clearTimeout(timer);
      }
    },
    beacon(body) {
      try {
        return navigator.sendBeacon(endpoint, new Blob([body], { type: CONTENT_TYPE }));
      } catch {
        return false;
      }
    }
  };
}
function outcomeOf(status, headers, body) {
  if (status >= 200 && status < 300) return { kind: "accepted", status, answer: parse(body) };
  if (status === 413) return { kind: "too_large", status };
  if (status === 408 || status === 429 || status >= 500) {
    return { kind: "unavailable", status, retryAfterMs: parseRetryAfterMs(headers.get("retry-after"), Date.now()) };
  }
  return { kind: "refused", status };
}
function parse(body) {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}

// plugin-analytics/src/page.ts
function pageOf(properties, isBrowser) {
  const { url, path, title, referrer, ...rest } = properties;
  const page = {
    url: clip(url, MAX_URL_CHARS),
    path: clip(path, MAX_URL_CHARS),
    title: clip(title, MAX_TITLE_CHARS),
    referrer: clip(referrer, MAX_URL_CHARS)
  };
  if (isBrowser) {
    page.url = page.url || clip(location.href, MAX_URL_CHARS);
    page.path = page.path || clip(location.pathname, MAX_URL_CHARS);
    page.title = page.title || clip(document.title, MAX_TITLE_CHARS);
  }
  return { page, rest };
}
function clipName(value) {
  return clip(typeof value === "number" ? String(value) : value, MAX_NAME_CHARS);
}
function clip(value, most) {
  return typeof value === "string" && value ? value.slice(0, most) : void 0;
}

// plugin-analytics/src/index.ts
var FLUSH_MS = 5e3;
var BATCH_SIZE = 20;
function sluicePlugin(options) {
  const isBrowser = typeof document !== "undefined";
  const sessions = isBrowser ? createSessionKeeper(browserStorage(), uuidv7) : void 0;
  const siteId = options.siteId || (isBrowser ? location.hostname : void 0);
  const sender = createSender({
    batchSize: BATCH_SIZE,
    flushMs: FLUSH_MS,
    transport: browserTransport(addressOf(options)),
    clock: browserClock,
    makeBody: (events) => {
      const context = isBrowser ? readContext() : { source: "server" };
      return JSON.stringify(fillEnvelope(events, { siteId, ...context }, (/* @__PURE__ */ new Date()).toISOString()));
    },
    announce: announcer(options, isBrowser),
    random: Math.random
  });
  function isAllowed() {
    return !isBrowser || options.respectDnt === false || !asksNotToBeTracked(navigator);
  }
  function record(call, eventType, properties, page) {
    const name = clipName(eventType);
    if (!name || !isAllowed()) return;
    const { anonymousId, userId, meta } = call.payload;
    const now = meta && meta.ts || browserClock.now();
    const session = sessions && sessions.touch(now);
    sender.add({
      eventId: uuidv7(now),
      eventType: name,
      occurredAt: new Date(now).toISOString(),
      visitorId: clipName(anonymousId),
      userId: clipName(userId),
      sessionId: session && session.id,
      sessionIndex: session && session.index,
      ...appOf(call),
      ...page,
      properties: copyOf(properties)
    });
  }
  return {
    name: "sluice",
    initialize: guard(() => {
      if (!isBrowser) return;
      whenHidden(() => {
        if (sessions) sessions.save();
        sender.flushBeforeHiding();
      });
      addEventListener("online", guard(() => sender.retryNow()));
    }),
    loaded: () => true,
    // The first view has waited for every plugin: it need not wait for a batch too.
    ready: guard(() => sender.flush()),
    page: guard((call) => {
      const { page, rest } = pageOf(call.payload.properties || {}, isBrowser);
      record(call, "page_view", rest, page);
    }),
    track: guard((call) => {
      record(call, call.payload.event, call.payload.properties || {}, pageOf({}, isBrowser).page);
    }),
    identify: guard((call) => {
      record(call, "identify", call.payload.traits || {}, pageOf({}, isBrowser).page);
    }),
    reset: guard(() => {
      sender.flush();
      if (sessions) sessions.forget();
    }),
    methods: { flush: guard(() => sender.flush()) }
  };
}
var index_default = sluicePlugin;
function addressOf({ endpoint, writeKey }) {
  if (!writeKey) return endpoint;
  return `${endpoint}${endpoint.includes("?") ? "&" : "?"}writeKey=${encodeURIComponent(writeKey)}`;
}
function announcer({ onFailed }, isBrowser) {
  const onWindow = isBrowser ? announceOnWindow(false) : void 0;
  return (name, detail) => {
    if (onWindow) onWindow(name, detail);
    if (onFailed && name === "sluice:failed") guard(onFailed)(detail);
  };
}
function appOf({ instance }) {
  const context = instance && instance.getState("context") || {};
  const version = typeof context.version === "number" ? String(context.version) : context.version;
  return { app: clipName(context.app), appVersion: clipName(version) };
}
export {
  index_default as default,
  sluicePlugin
};
