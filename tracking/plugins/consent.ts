import type { Commands } from "../src/api";
import type { Host, Plugin } from "../src/plugin";
import { readDataLayer } from "./page/data-layer";

const LOOK_MS = 250;
const MAX_LOOKS = 240;
const SETTLES_MS = 2_000;
const ANY_REGION = 0;
const SOME_REGION = 99;

type State = "granted" | "denied" | "pending";
type Say = (state: State) => void;
type Consenting = Commands & { consent(state: State, options?: { policy?: string }): void };

/** What a consent banner says, said to the tracker: IAB TCF v2.2, Google Consent Mode v2. */
const consent: Plugin = (sluice, host) => {
  const chosen = host.option("consent");
  const said: { [policy: string]: State } = {};
  let isReady = false;
  let lastTold: string | undefined;
  let settling: ReturnType<typeof setTimeout> | undefined;

  function say(): void {
    if (!isReady) return;
    // Where both speak, TCF has the visitor's answer; Consent Mode often has no more than its default.
    const policy = ["tcf-2.2", "gcm-v2"].find((one) => said[one]);
    const state = policy ? said[policy]! : "pending";
    // `data-consent` lets the tracker begin as it left off; else, until somebody speaks, nothing is known.
    if ((!policy && chosen) || lastTold === state + policy) return;
    const tell = host.guard(() => {
      lastTold = state + policy;
      (sluice as Consenting).consent(state, { policy });
    });
    clearTimeout(settling);
    // Consent Mode's default of each page takes back what a visitor answered on the one before, for
    // all tabs. So the tracker goes on as it left off until the banner had time for its update.
    const isDefault = policy === "gcm-v2" && state === "pending" && chosen && !lastTold;
    if (isDefault) settling = setTimeout(tell, SETTLES_MS);
    else tell();
  }
  const sayAs = (policy: string): Say => (state) => {
    said[policy] = state;
    say();
  };

  if (chosen !== "tcf") hearConsentMode(host, sayAs("gcm-v2"));
  if (chosen !== "gcm") hearTcf(host, sayAs("tcf-2.2"));
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
function hearTcf(host: Host, say: Say): void {
  const purposes = (host.option("consentPurposes") || "1,8").match(/\d+/g) || [];
  let isAnswered = false;
  let looks = 0;

  const hear = host.guard((data: any, isSuccess: boolean) => {
    if (!isSuccess || !data) return;
    const { gdprApplies, eventStatus, purpose } = data;
    if (gdprApplies === false) say("granted");
    else if (/^(tcloaded|useractioncomplete)$/.test(eventStatus)) {
      isAnswered = true;
      say(purposes.every((id) => purpose.consents[id] === true) ? "granted" : "denied");
    }
    // Who opens the banner again has not taken anything back yet.
    else if (!isAnswered) say("pending");
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
  const here = host.option("consentRegion");
  let isUpdated = false;
  let closest = ANY_REGION;
  let timer: ReturnType<typeof setTimeout> | undefined;

  /** How closely a default is meant for this visitor; below 0 it is not. */
  function closeness(regions: string[] | undefined, isGranted: boolean): number {
    if (!regions) return ANY_REGION;
    // Without knowing where the visitor is: a "no" may be meant for them, a "yes" need not be.
    if (!here) return isGranted ? -1 : SOME_REGION;
    return Math.max(-1, ...regions.filter((one) => (here + "-").startsWith(one + "-")).map((one) => one.length));
  }

  readDataLayer(host, (entry) => {
    if (!entry || entry[0] !== "consent" || !entry[2]) return;
    const { analytics_storage: storage, region, wait_for_update: waitMs } = entry[2];
    if (!storage) return;
    const isGranted = storage === "granted";
    if (entry[1] === "update") {
      isUpdated = true;
      clearTimeout(timer);
      say(isGranted ? "granted" : "denied");
    } else if (entry[1] === "default" && !isUpdated) {
      const close = closeness(region, isGranted);
      if (close < closest) return;
      closest = close;
      clearTimeout(timer);
      if (isGranted && waitMs > 0) timer = setTimeout(host.guard(() => say("granted")), waitMs);
      say(isGranted && !(waitMs > 0) ? "granted" : "pending");
    }
  });
}
