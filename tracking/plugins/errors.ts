import type { Plugin, Properties } from "../src/plugin";

const MAX_DISTINCT = 20;
const MAX_MESSAGE_CHARS = 500;
const MAX_STACK_CHARS = 2_000;

/** Errors of the page's scripts and resources that failed: each at once, its repetitions counted. */
const plugin: Plugin = (sluice, host) => {
  const seen = new Map<string, { type: string; properties: Properties; count: number }>();
  let omitted = 0;

  const tell = (type: string, properties: Properties) => {
    const key = type + JSON.stringify(properties);
    const known = seen.get(key);
    if (known) known.count++;
    else if (seen.size < MAX_DISTINCT) {
      seen.set(key, { type, properties, count: 0 });
      sluice.track(type, { ...properties, count: 1 });
    } else omitted++;
  };

  // Redacted before it is cut: half an address would pass. Cut before, too: redaction takes time.
  const clean = (text: unknown, max: number) =>
    host
      .redact(String(text ?? "").slice(0, max * 2).replace(/https?:[^\s)]+/g, (url) => host.cleanUrl(url)))
      .slice(0, max);

  // Extensions are the visitor's own business; errors of our chunks are told by the tracker.
  // (A chunk's name is all chunks' hash and a digit.)
  const isForeign = (address: string) => /-extension:/.test(address) || address.startsWith(import.meta.url.slice(0, -4));

  const tellError = (kind: string, error: any, event: Partial<ErrorEvent>) => {
    const stack = String((error && error.stack) || "");
    // A rejection does not say where: its stack does.
    const [, file, line, column] = /(https?:\S+?):(\d+):(\d+)/.exec(stack) || [];
    const source = event.filename || file || "";
    if (isForeign(source)) return;
    tell("js_error", {
      kind,
      message: clean(event.message || (error && error.message) || error, MAX_MESSAGE_CHARS),
      source: host.cleanUrl(source),
      line: event.lineno || +line! || 0,
      column: event.colno || +column! || 0,
      stack: clean(stack, MAX_STACK_CHARS),
    });
  };

  host.listen(window, "error", (event: ErrorEvent) => {
    const target = event.target as Element;
    // What an element fails to load does not bubble, but is captured. Pages have an `Element` of their own.
    if (target?.nodeType === 1) {
      const url = (target as HTMLImageElement).currentSrc || (target as HTMLImageElement).src || (target as HTMLLinkElement).href;
      if (typeof url !== "string" || isForeign(url) || host.isIgnored(target)) return;
      tell("resource_error", { tag: target.localName, url: host.cleanUrl(url) });
    } else tellError("error", event.error, event);
  });
  host.listen(window, "unhandledrejection", ({ reason }: PromiseRejectionEvent) => tellError("rejection", reason, {}));

  host.onHide(() => {
    seen.forEach((one) => {
      if (one.count) sluice.track(one.type, { ...one.properties, count: one.count });
      one.count = 0;
    });
    if (omitted) sluice.track("errors_omitted", { count: omitted });
    omitted = 0;
  });
};

export default plugin;
