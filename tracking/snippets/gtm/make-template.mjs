/** Put template.tpl together from its parts: `node make-template.mjs` (`--check`: is it fresh?). */
import { readFile, writeFile } from "node:fs/promises";

const part = (name) => readFile(new URL(name, import.meta.url), "utf8");
const json = (value) => JSON.stringify(value, null, 2);

const text = (string) => ({ type: 1, string });
const yes = (boolean) => ({ type: 8, boolean });
const list = (...listItem) => ({ type: 2, listItem });
const row = (fields) => ({ type: 3, mapKey: Object.keys(fields).map(text), mapValue: Object.values(fields) });
const permission = (publicId, key, value) => ({
  instance: { key: { publicId, versionId: "1" }, param: [{ key, value }] },
  clientAnnotations: { isEditedByUser: true },
  isRequired: true,
});
const global = (key, read, write, execute) =>
  row({ key: text(key), read: yes(read), write: yes(write), execute: yes(execute) });

const info = {
  type: "TAG",
  id: "cvt_temp_public_id",
  version: 1,
  securityGroups: [],
  displayName: "Sluice",
  categories: ["ANALYTICS"],
  brand: { id: "brand_dummy", displayName: "Sluice" },
  description: "First-party events: loads the tracker from your own host once consent is given, and tells it events.",
  containerContexts: ["WEB"],
};

const nonEmpty = { type: "NON_EMPTY" };
const when = (paramValue) => [{ paramName: "command", paramValue, type: "EQUALS" }];
const choices = (...values) => values.map(([value, displayValue]) => ({ value, displayValue }));
const parameters = [
  {
    type: "SELECT",
    name: "command",
    displayName: "What to do",
    simpleValueType: true,
    defaultValue: "load",
    selectItems: choices(
      ["load", "Load the tracker"],
      ["track", "Track an event"],
      ["identify", "Say who is signed in"],
      ["reset", "Forget who was signed in"],
      ["optOut", "Opt out"],
      ["optIn", "Opt in again"],
    ),
  },
  {
    type: "TEXT",
    name: "src",
    displayName: "The tracker's address",
    help: "On your own host, by https. Its site id is the page's host name; its events go to /collect there.",
    simpleValueType: true,
    valueHint: "https://events.shop.example/js/tracking.js",
    enablingConditions: when("load"),
    valueValidators: [nonEmpty, { type: "REGEX", args: ["^https://[^/]+/.+$"] }],
  },
  {
    type: "TEXT",
    name: "plugins",
    displayName: "Plugins",
    help: "Names with a space between them: vitals errors",
    simpleValueType: true,
    enablingConditions: when("load"),
  },
  {
    type: "TEXT",
    name: "consentType",
    displayName: "Consent type that it needs",
    help: "The tracker is loaded once this is granted, and told when it is withdrawn.",
    simpleValueType: true,
    defaultValue: "analytics_storage",
    enablingConditions: when("load"),
    valueValidators: [{ type: "REGEX", args: ["^(analytics_storage|functionality_storage|personalization_storage)$"] }],
  },
  {
    type: "TEXT",
    name: "eventName",
    displayName: "The event's name",
    simpleValueType: true,
    valueHint: "signup",
    enablingConditions: when("track"),
    valueValidators: [nonEmpty],
  },
  {
    type: "TEXT",
    name: "userId",
    displayName: "The user's id",
    help: "In your own terms; no mail address.",
    simpleValueType: true,
    enablingConditions: when("identify"),
    valueValidators: [nonEmpty],
  },
  {
    type: "SIMPLE_TABLE",
    name: "properties",
    displayName: "Properties",
    enablingConditions: [...when("track"), ...when("identify")],
    simpleTableColumns: [
      { name: "name", displayName: "Name", type: "TEXT", isUnique: true, defaultValue: "", valueValidators: [nonEmpty] },
      { name: "value", displayName: "Value", type: "TEXT", defaultValue: "" },
    ],
  },
];

const consentType = (name) => row({ consentType: text(name), read: yes(true), write: yes(false) });
const permissions = [
  permission(
    "access_globals",
    "keys",
    list(
      global("sluice", true, true, true),
      global("sluice.q", true, true, false),
    ),
  ),
  permission("inject_script", "urls", list(text("https://*/*"))),
  permission(
    "access_consent",
    "consentTypes",
    list(
      consentType("analytics_storage"),
      consentType("functionality_storage"),
      consentType("personalization_storage"),
    ),
  ),
];

const template = `___INFO___

${json(info)}


___TEMPLATE_PARAMETERS___

${json(parameters)}


___SANDBOXED_JS_FOR_WEB_TEMPLATE___

${(await part("template.js")).trim()}


___WEB_PERMISSIONS___

${json(permissions)}


___TESTS___

${(await part("template.tests.yaml")).trim()}


___NOTES___

https://developers.google.com/tag-platform/tag-manager/templates
`;

const target = new URL("template.tpl", import.meta.url);
if (!process.argv.includes("--check")) await writeFile(target, template);
else if ((await readFile(target, "utf8")) !== template) {
  console.error("template.tpl is not what its parts make: node make-template.mjs");
  process.exitCode = 1;
}
