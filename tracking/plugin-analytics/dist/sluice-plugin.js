// src/guard.ts
var report = (_error) => {
};
function guard(run) {
  return ((...args) => {
    try {
      return run(...args);
    } catch (error) {
      report(error);
    }
  });
}
function attempt(run) {
  try {
    return run();
  } catch {
  }
  return void 0;
}
function listen(target, type, run) {
  target.addEventListener(type, guard(run), { capture: true, passive: true });
}

// src/announce.ts
function announceOnWindow(debug) {
  return guard((name, detail) => {
    if (debug || name === "sluice:failed") dispatchEvent(new CustomEvent(name, { detail }));
  });
}

// src/ids.ts
var last = 0;
function uuidv7(nowMs) {
  return uuidAt(last = Math.max(nowMs * 4096 + Math.floor(Math.random() * 2048), last + 1));
}
function uuidAt(ticks) {
  const time = ticks.toString(16).padStart(15, "0");
  return time.replace(/(.{8})(.{4})/, "$1-$2-7") + uuidv4().slice(18);
}
function uuidv4() {
  const bytes = crypto.getRandomValues(new Uint8Array(36));
  return "10000000-1000-4000-8000-100000000000".replace(
    /[018]/g,
    (digit, at) => (+digit ^ bytes[at] & 15 >> +digit / 4).toString(16)
  );
}

// src/redact.ts
var MAX_URL_CHARS = 8e3;

// src/capture.ts
var MAX_NAME_CHARS = 200;
var MAX_TITLE_CHARS = 1e3;
var MAX_PROPERTIES_CHARS = 3e4;
function copyOf(properties) {
  return attempt(() => {
    const text = JSON.stringify(properties);
    return /^{/.test(text) && text.length < MAX_PROPERTIES_CHARS ? JSON.parse(text) : void 0;
  });
}

// src/clock.ts
var browserClock = {
  // Not Date.now or Date.parse, here and elsewhere: Datejs has others in their place.
  now: () => +/* @__PURE__ */ new Date(),
  after(delayMs, run) {
    const timer = setTimeout(guard(run), delayMs);
    return () => clearTimeout(timer);
  }
};

// src/context.ts
function readContext() {
  return attempt(() => ({
    source: "web",
    language: navigator.language,
    timezone: timezone(),
    screenWidth: screen.width | 0,
    screenHeight: screen.height | 0,
    viewportWidth: innerWidth | 0,
    viewportHeight: innerHeight | 0
  }));
}
function timezone() {
  var _a;
  return ((_a = window.Temporal) == null ? void 0 : _a.Now.timeZoneId()) || Intl.DateTimeFormat().resolvedOptions().timeZone;
}

// src/envelope.ts
var ITS_OWN = /^(event|occurred|prop)/;
function fillEnvelope(events, context, sentAt) {
  const shared = {};
  const unsaid = {};
  const [first] = events;
  for (const field in first) {
    if (!ITS_OWN.test(field) && events.every((event) => event[field] === first[field])) {
      shared[field] = first[field];
      unsaid[field] = void 0;
    }
  }
  return { ...context, ...shared, eventType: "batch", sentAt, events: Object.assign(events.map((event) => ({ ...event, ...unsaid })), { toJSON: 0 }) };
}

// src/page-lifecycle.ts
function whenHidden(run) {
  listen(document, "visibilitychange", () => document.hidden && run());
  listen(window, "pagehide", run);
}
function whenSeen(run) {
  listen(document, "visibilitychange", () => document.hidden || run());
  whenRestored(run);
}
function whenRestored(run) {
  addEventListener("pageshow", guard((event) => event.persisted && run()), true);
}

// src/privacy-signals.ts
function asksNotToBeTracked() {
  return navigator.globalPrivacyControl || +navigator.doNotTrack > 0;
}

// src/backoff.ts
var FIRST_MS = 500;
var MOST_EARLY_MS = 4e3;
var MOST_LATE_MS = 5 * 6e4;
var MOST_ASKED_MS = 60 * 6e4;
var EARLY_MS = 6e4;
function retryDelayMs(failures, lastedMs, askedMs, random) {
  const most = lastedMs < EARLY_MS ? MOST_EARLY_MS : MOST_LATE_MS;
  return Math.min(askedMs, MOST_ASKED_MS) + Math.min(FIRST_MS * 2 ** (failures - 1), most) * (1 + random) / 2;
}
function parseRetryAfterMs(header, now) {
  return Math.max(+header * 1e3 || +new Date(header) - now || 0, 0);
}

// src/outbox.ts
var MAX_KEPT = 1e3;
function idsOf(events) {
  return events.map((event) => event.eventId);
}

// src/sender.ts
var MAX_KEEPALIVE_BYTES = 56 * 1024;
var MAX_POST_BYTES = 32 * 1024;
var MAX_BODY_EVENTS = 100;
var TITLE_SETTLES_MS = 100;
var MAX_AGE_MS = 72 * 60 * 60 * 1e3;
function createSender(options) {
  const { batchSize, flushMs, idleMs, post, outbox, clock, makeBody, announce, random } = options;
  let queue = [];
  let onTheWay = [];
  let keptAliveBytes = 0;
  let postLimitBytes = MAX_POST_BYTES;
  let isFlushDue = false;
  let isHidden = false;
  let tellHiding = () => {
  };
  let isKeeping = false;
  let hasRecovered = false;
  let generation = 0;
  let failures = 0;
  let failingSince = 0;
  let droppedTotal = 0;
  let dueAt = 0;
  let settledAt = 0;
  let cancelTimer = () => {
  };
  function proceed(isUrgent) {
    if (!queue.length || failures) return;
    const now = clock.now();
    if (isUrgent || queue.length >= batchSize) {
      if (settledAt <= now || queue.length >= MAX_BODY_EVENTS) return flush();
      dueAt = now;
    }
    dueAt || (dueAt = now + flushMs);
    wait(Math.max(Math.min(dueAt - now, idleMs), Math.min(settledAt - now, TITLE_SETTLES_MS)));
  }
  function flush() {
    if (onTheWay.length || failures) isFlushDue = true;
    else send();
  }
  function wait(delayMs) {
    cancelTimer();
    cancelTimer = clock.after(delayMs, () => onTheWay.length ? isFlushDue = true : send());
  }
  function send() {
    cancelTimer();
    isFlushDue = false;
    dueAt = 0;
    const room = MAX_KEEPALIVE_BYTES - keptAliveBytes;
    let count = Math.min(queue.length, MAX_BODY_EVENTS);
    let body = "";
    let bytes = 0;
    for (; count; count >>= 1) {
      body = attempt(() => makeBody(queue.slice(0, count))) || "";
      bytes = byteLength(body);
      const fits = bytes <= Math.min(postLimitBytes, isHidden ? room : postLimitBytes);
      if (body && (fits || count < 2 && !isHidden)) break;
      if (!body && count < 2) {
        drop(queue.splice(0, 1), "refused", 0);
        return send();
      }
    }
    if (!count) return false;
    const batch = queue.splice(0, count);
    const keepalive = !failures && bytes <= room;
    if (keepalive) keptAliveBytes += bytes;
    onTheWay = onTheWay.concat(batch);
    void post(body, keepalive, isHidden ? void 0 : new Promise((resolve) => tellHiding = resolve)).then((outcome) => {
      if (keepalive) keptAliveBytes -= bytes;
      const isWanted = onTheWay.includes(batch[0]);
      onTheWay = onTheWay.filter((event) => !batch.includes(event));
      if (isWanted) settle(batch, outcome, bytes);
      note();
      if (onTheWay.length) return;
      const isDue = isFlushDue;
      isFlushDue = false;
      proceed(isDue);
    });
    return true;
  }
  function settle(batch, { status, retryAfterMs, answer }, bytes) {
    const isAccepted = status < 300 && (answer == null ? void 0 : answer.accepted) !== void 0;
    if (status < 400 ? !isAccepted : status === 408 || status === 429 || status >= 500) {
      if (!failures++) failingSince = clock.now();
      const retryInMs = retryDelayMs(failures, clock.now() - failingSince, retryAfterMs || 0, random());
      tellFailed(batch, "unavailable", status, retryInMs);
      enqueue(batch.concat(queue));
      return wait(retryInMs);
    }
    failures = 0;
    if (status === 413 && batch[1]) {
      postLimitBytes = bytes / 2;
      isFlushDue = true;
      return enqueue(batch.concat(queue));
    }
    if (isAccepted) {
      announce("sluice:sent", { eventIds: idsOf(batch), status, answer });
      outbox == null ? void 0 : outbox.remove(batch);
    } else drop(batch, "refused", status);
    if (isKeeping && !hasRecovered) {
      hasRecovered = true;
      const claimedIn = generation;
      outbox.claim().then((left) => {
        if (claimedIn !== generation) return;
        enqueue(left.concat(queue));
        proceed(!!left[0]);
      }, () => {
      });
    }
  }
  function enqueue(all) {
    const oldest = clock.now() - MAX_AGE_MS;
    queue = all.filter((event) => +new Date(event.occurredAt) > oldest).slice(-MAX_KEPT);
    if (all[queue.length]) drop(all.filter((event) => !queue.includes(event)), "overflow", 0);
  }
  function drop(events, reason, status) {
    if (!events[0]) return;
    outbox == null ? void 0 : outbox.remove(events);
    droppedTotal += events.length;
    tellFailed(events, reason, status, null);
  }
  function tellFailed(events, reason, status, retryInMs) {
    announce("sluice:failed", { eventIds: idsOf(events), reason, status, retryInMs, droppedTotal });
  }
  function note() {
    if (isHidden) outbox == null ? void 0 : outbox.leave();
  }
  return {
    add(event, isUrgent, isKept) {
      if (isKept && outbox) {
        isKeeping = true;
        outbox.put(event);
      }
      if (event.eventType === "page_view") settledAt = clock.now() + TITLE_SETTLES_MS;
      enqueue([...queue, event]);
      proceed(isUrgent);
    },
    flush,
    hide() {
      isHidden = true;
      tellHiding();
      while (!failures && send()) ;
      note();
    },
    wake(isSeen) {
      if (isSeen) {
        isHidden = false;
        outbox == null ? void 0 : outbox.stay();
      } else if (failures && !onTheWay.length) send();
    },
    discard() {
      queue = onTheWay = [];
      generation++;
      failures = 0;
      cancelTimer();
      outbox == null ? void 0 : outbox.clear();
    },
    dropped: () => droppedTotal
  };
}
function byteLength(text) {
  return new TextEncoder().encode(text).length;
}

// src/session.ts
var SAVE_EVERY_MS = 5e3;
var SESSION = "session";
function isApart(one, other, idleMs) {
  return !(Math.abs(one - other) < idleMs);
}
function createTouch({ read, write }, hasEnded, begin) {
  let current = {};
  return (now) => {
    const stored = parseSession(read(SESSION));
    const { index = 0, lastAt: savedAt = 0 } = stored;
    const lastAt = Math.max(savedAt, current.id === stored.id ? current.lastAt : 0);
    const goesOn = !hasEnded(stored, lastAt, now);
    const session = goesOn ? stored : { ...begin(now), index: index + 1 };
    current = { ...session, lastAt: now };
    const isSaved = goesOn && Math.abs(now - savedAt) < SAVE_EVERY_MS;
    if (!isSaved) write(SESSION, JSON.stringify(current));
    return current;
  };
}
function parseSession(text) {
  const session = attempt(() => JSON.parse(text || "0"));
  return (session == null ? void 0 : session.id) && session.index > 0 ? session : {};
}

// src/visitor.ts
var VISITOR = "visitor";

// src/storage.ts
var COOKIE_SECONDS = 400 * 24 * 60 * 60;
var FRESH_MS = 100;
var cookies;
var freshUntil = 0;
function recentCookies() {
  if (performance.now() >= freshUntil) {
    cookies = document.cookie;
    freshUntil = performance.now() + FRESH_MS;
  }
  return cookies;
}
function lookAnew() {
  freshUntil = 0;
}
function browserStorage(prefix, isClosed, visitor = prefix + VISITOR) {
  const memory = {};
  const stored = (name) => attempt(() => localStorage.getItem(name) || "");
  function readBrowser(name) {
    const cookie = () => `; ${recentCookies()}; ${name}=`.split(`; ${name}=`)[1].split(";")[0];
    return stored(name) || (stored(visitor) ? "" : attempt(() => decodeURIComponent(cookie())));
  }
  return {
    read(key) {
      const name = prefix + key;
      return memory[name] || !isClosed() && readBrowser(name) || "";
    },
    write(key, value, isAnswer) {
      const name = prefix + key;
      memory[name] = "";
      if (isClosed()) return;
      attempt(() => value ? localStorage.setItem(name, value) : localStorage.removeItem(name));
      const known = stored(name);
      if (!value || isAnswer || known !== value) {
        attempt(() => {
          lookAnew();
          document.cookie = `${name}=${encodeURIComponent(value)};path=/;samesite=lax;max-age=${value ? COOKIE_SECONDS : 0}`;
        });
      }
      if ((known != null ? known : readBrowser(name)) !== value) memory[name] = value;
    }
  };
}

// src/transport.ts
var TIMEOUT_MS = 1e4;
var WORTH_COMPRESSING_CHARS = 1500;
var CONTENT_TYPE = "text/plain;charset=UTF-8";
function createPost(endpoint) {
  return async (body, keepalive, hiding) => {
    var _a;
    try {
      if (keepalive && !hiding && !("keepalive" in Request.prototype)) {
        const isTaken = navigator.sendBeacon(endpoint, new Blob([body], { type: CONTENT_TYPE }));
        return { status: isTaken ? 204 : 0, answer: { accepted: null } };
      }
      const response = await fetch(endpoint, {
        method: "POST",
        // The collector knows gzip by its first bytes; a header that said so would need a preflight.
        body: hiding && body.length > WORTH_COMPRESSING_CHARS ? await Promise.race([gzip(body), hiding.then(() => body)]) : body,
        keepalive,
        headers: { "content-type": CONTENT_TYPE },
        // All the collector needs is in the body: the site's cookies are none of its business,
        // and without credentials a collector on another origin may answer with plain CORS.
        credentials: "omit",
        // Elsewhere the body would not arrive.
        redirect: "error",
        signal: (_a = AbortSignal.timeout) == null ? void 0 : _a.call(AbortSignal, TIMEOUT_MS)
      });
      return {
        status: response.status,
        retryAfterMs: parseRetryAfterMs(response.headers.get("retry-after"), +/* @__PURE__ */ new Date()),
        answer: await response.json().catch(() => {
        })
      };
    } catch {
      return { status: 0 };
    }
  };
}
function gzip(text) {
  return globalThis.CompressionStream ? new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).blob() : text;
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
var SESSION_IDLE_MS = 30 * 6e4;
function sluicePlugin(options) {
  const isBrowser = typeof document !== "undefined";
  const storage = isBrowser ? browserStorage("sluice_", () => false) : void 0;
  const touch = storage && createTouch(
    storage,
    (_, lastAt, now) => isApart(now, lastAt, SESSION_IDLE_MS),
    (now) => ({ id: uuidv7(now) })
  );
  const siteId = options.siteId || (isBrowser ? location.hostname : void 0);
  const sender = createSender({
    batchSize: BATCH_SIZE,
    flushMs: FLUSH_MS,
    idleMs: FLUSH_MS,
    post: createPost(addressOf(options)),
    clock: browserClock,
    makeBody: (events) => {
      const context = isBrowser ? readContext() : { source: "server" };
      return JSON.stringify(fillEnvelope(events, { siteId, ...context }, (/* @__PURE__ */ new Date()).toISOString()));
    },
    announce: announcer(options, isBrowser),
    random: Math.random
  });
  function isAllowed() {
    return !isBrowser || options.respectDnt === false || !asksNotToBeTracked();
  }
  function record(call, eventType, properties, page) {
    const name = clipName(eventType);
    if (!name || !isAllowed()) return;
    const { anonymousId, userId, meta } = call.payload;
    const now = meta && meta.ts || browserClock.now();
    const session = touch && touch(now);
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
      whenHidden(() => sender.hide());
      whenSeen(() => sender.wake(true));
      addEventListener("online", guard(() => sender.wake()));
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
      if (storage) storage.write(SESSION, "");
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
