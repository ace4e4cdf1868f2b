/** The plugin for the npm package `analytics`: its calls become events of `/collect`. */
import type { AnalyticsCall, SluicePlugin, SluicePluginOptions } from "../index";
import { announceOnWindow, type Announce, type Announcements } from "../../src/announce";
import { copyOf } from "../../src/capture";
import { browserClock } from "../../src/clock";
import { readContext } from "../../src/context";
import { fillEnvelope } from "../../src/envelope";
import type { Event } from "../../src/event";
import { guard } from "../../src/guard";
import { uuidv7 } from "../../src/ids";
import { whenHidden, whenSeen } from "../../src/page-lifecycle";
import { asksNotToBeTracked } from "../../src/privacy-signals";
import { createSender } from "../../src/sender";
import { SESSION, createTouch, isApart } from "../../src/session";
import { browserStorage } from "../../src/storage";
import { createPost } from "../../src/transport";
import { clipName, pageOf, type Properties } from "./page";

const FLUSH_MS = 5_000;
const BATCH_SIZE = 20;
const SESSION_IDLE_MS = 30 * 60_000;

export function sluicePlugin(options: SluicePluginOptions): SluicePlugin {
  const isBrowser = typeof document !== "undefined";
  const storage = isBrowser ? browserStorage("sluice_", () => false) : undefined;
  const touch = storage && createTouch(
    storage,
    (_, lastAt, now) => isApart(now, lastAt, SESSION_IDLE_MS),
    (now) => ({ id: uuidv7(now) }),
  );
  const siteId = options.siteId || (isBrowser ? location.hostname : undefined);
  const sender = createSender({
    batchSize: BATCH_SIZE,
    flushMs: FLUSH_MS,
    idleMs: FLUSH_MS,
    post: createPost(addressOf(options)),
    clock: browserClock,
    makeBody: (events) => {
      const context = isBrowser ? readContext() : { source: "server" };
      return JSON.stringify(fillEnvelope(events, { siteId, ...context }, new Date().toISOString()));
    },
    announce: announcer(options, isBrowser),
    random: Math.random,
  });

  function isAllowed(): boolean {
    return !isBrowser || options.respectDnt === false || !asksNotToBeTracked();
  }

  function record(call: AnalyticsCall, eventType: unknown, properties: Properties, page: Partial<Event>): void {
    const name = clipName(eventType);
    if (!name || !isAllowed()) return;
    const { anonymousId, userId, meta } = call.payload;
    // The call's own time: `analytics` holds calls back until its plugins are ready, or it is online.
    const now = (meta && meta.ts) || browserClock.now();
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
      properties: copyOf(properties),
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
    page: guard((call: AnalyticsCall) => {
      const { page, rest } = pageOf(call.payload.properties || {}, isBrowser);
      record(call, "page_view", rest, page);
    }),
    track: guard((call: AnalyticsCall) => {
      record(call, call.payload.event, call.payload.properties || {}, pageOf({}, isBrowser).page);
    }),
    identify: guard((call: AnalyticsCall) => {
      record(call, "identify", call.payload.traits || {}, pageOf({}, isBrowser).page);
    }),
    reset: guard(() => {
      sender.flush();
      if (storage) storage.write(SESSION, "");
    }),
    methods: { flush: guard(() => sender.flush()) },
  };
}

export default sluicePlugin;

// In the address, where a beacon can say it too.
function addressOf({ endpoint, writeKey }: SluicePluginOptions): string {
  if (!writeKey) return endpoint;
  return `${endpoint}${endpoint.includes("?") ? "&" : "?"}writeKey=${encodeURIComponent(writeKey)}`;
}

function announcer({ onFailed }: SluicePluginOptions, isBrowser: boolean): Announce {
  const onWindow = isBrowser ? announceOnWindow(false) : undefined;
  return (name, detail) => {
    if (onWindow) onWindow(name, detail);
    if (onFailed && name === "sluice:failed") guard(onFailed)(detail as Announcements["sluice:failed"]);
  };
}

/** `Analytics({ app, version })`, which it keeps in its state. */
function appOf({ instance }: AnalyticsCall): Partial<Event> {
  const context = ((instance && instance.getState("context")) || {}) as { app?: unknown; version?: unknown };
  const version = typeof context.version === "number" ? String(context.version) : context.version;
  return { app: clipName(context.app), appVersion: clipName(version) };
}
