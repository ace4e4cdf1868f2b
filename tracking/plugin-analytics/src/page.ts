import { MAX_URL_CHARS } from "../../src/redact";
import { MAX_NAME_CHARS, MAX_TITLE_CHARS } from "../../src/capture";
import type { Event } from "../../src/event";

export type Properties = { [name: string]: unknown };

/** The page that a call speaks of, in the contract's fields, and what else its properties say. */
export function pageOf(properties: Properties, isBrowser: boolean): { page: Partial<Event>; rest: Properties } {
  const { url, path, title, referrer, ...rest } = properties;
  const page: Partial<Event> = {
    url: clip(url, MAX_URL_CHARS),
    path: clip(path, MAX_URL_CHARS),
    title: clip(title, MAX_TITLE_CHARS),
    referrer: clip(referrer, MAX_URL_CHARS),
  };
  if (isBrowser) {
    page.url = page.url || clip(location.href, MAX_URL_CHARS);
    page.path = page.path || clip(location.pathname, MAX_URL_CHARS);
    page.title = page.title || clip(document.title, MAX_TITLE_CHARS);
  }
  return { page, rest };
}

/** A name or an id within the contract's limit; numbers are taken for ids, anything else is none. */
export function clipName(value: unknown): string | undefined {
  return clip(typeof value === "number" ? String(value) : value, MAX_NAME_CHARS);
}

function clip(value: unknown, most: number): string | undefined {
  return typeof value === "string" && value ? value.slice(0, most) : undefined;
}
