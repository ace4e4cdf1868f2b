import { onCLS, onFCP, onINP, onLCP } from "web-vitals";
import type { Plugin, Properties } from "../src/plugin";

const { max, min, round } = Math;

/**
 * Web vitals, each with what made it so. They are told when the page is hidden: until then each may
 * still grow. The library's own attribution weighs 2.2 KB of gzip; this is what of it a reader acts on.
 */
const plugin: Plugin = (sluice, host) => {
  if (Math.random() >= +(host.option("vitalsSample") ?? 1)) return;
  const waiting = new Map<string, Properties>();

  // Any of the five, and its entries: what they have differs, what they lack is undefined.
  const remember = host.guard(({ name, value, rating, navigationType, id, entries }: { [field: string]: any }) => {
    // The largest shift, the last event of an interaction. None when the page came out of the bfcache.
    const entry = [...entries].sort((a, b) => b.value - a.value || b.processingEnd - a.processingEnd)[0] || {};
    const { url, sources, processingEnd } = entry;
    const navigation: any = performance.getEntriesByType("navigation")[0] || {};
    const resource: any = performance.getEntriesByName(url)[0] || {};
    const start = processingEnd ? entry.startTime : navigation.activationStart || 0;
    // Found at once: by the time it is told, the element may be gone.
    const element = entry.element || entry.target || sources?.find((source: any) => source.node?.localName)?.node;

    const properties: Properties = {
      name,
      value: round(value * 1e4) / 1e4,
      rating,
      navigationType,
      metricId: id,
      loadedUrl: host.cleanUrl(navigation.name),
      target: element?.localName && !host.isIgnored(element) ? host.selector(element) : undefined,
      url: url && host.cleanUrl(url),
    };
    waiting.set(name, properties);

    // When each phase ended. They follow each other and add up to the value.
    const ends: { [name: string]: number } = processingEnd
      ? {
          inputDelayMs: entries[0].processingStart,
          processingMs: processingEnd,
          renderDelayMs: Infinity,
        }
      : entries[0] &&
        !sources && {
          waitingMs: navigation.fetchStart,
          dnsMs: navigation.domainLookupEnd,
          connectionMs: navigation.connectEnd,
          requestMs: navigation.responseStart,
          loadDelayMs: resource.requestStart || resource.startTime,
          loadMs: resource.responseEnd,
          renderDelayMs: Infinity,
        };
    let from = 0;
    for (const phase in ends) {
      // A time that another origin keeps for itself is 0, and a video loads on after it was painted.
      const to = min(value, max(from, ends[phase]! - start || 0));
      if (to > from) properties[phase] = round(to - from);
      from = to;
    }

    // The library's TTFB is 170 B to read this one number.
    if (entry.name === "first-contentful-paint" && navigation.responseStart) {
      const ttfb = max(0, navigation.responseStart - start);
      const rating = ttfb > 1800 ? "poor" : ttfb > 800 ? "needs-improvement" : "good";
      remember({ name: "TTFB", value: ttfb, rating, navigationType, id, entries: [navigation] });
    }
  });
  for (const watch of [onFCP, onLCP, onINP, onCLS]) watch(remember as any, { reportAllChanges: true });

  host.onHide(() => {
    waiting.forEach((properties) => sluice.track("web_vital", properties));
    waiting.clear();
  });
};

export default plugin;
