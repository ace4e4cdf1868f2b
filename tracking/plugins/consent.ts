import type { Commands } from "../src/api";
import type { Host, Plugin } from "../src/plugin";
import { readDataLayer } from "./page/data-layer";

const LOOK_MS = 250;
const MAX_LOOKS = 240;
const SETTLES_MS = 2_000;
const ANY_REGION = 0;
const SOME_REGION = 99;
const TCF = "tcf-2.2";
const GCM = "gcm-v2";
const NO_GDPR = "tcf-2.2-no-gdpr";

type State = "granted" | "denied" | "pending";
/** `isAnswer`: the visitor's own, told even where it is what was told last; another tab may have said otherwise. */
type Say = (state: State, isAnswer?: boolean, waitMs?: number) => void;
type Consenting = Commands & { consent(state: State, options?: { policy?: string }): void };

/** What a consent banner says, said to the tracker: IAB TCF v2.2, Google Consent Mode v2. */
const consent: Plugin = (sluice, host) => {
  const chosen = host.option("consent");
  const isAsking = chosen !== undefined;
  const said: { [policy: string]: State } = {};
  let isReady = false;
  let lastTold: string | undefined;
  /** By whom the visitor answered, until that is told; before us, too. */
  let lastAnswered: string | undefined;
  let settlesMs = SETTLES_MS;
  let settling: ReturnType<typeof setTimeout> | undefined;

  function say(): void {
    if (!isReady) return;
    const answered = lastAnswered;
    lastAnswered = undefined;
    // Where both speak, TCF has the visitor's answer; Consent Mode often has no more than its default.
    // Where the GDPR does not apply TCF has none.
    const policy = [TCF, GCM, NO_GDPR].find((one) => said[one]);
    const state = policy ? said[policy]! : "pending";
    // `data-consent` lets the tracker begin as it left off; else, until somebody speaks, nothing is known.
    // What was refused, here or elsewhere, stays so; a page that repeats an old yes has not been told of
    // it. Only in Consent Mode that looks like an answer.
    const isRefused = () => host.consent() === "denied";
    if (!policy && (isAsking || isRefused())) return;
    if (lastTold === state + policy && (answered !== policy || (policy === GCM && state === "granted" && isRefused()))) return;
    const tell = host.guard(() => {
      if (answered !== policy && isRefused()) return;
      lastTold = state + policy;
      (sluice as Consenting).consent(state, { policy });
    });
    clearTimeout(settling);
    // Consent Mode's default of each page takes back what a visitor answered on the one before, for
    // all tabs. So the tracker goes on as it left off until the banner had time for its update.
    const isDefault = policy === GCM && state === "pending" && isAsking && !lastTold;
    if (!isDefault) tell();
    // Where there is no yes to take back, a no stays one, and another tab's first answer stands.
    else if (/^[gu]/.test(host.consent())) settling = setTimeout(tell, settlesMs);
  }
  const sayAs = (policy: string): Say => (state, isAnswer, waitMs) => {
    said[policy] = state;
    settlesMs = Math.max(settlesMs, waitMs || 0);
    if (isAnswer) lastAnswered = policy;
    say();
  };

  if (chosen !== "tcf") hearConsentMode(host, sayAs(GCM));
  if (chosen !== "gcm") hearTcf(host, sayAs(TCF), sayAs(NO_GDPR));
  // Only now: of what was said before us, the last counts.
  isReady = true;
  say();
};

export default consent;

/**
 * Purposes 1 (store and read on the device) and 8 (measure content) must be consented to. Vendors and
 * legitimate interests are not asked for: the site itself is who measures.
 * https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework
 */
function hearTcf(host: Host, say: Say, sayNoGdpr: Say): void {
  const purposes = (host.option("consentPurposes") || "1,8").match(/\d+/g) || [];
  let isAnswered = false;
  let looks = 0;

  const hear = host.guard((data: any, isSuccess: boolean) => {
    if (!isSuccess || !data) return;
    const { gdprApplies, eventStatus, purpose, tcString } = data;
    if (gdprApplies === false) sayNoGdpr("granted");
    else if (eventStatus === "useractioncomplete" || (eventStatus === "tcloaded" && tcString !== "")) {
      // Loaded once more, it says again what it said.
      const isAnswer = !isAnswered || eventStatus !== "tcloaded";
      isAnswered = true;
      say(purposes.every((id) => purpose.consents[id] === true) ? "granted" : "denied", isAnswer);
    }
    // Who opens the banner again has not taken anything back yet.
    // While the banner loads it may call with another event, or without a TC string; that is no word.
    else if (eventStatus === "cmpuishown" && !isAnswered) say("pending");
  });

  const listen = host.guard(() => {
    const { __tcfapi } = window as any;
    // The stub of a banner that has not come yet keeps the call until it has.
    if (__tcfapi) __tcfapi("addEventListener", 2, hear);
    // Without a stub nothing tells of a banner to come: a look now and then, for a minute.
    else if (looks++ < MAX_LOOKS) setTimeout(listen, LOOK_MS);
  });
  listen();
}

/**
 * `analytics_storage` decides. A default "denied" is a question nobody has answered yet: what happens
 * until then is held, not thrown away.
 * https://developers.google.com/tag-platform/security/guides/consent
 */
function hearConsentMode(host: Host, say: Say): void {
  const here = host.option("consentRegion")?.toUpperCase();
  let isUpdated = false;
  let closest = ANY_REGION;
  let timer: ReturnType<typeof setTimeout> | undefined;

  /** How closely a default is meant for this visitor; below 0 it is not. */
  function closeness(regions: string | string[] | undefined, isGranted: boolean): number {
    if (!regions) return ANY_REGION;
    // Without knowing where the visitor is: a "no" may be meant for them, a "yes" need not be.
    if (!here) return isGranted ? -1 : SOME_REGION;
    return Math.max(-1, ...[regions].flat().filter((one) => (here + "-").startsWith(one + "-")).map((one) => one.length));
  }

  readDataLayer(host, (entry) => {
    if (!entry || entry[0] !== "consent" || !entry[2]) return;
    const { analytics_storage: storage, region, wait_for_update: waitMs } = entry[2];
    if (!storage) return;
    const isGranted = storage === "granted";
    if (entry[1] === "update") {
      isUpdated = true;
      clearTimeout(timer);
      say(isGranted ? "granted" : "denied", true);
    } else if (entry[1] === "default" && !isUpdated) {
      const close = closeness(region, isGranted);
      if (close < closest) return;
      closest = close;
      clearTimeout(timer);
      if (isGranted && waitMs > 0) timer = setTimeout(host.guard(() => say("granted")), waitMs);
      say(isGranted && !(waitMs > 0) ? "granted" : "pending", false, waitMs);
    }
  });
}
