import { attempt } from "./guard";
import { VISITOR } from "./visitor";

/** Small first-party values: localStorage, else a cookie, else this page's memory. Never throws. */
export interface Storage {
  /** "" where there is none. */
  read(key: string): string;
  /** An empty value removes; an answer of the visitor's outlives a page that clears its storage. */
  write(key: string, value: string, isAnswer?: boolean): void;
}

// Chromium keeps a cookie for at most 400 days, whatever is asked.
const COOKIE_SECONDS = 400 * 24 * 60 * 60;
const FRESH_MS = 100;

let cookies: string;
let freshUntil = 0;

/** Chromium notes each function that a reading of cookies is called from, and parses all of them again for it. */
function recentCookies(): string {
  if (performance.now() >= freshUntil) {
    cookies = document.cookie;
    freshUntil = performance.now() + FRESH_MS;
  }
  return cookies;
}

/** Cookies as they are now: another tab may have written some. */
export function lookAnew(): void {
  freshUntil = 0;
}

/** While it is closed, nothing of the browser's is read or written. */
export function browserStorage(
  prefix: string,
  isClosed: () => boolean,
  visitor = prefix + VISITOR,
): Storage {
  const memory: { [name: string]: string } = {};

  // Touching localStorage or document.cookie throws in sandboxed frames and with site data blocked.
  const stored = (name: string) => attempt(() => localStorage.getItem(name) || "");

  function readBrowser(name: string): string | undefined {
    const cookie = () => `; ${recentCookies()}; ${name}=`.split(`; ${name}=`)[1]!.split(";")[0]!;
    // A cookie is there where localStorage is not, or was full; where that has the visitor, it has
    // the rest, too.
    return stored(name) || (stored(visitor) ? "" : attempt(() => decodeURIComponent(cookie())));
  }

  return {
    read(key) {
      const name = prefix + key;
      return memory[name] || (!isClosed() && readBrowser(name)) || "";
    },
    write(key, value, isAnswer) {
      const name = prefix + key;
      memory[name] = "";
      if (isClosed()) return;
      attempt(() => (value ? localStorage.setItem(name, value) : localStorage.removeItem(name)));
      const known = stored(name);
      // It may be full, and have been before.
      if (!value || isAnswer || known !== value) {
        attempt(() => {
          lookAnew();
          document.cookie = `${name}=${encodeURIComponent(value)};path=/;samesite=lax;max-age=${value ? COOKIE_SECONDS : 0}`;
        });
      }
      // Not where there are cookies alone: other tabs can answer there, too. One that stands beside
      // a full localStorage is not always read.
      if ((known ?? readBrowser(name)) !== value) memory[name] = value;
    },
  };
}
