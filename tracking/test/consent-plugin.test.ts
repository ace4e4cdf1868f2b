import assert from "node:assert/strict";
import { mock, test } from "node:test";
import consent from "../plugins/consent";
import { FakePage, gtag, type Entry } from "./fake-page";

const YES = { analytics_storage: "granted" };
const NO = { analytics_storage: "denied" };
const byDefault = (said: object) => gtag("consent", "default", said);
const update = (said: object) => gtag("consent", "update", said);
const gcm = (state: string) => [state, { policy: "gcm-v2" }];
const tcf = (state: string) => [state, { policy: "tcf-2.2" }];

function aGcmPage(before: Entry[] = [], options: { [name: string]: string } = {}) {
  const page = new FakePage({ options: { consent: "gcm", ...options } });
  page.window.dataLayer = [...before];
  return page.run(consent);
}

/** A page whose banner had time for an update. */
function aSettledPage(before: Entry[] = [], options: { [name: string]: string } = {}) {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const page = aGcmPage(before, options);
    mock.timers.tick(2_000);
    return page;
  } finally {
    mock.timers.reset();
  }
}

test("Consent Mode: a default of denied takes back an answer only where no update follows", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const [page, another] = [aGcmPage([byDefault(NO)]), aGcmPage([byDefault(NO)])];
    mock.timers.tick(1_999);
    page.window.dataLayer.push(update(YES));
    mock.timers.tick(2_000);
    assert.deepEqual(page.consents, [gcm("granted")]);
    assert.deepEqual(another.consents, [gcm("pending")]);
    const unasked = new FakePage({});
    unasked.window.dataLayer = [byDefault(NO)];
    assert.deepEqual(unasked.run(consent).consents, [gcm("pending")], "without data-consent nothing is known");
  } finally {
    mock.timers.reset();
  }
});

test("Consent Mode: a default of denied is pending, an update decides, the last counts", () => {
  const page = aSettledPage([byDefault(NO)]);
  assert.deepEqual(page.consents, [gcm("pending")]);
  page.window.dataLayer.push(update({ ad_storage: "granted" }));
  assert.equal(page.consents.length, 1, "nothing was said about analytics");
  page.window.dataLayer.push(update(YES), update(YES), update(NO));
  assert.deepEqual(page.consents.slice(1), [gcm("granted"), gcm("granted"), gcm("denied")]);
});

test("Consent Mode: of what was said before the plugin came, only the outcome is told", () => {
  assert.deepEqual(aGcmPage([byDefault(NO), update(YES)]).consents, [gcm("granted")]);
  assert.deepEqual(aGcmPage([update(NO), byDefault(YES)]).consents, [gcm("denied")], "an update outranks a default");
  assert.deepEqual(aGcmPage([byDefault(YES)]).consents, [gcm("granted")]);
  assert.deepEqual(aGcmPage([gtag("js", new Date()), { event: "gtm.js" }, null]).consents, []);
});

test("Consent Mode: a default of granted waits for the update as long as it says", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const patient = aGcmPage([byDefault({ ...YES, wait_for_update: 500 })]);
    const answered = aGcmPage([byDefault({ ...YES, wait_for_update: 500 })]);
    answered.window.dataLayer.push(update(NO));
    mock.timers.tick(499);
    assert.deepEqual(patient.consents, []);
    mock.timers.tick(1);
    assert.deepEqual(patient.consents, [gcm("granted")]);
    assert.deepEqual(answered.consents, [gcm("denied")]);
  } finally {
    mock.timers.reset();
  }
});

test("Consent Mode: without knowing the region, a regional no counts and a regional yes does not", () => {
  const noInEurope = byDefault({ ...NO, region: ["DE", "FR"] });
  const yesInTheStates = byDefault({ ...YES, region: ["US"] });
  assert.deepEqual(aSettledPage([byDefault(YES), noInEurope]).consents, [gcm("pending")]);
  assert.deepEqual(aSettledPage([noInEurope, byDefault(YES)]).consents, [gcm("pending")]);
  assert.deepEqual(aSettledPage([byDefault(NO), yesInTheStates]).consents, [gcm("pending")]);
  assert.deepEqual(aSettledPage([yesInTheStates]).consents, []);
});

test("Consent Mode: told the region, the closest default counts", () => {
  const defaults = [
    byDefault({ ...NO, region: ["US-CA"] }),
    byDefault({ ...YES, region: ["US"] }),
    byDefault(NO),
  ];
  assert.deepEqual(aSettledPage(defaults, { consentRegion: "US-CA" }).consents, [gcm("pending")]);
  assert.deepEqual(aSettledPage(defaults, { consentRegion: "US-NY" }).consents, [gcm("granted")]);
  assert.deepEqual(aSettledPage(defaults, { consentRegion: "DE" }).consents, [gcm("pending")]);
});

function letPass(seconds: number): void {
  for (let quarter = 0; quarter < seconds * 4; quarter++) mock.timers.tick(250);
}

/** A banner with TCF's API, that tells as its visitor is made to answer. */
function aCmp() {
  const listeners: ((data: unknown, isSuccess: boolean) => void)[] = [];
  const versions: unknown[] = [];
  return {
    versions,
    listeners,
    api(command: string, version: number, listener: (data: unknown, isSuccess: boolean) => void) {
      assert.equal(command, "addEventListener");
      versions.push(version);
      listeners.push(listener);
    },
    tell(eventStatus: string, purposes: number[] = [], gdprApplies: boolean | undefined = true, isSuccess = true) {
      const consents = Object.fromEntries(purposes.map((id) => [id, true]));
      listeners.forEach((hear) => hear({ eventStatus, gdprApplies, purpose: { consents } }, isSuccess));
    },
  };
}

test("what a visitor answers again is told again: another tab may have said otherwise since", () => {
  const page = aSettledPage([byDefault(NO)]);
  page.window.dataLayer.push(update(NO), update(NO));
  assert.deepEqual(page.consents.slice(1), [gcm("denied"), gcm("denied")]);
  const { page: another, cmp } = aTcfPage();
  cmp.tell("useractioncomplete", []);
  cmp.tell("cmpuishown", []);
  cmp.tell("useractioncomplete", []);
  assert.deepEqual(another.consents, [tcf("denied"), tcf("denied")]);
});

test("Consent Mode: a default takes nothing back where there is no yes, and waits as long as it says", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const page = new FakePage({ options: { consent: "gcm" }, isGranted: false });
    page.window.dataLayer = [byDefault(NO)];
    page.run(consent);
    const patient = aGcmPage([byDefault({ ...NO, wait_for_update: 5_000 })]);
    mock.timers.tick(4_999);
    assert.deepEqual(page.consents, []);
    assert.deepEqual(patient.consents, []);
    mock.timers.tick(1);
    assert.deepEqual(patient.consents, [gcm("pending")]);
  } finally {
    mock.timers.reset();
  }
});

test("Consent Mode: a default of granted does not overrule a no that is remembered, an update does", () => {
  const page = new FakePage({ options: { consent: "gcm" }, consent: "denied" });
  page.window.dataLayer = [byDefault(YES)];
  page.run(consent);
  assert.deepEqual(page.consents, []);
  page.window.dataLayer.push(update(YES));
  assert.deepEqual(page.consents, [gcm("granted")]);
});

test("what was refused elsewhere meanwhile is not overruled by what waited, nor by an old yes said again", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    for (const layer of [[byDefault(NO)], [byDefault({ ...YES, wait_for_update: 500 })]]) {
      const page = new FakePage({ options: { consent: "gcm" }, consent: "granted" });
      page.window.dataLayer = layer;
      page.run(consent);
      mock.timers.tick(100);
      page.holds = "denied";
      mock.timers.tick(5_000);
      assert.deepEqual(page.consents, []);
    }
    const page = new FakePage({ options: { consent: "gcm" }, consent: "granted" });
    page.window.dataLayer = [update(YES)];
    page.run(consent);
    page.holds = "denied";
    page.window.dataLayer.push(update(YES));
    assert.deepEqual(page.consents, [gcm("granted")]);
  } finally {
    mock.timers.reset();
  }
});

test("TCF: a yes that is given anew after another tab's no is heard", () => {
  const page = new FakePage({ options: { consent: "tcf" }, consent: "granted" });
  const yes = { gdprApplies: true, eventStatus: "useractioncomplete", purpose: { consents: { 1: true, 8: true } } };
  let hear: (data: unknown, isOk: boolean) => void;
  page.window.__tcfapi = (_: string, __: number, run: typeof hear) => (hear = run);
  page.run(consent);
  hear!(yes, true);
  page.holds = "denied";
  hear!({ ...yes, eventStatus: "tcloaded" }, true);
  assert.deepEqual(page.consents.map(([state]) => state), ["granted"]);
  hear!({ ...yes, eventStatus: "cmpuishown" }, true);
  hear!(yes, true);
  assert.deepEqual(page.consents.map(([state]) => state), ["granted", "granted"]);
});

test("an answer that was given before the plugin came overrules what was refused on an earlier page", () => {
  const page = new FakePage({ options: { consent: "gcm" }, consent: "denied" });
  page.window.dataLayer = [byDefault(NO), update(YES)];
  page.run(consent);
  assert.deepEqual(page.consents, [gcm("granted")]);
});

test("without data-consent, too, what was refused stays so until somebody says otherwise", () => {
  for (const layer of [[byDefault(YES)], [byDefault(NO)], []]) {
    const page = new FakePage({ consent: "denied" });
    page.window.dataLayer = layer;
    page.run(consent);
    assert.deepEqual(page.consents, []);
  }
});

test("where nobody asked so far, a default of denied is told when it has settled", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const page = new FakePage({ options: { consent: "unknown" }, consent: "unknown" });
    page.window.dataLayer = [byDefault(NO)];
    page.run(consent);
    mock.timers.tick(2_000);
    assert.deepEqual(page.consents, [gcm("pending")]);
  } finally {
    mock.timers.reset();
  }
});

test("Consent Mode: regions in small letters, and one alone", () => {
  const defaults = [byDefault(YES), byDefault({ ...NO, region: "DE" })];
  assert.deepEqual(aSettledPage(defaults, { consentRegion: "de" }).consents, [gcm("pending")]);
});

test("TCF: a call while the banner loads says nothing", () => {
  const { page, cmp } = aTcfPage();
  cmp.tell(undefined as unknown as string, [], undefined as unknown as boolean);
  cmp.listeners[0]!({ eventStatus: "tcloaded", gdprApplies: true, tcString: "", purpose: { consents: {} } }, true);
  assert.deepEqual(page.consents, []);
});

test("where the GDPR does not apply, Consent Mode decides", () => {
  const cmp = aCmp();
  const page = new FakePage({ options: { consent: "pending" } });
  page.window.__tcfapi = cmp.api;
  page.run(consent);
  cmp.tell("tcloaded", [], false);
  page.window.dataLayer.push(update(NO));
  assert.deepEqual(page.consents, [["granted", { policy: "tcf-2.2-no-gdpr" }], gcm("denied")]);
});

test("an empty data-consent goes on as the last page left off", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    assert.deepEqual(new FakePage({ options: { consent: "" } }).run(consent).consents, []);
  } finally {
    mock.timers.reset();
  }
});

function aTcfPage(options: { [name: string]: string } = {}) {
  mock.timers.enable({ apis: ["setTimeout"] });
  const cmp = aCmp();
  const page = new FakePage({ options: { consent: "tcf", ...options } });
  page.window.__tcfapi = cmp.api;
  page.run(consent);
  mock.timers.reset();
  return { page, cmp };
}

test("TCF: purposes 1 and 8 both are needed", () => {
  for (const [purposes, state] of [[[1, 8], "granted"], [[1, 7, 9], "denied"], [[8], "denied"], [[], "denied"]] as const) {
    const { page, cmp } = aTcfPage();
    assert.deepEqual(page.consents, []);
    cmp.tell("tcloaded", [...purposes]);
    assert.deepEqual(page.consents, [tcf(state)]);
    assert.deepEqual(cmp.versions, [2]);
  }
});

test("TCF: pending while the banner asks, then as answered, then as answered anew", () => {
  const { page, cmp } = aTcfPage();
  cmp.tell("cmpuishown");
  cmp.tell("useractioncomplete", [1, 8]);
  cmp.tell("cmpuishown", [1, 8]);
  cmp.tell("useractioncomplete", []);
  assert.deepEqual(page.consents, [tcf("pending"), tcf("granted"), tcf("denied")]);
});

test("TCF: where the GDPR does not apply it is granted; a failed call says nothing", () => {
  const { page, cmp } = aTcfPage();
  cmp.tell("tcloaded", [1, 8], true, false);
  assert.deepEqual(page.consents, []);
  cmp.tell("tcloaded", [], false);
  assert.deepEqual(page.consents, [["granted", { policy: "tcf-2.2-no-gdpr" }]]);
});

test("TCF: the purposes can be chosen", () => {
  const { page, cmp } = aTcfPage({ consentPurposes: "1 9" });
  cmp.tell("tcloaded", [1, 9]);
  assert.deepEqual(page.consents, [tcf("granted")]);
});

test("TCF: a banner that comes late is found, and asked once", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const page = new FakePage({ options: { consent: "tcf" } }).run(consent);
    const cmp = aCmp();
    letPass(5);
    page.window.__tcfapi = cmp.api;
    letPass(5);
    assert.deepEqual(cmp.versions, [2]);
  } finally {
    mock.timers.reset();
  }
});

test("TCF: a banner that never comes is not waited for forever", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const page = new FakePage({ options: { consent: "tcf" } }).run(consent);
    letPass(61);
    const cmp = aCmp();
    page.window.__tcfapi = cmp.api;
    letPass(61);
    assert.deepEqual(cmp.versions, []);
  } finally {
    mock.timers.reset();
  }
});

test("with neither chosen it is pending until one speaks; TCF decides where both do", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const cmp = aCmp();
    const page = new FakePage();
    page.window.__tcfapi = cmp.api;
    page.run(consent);
    assert.deepEqual(page.consents, [["pending", { policy: undefined }]]);
    page.window.dataLayer.push(byDefault(YES));
    cmp.tell("cmpuishown");
    page.window.dataLayer.push(update(YES));
    cmp.tell("useractioncomplete", []);
    assert.deepEqual(page.consents.slice(1), [gcm("granted"), tcf("pending"), tcf("denied")]);
  } finally {
    mock.timers.reset();
  }
});
