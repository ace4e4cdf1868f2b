import { announceOnWindow } from "./announce";
import { installApi, type Commands } from "./api";
import { MAX_NAME_CHARS, MAX_URL_CHARS, createCapture, currentTitle } from "./capture";
import { browserClock } from "./clock";
import { watchClicks } from "./clicks";
import type { Config } from "./config";
import { readContext } from "./context";
import { fillEnvelope } from "./envelope";
import { guard } from "./guard";
import { uuidv7 } from "./ids";
import { createOptOut } from "./opt-out";
import { whenActivated, whenHidden } from "./page-lifecycle";
import { watchPageViews } from "./page-views";
import { asksNotToBeTracked } from "./privacy-signals";
import { createSender } from "./sender";
import { createSessionKeeper } from "./session";
import { browserStorage } from "./storage";
import { browserTransport } from "./transport";
import { createVisitor } from "./visitor";

// Frameworks set the new view's title after they changed the address.
const TITLE_SETTLES_MS = 100;

/** Wire the parts together and begin, once the page is really shown. */
export function startTracker(config: Config): void {
  const storage = browserStorage();
  const optOut = createOptOut(storage);
  const visitor = createVisitor(storage);
  const sessions = createSessionKeeper(storage, uuidv7);
  const announce = announceOnWindow(config.debug);

  // Asked before anything is read or written: with a signal set, storage is not even touched.
  const isSignalled = () => config.respectDnt && asksNotToBeTracked(navigator);
  const isAllowed = () => !isSignalled() && !optOut.isOptedOut();

  const sender = createSender({
    batchSize: config.batchSize,
    flushMs: config.flushMs,
    transport: browserTransport(config.endpoint),
    clock: browserClock,
    makeBody: (events) =>
      JSON.stringify(
        fillEnvelope(events, { siteId: config.siteId || undefined, ...readContext() }, new Date().toISOString()),
      ),
    announce,
    random: Math.random,
  });
  const capture = createCapture({
    isAllowed,
    visitor,
    sessions,
    clock: browserClock,
    add: (event) => sender.add(event),
    announce,
  });

  function recordView(referrer: string, properties?: { [name: string]: unknown }): void {
    const event = capture("page_view", properties, { referrer: referrer.slice(0, MAX_URL_CHARS) || undefined });
    const { href } = location;
    if (event) {
      browserClock.after(TITLE_SETTLES_MS, () => {
        if (location.href === href) event.title = currentTitle();
      });
    }
  }

  function forget(): void {
    visitor.forget();
    sessions.forget();
  }

  const commands: Commands = {
    track: (name, properties) => void capture(name, properties),
    page: (properties) => recordView(document.referrer, properties),
    identify(userId, traits) {
      // Ids are often numbers in the page's own code; 0 may be one, nothing is none.
      if ((!userId && (userId as unknown) !== 0) || !isAllowed()) return;
      visitor.identify(String(userId).slice(0, MAX_NAME_CHARS));
      capture("identify", traits);
    },
    reset: () => {
      if (!isSignalled()) forget();
    },
    optOut() {
      if (isSignalled()) return;
      sender.discard();
      forget();
      optOut.optOut();
    },
    optIn: () => {
      if (!isSignalled()) optOut.optIn();
    },
    flush: () => sender.flush(),
  };

  const api = installApi(window, commands);
  whenActivated(() => {
    watchPageViews(guard(recordView));
    watchClicks((properties) => capture("click", { ...properties }));
    whenHidden(() => {
      sessions.save();
      sender.flushBeforeHiding();
    });
    addEventListener("online", guard(() => sender.retryNow()));
    api.replay();
  });
}
