import type { Host } from "../../src/plugin";

/**
 * Hear every entry of the page's data layer: what was pushed before us, then what comes. A layer that
 * is not there yet is made, as the snippets of GTM and gtag make it.
 * https://developers.google.com/tag-platform/tag-manager/datalayer
 */
export function readDataLayer(host: Host, hear: (entry: any) => void): void {
  const name = host.option("dataLayer") || "dataLayer";
  const page = window as any;
  const layer: any[] = (page[name] = page[name] || []);
  const heard = host.guard((entry) => entry && hear(entry));
  const { push } = layer;
  layer.push = function (...entries) {
    // The page's call first, unguarded and with its answer: GTM wraps `push` as well, before us or after.
    const answer = push.apply(this, entries);
    entries.forEach(heard);
    return answer;
  };
  layer.forEach(heard);
}

/** The event that an entry tells: gtag's `["event", name, {…}]`, or GTM's and Segment's `{event: name, …}`. */
export function eventIn(entry: any): { name: any; data: any } {
  const { 1: name = entry.event, 2: data = entry } = entry;
  return { name, data: data.ecommerce || data };
}
