/** Small first-party values: localStorage, else a cookie, else this page's memory. Never throws. */
export interface Storage {
  read(key: string): string | null;
  write(key: string, value: string): void;
  remove(key: string): void;
}

// Chromium keeps a cookie for at most 400 days, whatever is asked.
const COOKIE_SECONDS = 400 * 24 * 60 * 60;

export function browserStorage(): Storage {
  const memory: { [key: string]: string } = {};
  return {
    read: (key) =>
      attempt(() => localStorage.getItem(key)) || attempt(() => readCookie(key)) || memory[key] || null,
    write(key, value) {
      const stored = attempt(() => {
        localStorage.setItem(key, value);
        return true;
      });
      if (stored) return;
      memory[key] = value;
      attempt(() => writeCookie(key, value, COOKIE_SECONDS));
    },
    remove(key) {
      delete memory[key];
      attempt(() => localStorage.removeItem(key));
      attempt(() => readCookie(key) && writeCookie(key, "", 0));
    },
  };
}

// Touching localStorage or document.cookie throws in sandboxed frames and with site data blocked.
function attempt<Result>(touch: () => Result): Result | undefined {
  try {
    return touch();
  } catch {
    return undefined;
  }
}

function readCookie(key: string): string | null {
  const found = ("; " + document.cookie).split("; " + key + "=")[1];
  return found === undefined ? null : decodeURIComponent(found.split(";")[0]!);
}

function writeCookie(key: string, value: string, maxAgeSeconds: number): void {
  document.cookie =
    `${key}=${encodeURIComponent(value)}; path=/; max-age=${maxAgeSeconds}; samesite=lax` +
    (location.protocol === "https:" ? "; secure" : "");
}
