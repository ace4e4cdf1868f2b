import { announceOnWindow } from "./announce";
import { installApi, type Commands } from "./api";
import { currentTitle, makeEvent, shortened } from "./capture";
import { watchClicks } from "./clicks";
import { browserClock } from "./clock";
import { isOn, nameOf, within, type Config } from "./config";
import { CONSENT, consentNow, policyOf, type Consent } from "./consent";
import { readContext } from "./context";
import { watchEngagement } from "./engagement";
import { fillEnvelope } from "./envelope";
import type { Event } from "./event";
import { watchForms } from "./forms";
import { guard, listen, onceOwnError, whenIdle } from "./guard";
import { sessionIdOf } from "./ids";
import { createOutbox } from "./outbox";
import { whenActivated, whenHidden, whenSeen } from "./page-lifecycle";
import { watchPageViews } from "./page-views";
import { createUse, tools } from "./plugins";
import { asksNotToBeTracked } from "./privacy-signals";
import { cleanUrl, redact } from "./redact";
import { watchScroll } from "./scroll";
import { watchSelection } from "./selection";
import { TITLE_SETTLES_MS, createSender } from "./sender";
import { SESSION, campaignOf, createEnd, createTouch, ongoingSession } from "./session";
import { browserStorage, lookAnew } from "./storage";
import { createPost } from "./transport";
import { COMPANY, OPT_OUT, USER, VISITOR, visitorIdOf } from "./visitor";

/** Later, what stands in a title may be what somebody wrote to the visitor. */
const TITLE_COMES_MS = 5_000;
const MAX_HELD = 100;
const URGENT = /^(purchase|identify|alias)$/;
// They say who it is, which nobody may know without consent.
const NAMES = /^(identify|alias|group)$/;
const OPTED = "sluice:opt";

type Consented = [run: () => void, explicitly?: boolean];

/** Wire the parts together and begin, once the page is really shown. */
export function startTracker({ siteId, endpoint, src, data }: Config): void {
  const { now } = browserClock;
  const name = nameOf(data);
  // Asked before anything is read or written: with a signal set, storage is not even touched.
  const isSignalled = () => data.respectDnt !== "false" && asksNotToBeTracked();
  const storage = browserStorage(name + "_", isSignalled);
  const { read, write } = storage;
  // An opt-out holds for every tracker of the page, whatever its name.
  const shared = browserStorage("sluice_", isSignalled, name + "_" + VISITOR);
  /** Of those that were held back, the one that is told now, or next. */
  const first = () => told || held[0];
  /** Of the view, which the next one's first event is told of after what ends this one. */
  const campaign = () =>
    isOn(data.sessionCampaign) ? campaignOf(first()?.url || viewUrl || cleanUrl(location.href)) : "";
  const sessionMs = within(data.sessionMinutes, 30, 1, 1_440) * 60_000;
  const touch = createTouch(storage, createEnd(sessionMs, isOn(data.sessionMidnight), campaign), (at) => ({
    campaign: campaign(),
    // A visit that was held back began with what is told first.
    id: sessionIdOf(+new Date(first()?.occurredAt || at)),
  }));
  const announce = announceOnWindow(isOn(data.debug));
  const off = data.off ?? "focus";
  /** What is to run when consent is granted, and what has: to run again once that was taken back. */
  const granted: Consented[] = [];
  const begun: Consented[] = [];
  const denied: (() => void)[] = [];
  const hidden: (() => void)[] = [];
  const viewed: (() => void)[] = [];
  const runAll = (runs: (() => void)[]) => runs.forEach((run) => run());
  /** What was said on this page; what is remembered goes first, since another tab may have said it since. */
  let said = data.consent;
  /** Where nothing is remembered: a page that hears of answers is one that asks. */
  const asked = said ?? "pending";
  /** What waits for consent, and who signed in meanwhile. */
  let held: Event[] = [];
  let told: Event | undefined;
  let heldIds: { [field: string]: string } = {};
  let droppedTold = 0;
  let viewUrl = "";
  let view: Event | undefined;
  let titleBefore: unknown = "";
  let isViewShown = () => false;

  /** "denied" also where nothing may be told for another reason. */
  const consent = (): Consent =>
    isSignalled() || shared.read(OPT_OUT) ? "denied" : consentNow(storage, said);
  const mayTell = () => consent() !== "denied";
  const mayKeep = () => /^[gu]/.test(consent());
  const mayBegin = (explicitly?: boolean) => (explicitly ? consent() === "granted" : mayKeep());

  const sender = createSender({
    batchSize: within(data.batchSize, 20, 1, 100),
    flushMs: within(data.flushSeconds, 5, 0, 300) * 1_000,
    idleMs: within(data.idleSeconds, 60, 0, 300) * 1_000,
    post: createPost(endpoint),
    outbox: createOutbox(name, (count) => (droppedTold -= count)),
    clock: browserClock,
    makeBody(events) {
      settleTitle();
      return JSON.stringify(fillEnvelope(events, readContext(), new Date().toISOString()));
    },
    announce,
    random: Math.random,
  });

  function visitor(): string {
    const answer = read(CONSENT);
    // Where localStorage was cleared, the answer stands in a cookie only, which is not read beside a visitor.
    if (/^g/.test(answer) && !read(VISITOR)) write(CONSENT, answer, true);
    return visitorIdOf(storage);
  }

  function tell(event: Event, isUrgent?: boolean): void {
    const visitorId = visitor();
    // Not when it happened: what was held for long must not end the session of other tabs.
    const session = touch(now());
    const state = consent();
    Object.assign(event, {
      visitorId,
      sessionId: session.id,
      sessionIndex: session.index,
      userId: event.userId || read(USER) || undefined,
      companyId: event.companyId || read(COMPANY) || undefined,
      ...(state === "granted" && { consent: state, consentPolicy: policyOf(storage) || undefined }),
    });
    sender.add(event, isUrgent || URGENT.test(event.eventType), true);
    announce("sluice:event", { event });
  }

  /** Make an event and pass it on; nothing, where nothing may be told. */
  function record(
    eventType: string,
    properties?: unknown,
    isUrgent?: boolean,
    fields?: Partial<Event>,
  ): Event | undefined {
    settleTitle();
    // Callers write JavaScript: a name may be anything.
    if (!eventType?.slice || !mayTell()) return undefined;
    const event = makeEvent(eventType, properties, now(), { siteId, ...fields });
    if (mayKeep()) tell(event, isUrgent);
    else if (data.beforeConsent === "cookieless" && !NAMES.test(eventType)) sender.add(event, isUrgent);
    else held = [...held, Object.assign(event, heldIds)].slice(-MAX_HELD);
    return event;
  }

  /**
   * Frameworks set a view's title after they changed the address: Next.js as late as it has been
   * fetched. One that is the view's own already stays: pages also write there that somebody wrote.
   */
  function settleTitle(isSoon?: boolean): void {
    const isShown = isViewShown() || view?.url === cleanUrl(location.href);
    if (!view || !isShown || now() - +new Date(view.occurredAt!) > TITLE_COMES_MS) return;
    // Soon, what was opened behind another tab gets its title, too.
    if (isSoon || (!document.hidden && view.title === titleBefore)) view.title = currentTitle();
  }

  /** What is captured unless it is switched off, as `data-off` calls it. */
  function unlessOff(capture: string, watch: () => (() => void) | void): () => void {
    return (!off.includes(capture) && guard(watch)()) || (() => {});
  }

  function recordView(referrer: string, properties?: unknown): void {
    tellEngagement();
    beginScroll();
    viewUrl = cleanUrl(location.href);
    // Not before it is recorded, which looks at the view before once more.
    [titleBefore, view] = [
      view?.title || "",
      record("page_view", properties, false, { referrer: cleanUrl(referrer) || undefined }),
    ];
    browserClock.after(TITLE_SETTLES_MS, () => settleTitle(true));
    runAll(viewed);
  }

  function whenGranted(run: () => void, explicitly?: boolean): void {
    const isNow = mayBegin(explicitly);
    (isNow ? begun : granted).push([run, explicitly]);
    if (isNow) guard(run)();
  }

  /** Remember whose id the page gives, now or when it may be; whether it is one. */
  function signIn(key: string, id: unknown): boolean {
    // Ids are often numbers in the page's own code; 0 may be one, nothing is none, nor are traits.
    if ((!id && id !== 0) || typeof id === "object" || !mayTell()) return false;
    if (mayKeep()) write(key, shortened(id));
    else heldIds[key + "Id"] = shortened(id);
    return true;
  }

  /** Before other tabs hear a yes: they are to find who it is, not to make somebody else of them. */
  function introduce(state: string): void {
    if (!/^[gu]/.test(state)) return;
    // A visit begins with an event: the first that was held, the page's view which is still to come,
    // or whatever is next.
    visitor();
    if (held[0] || !viewUrl) touch(now());
    Object.keys(heldIds).forEach((field) => write(field.slice(0, -2), heldIds[field]!));
  }

  function forget(): void {
    // What somebody did who gave a name is not told of who says yes after them.
    if (Object.keys(heldIds)[0] || read(USER) || read(COMPANY)) held = [];
    heldIds = {};
    [VISITOR, SESSION, USER, COMPANY].forEach((key) => write(key, ""));
  }

  function opt(detail: string): void {
    // Pages have a function `dispatchEvent` of their own.
    document.dispatchEvent(new CustomEvent(OPTED, { detail }));
  }

  function stop(): void {
    sender.discard();
    held = [];
    forget();
    interrupt();
  }

  function interrupt(): void {
    granted.push(...begun.splice(0));
    runAll(denied);
  }

  /** Do as was said: here, in another tab, or while this page was in the back/forward cache. */
  function heed(event?: { key?: string | null }): void {
    if (isSignalled()) return;
    lookAnew();
    const key = event?.key;
    // What was said here holds until something is said elsewhere; all else of other tabs is no answer.
    if (key === name + "_" + CONSENT) said = asked;
    else if (key && key !== "sluice_" + OPT_OUT) return;
    if (!mayTell()) return stop();
    // All stop, and those begin again that still may.
    if (begun.some(([, explicitly]) => !mayBegin(explicitly))) interrupt();
    if (mayKeep()) {
      if (held[0]) touch(now());
      // Who hears of one may take the consent back.
      while (held[0] && mayKeep()) tell((told = held.shift()!));
      told = undefined;
      // Whoever said yes in another tab may have signed out there since.
      heldIds = {};
    }
    granted.splice(0).forEach((one) => whenGranted(...one));
  }

  const commands: Commands = {
    track: (eventType, properties, isUrgent) => void record(eventType, properties, isUrgent),
    page: (properties) => recordView(document.referrer, properties),
    identify(userId, traits) {
      if (signIn(USER, userId)) record("identify", traits);
    },
    alias(userId, previousId) {
      const before = previousId || (mayKeep() && (read(USER) || visitor()));
      if (signIn(USER, userId)) record("alias", { previousId: before || undefined });
    },
    group(groupId, traits) {
      if (signIn(COMPANY, groupId)) record("group", { ...traits, groupId });
    },
    reset: forget,
    consent(state, options) {
      if (isSignalled()) return;
      // A word that nobody knows is no consent.
      said = /^(granted|pending|unknown)$/.test(state) ? state : "denied";
      // A visitor's own answer is kept, so that they need not be asked on every page.
      const isAnswer = /ed$/.test(said);
      if (!shared.read(OPT_OUT)) introduce(said);
      write(CONSENT, isAnswer ? said + " " + shortened(options?.policy || "") : "", true);
      // What is remembered may be taken back elsewhere, unheard by a page in the back/forward cache.
      if (said === "granted") said = asked;
      heed();
    },
    optOut() {
      if (!isSignalled()) opt("1");
    },
    optIn() {
      introduce(consentNow(storage, said));
      opt("");
    },
    flush: sender.flush,
    use: (plugin) => use(plugin),
  };
  const use = createUse(src, commands, {
    ...tools,
    siteId,
    endpoint,
    option: (option) => data[option],
    onHide: (run) => hidden.push(guard(run)),
    onView: (run) => viewed.push(guard(run)),
    whenGranted,
    whenDenied: (run) => denied.push(guard(run)),
    consent,
    identity: () => (mayKeep() ? { visitorId: visitor(), sessionId: ongoingSession(storage, sessionMs, now()) } : undefined),
  });
  const replay = installApi(window, name, commands);
  let tellEngagement = () => {};
  let beginScroll = tellEngagement;

  const begin = guard(() => {
    onceOwnError((error) => record("tracker_error", { message: redact(error + "") }));
    if (/^(tcf|gcm)$/.test(data.consent!)) use("consent");
    // Every tracker of the page hears it, whatever its name.
    listen(window, OPTED, ({ detail }) => {
      shared.write(OPT_OUT, detail, true);
      heed();
    });
    // What was said about the visitor before the script came holds for the first view, too.
    replay(/^(reset|consent|opt)/);
    viewUrl = cleanUrl(location.href);
    tellEngagement = unlessOff("engagement", () =>
      watchEngagement((engagedMs) => record("engagement", { engagedMs }, false, { url: viewUrl, ...(view && { title: view.title }) }), now),
    );
    beginScroll = unlessOff("scroll", () => watchScroll((percent) => record("scroll_depth", { percent })));
    unlessOff("views", () => void (isViewShown = watchPageViews(guard(recordView))));
    unlessOff("clicks", () => watchClicks((properties, leaves) => record("click", properties, leaves)));
    unlessOff("forms", () => watchForms((properties) => record("form_submit", properties)));
    unlessOff("selection", () => watchSelection(record, isOn(data.selectionText)));
    unlessOff("visibility", () => {
      let told: string = document.visibilityState;
      const tell = (state: string) => state !== told && record("visibility_change", { state: (told = state) });
      // Before what waits is handed over: what that one adds would be a request of its own.
      whenHidden(() => tell("hidden"));
      whenSeen(() => tell("visible"));
    });
    unlessOff("focus", () =>
      ["focus", "blur"].forEach((type) => listen(window, type, ({ target }) => target === window && record("focus_change", { focused: type === "focus" }))),
    );
    whenHidden(() => {
      // What another tab said may not have been heard yet.
      heed();
      tellEngagement();
      runAll(hidden);
      const count = sender.dropped() - droppedTold;
      droppedTold += count;
      if (count) record("events_dropped", { count });
      sender.hide();
    });
    whenSeen(() => {
      heed();
      sender.wake(true);
    });
    listen(window, "storage", heed);
    listen(window, "click", (event) => event.composedPath().some((node: Element) => node.hasAttribute?.("data-sluice-opt-out")) && commands.optOut());
    listen(window, "online", () => sender.wake());
    replay();
    // The page on which somebody said no may have been left before everything was forgotten.
    whenIdle(() => {
      heed();
      data.plugins?.match(/[\w-]+/g)?.forEach((plugin) => guard(use)(plugin));
    });
  });
  // What the browser has of the visitor is read for the first time here, where few functions wait.
  whenActivated(() => void Promise.resolve().then(guard(mayTell)).then(begin));
}
