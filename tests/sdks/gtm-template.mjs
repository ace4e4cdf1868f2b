/** The template of tracking/snippets/gtm as Tag Manager runs it: its code, its permissions, stand-in APIs. */
import { readFile } from "node:fs/promises";
import vm from "node:vm";

const text = await readFile(new URL("../../tracking/snippets/gtm/template.tpl", import.meta.url), "utf8");
const sections = Object.fromEntries(
  text
    .split(/^___(?=[A-Z_]+___$)/m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf("___")), section.slice(section.indexOf("___") + 3).trim()]),
);
JSON.parse(sections.INFO);
const fields = JSON.parse(sections.TEMPLATE_PARAMETERS);

const permitted = {};
const value = (node) =>
  node.type === 1 ? node.string : node.type === 8 ? node.boolean : node.type === 2 ? node.listItem.map(value)
    : Object.fromEntries(node.mapKey.map((key, i) => [key.string, value(node.mapValue[i])]));
for (const { instance } of JSON.parse(sections.WEB_PERMISSIONS)) {
  permitted[instance.key.publicId] = value(instance.param[0].value);
}

/** Run the tag; `page` is the window, `consents` what is granted. */
function run(data, page, consents) {
  const told = { injected: [], success: 0, failure: 0, listeners: [] };
  const need = (holds, what) => {
    if (!holds) throw new Error(`not permitted: ${what}`);
  };
  const may = (key, access) =>
    need(permitted.access_globals.some((global) => global.key === key && global[access]), `${access} ${key}`);
  const mayRead = (type) =>
    need(permitted.access_consent.some((consent) => consent.consentType === type && consent.read), type);
  const apis = {
    copyFromWindow: (key) => (may(key, "read"), page[key]),
    createArgumentsQueue(name, queue) {
      for (const key of [name, queue]) may(key, "read"), may(key, "write");
      page[name] = function () {
        page[name].q.push(arguments);
      };
      page[name].q = [];
      return page[name];
    },
    callInWindow: (key, ...args) => (may(key, "execute"), page[key](...args)),
    injectScript(url, success) {
      need(permitted.inject_script.some((pattern) => pattern === "https://*/*") && url.startsWith("https://"), url);
      told.injected.push(url);
      success();
    },
    isConsentGranted: (type) => (mayRead(type), consents.has(type)),
    addConsentListener: (type, run) => (mayRead(type), told.listeners.push([type, run])),
    makeTableMap: (rows, key, value) => Object.fromEntries(rows.map((row) => [row[key], row[value]])),
  };
  const sandbox = {
    data: { ...data, gtmOnSuccess: () => told.success++, gtmOnFailure: () => told.failure++ },
    require(name) {
      need(name in apis, name);
      return apis[name];
    },
  };
  // Template code is a function's body.
  vm.runInNewContext(`(function () {${sections.SANDBOXED_JS_FOR_WEB_TEMPLATE}})()`, sandbox);
  return told;
}

const queued = (page) => page.sluice.q.map((call) => Array.from(call));
const src = "https://events.shop.example/js/tracking.js";
const load = { command: "load", src, plugins: "vitals  errors", consentType: "analytics_storage" };

const granted = {};
const withConsent = run(load, granted, new Set(["analytics_storage"]));

const asked = {};
const waits = run(load, asked, new Set());
const before = { injected: [...waits.injected], success: waits.success, queued: queued(asked) };
const [[, listener]] = waits.listeners;
for (const state of [true, false, true]) listener("analytics_storage", state);

const events = {};
run({ command: "track", eventName: "signup", properties: [{ name: "plan", value: "pro" }] }, events, new Set());
run({ command: "identify", userId: "u_1" }, events, new Set());
run({ command: "reset" }, events, new Set());

// Where the tracker is there already, it is called, and not replaced.
const calls = [];
const there = { sluice: (...call) => calls.push(call) };
run({ command: "track", eventName: "late" }, there, new Set());

console.log(
  JSON.stringify({
    sections: Object.keys(sections),
    fields: fields.map((field) => field.name),
    withConsent: { injected: withConsent.injected, success: withConsent.success, queued: queued(granted) },
    before,
    after: { injected: waits.injected, queued: queued(asked) },
    events: queued(events),
    calls,
  }),
);
