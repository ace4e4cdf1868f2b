/** Small first-party values: localStorage, else a cookie, else this page's memory. Never throws. */
export interface Storage {
  /** "" where there is none. */
  read(key: string): string;
  /** An empty value removes. */
  write(key: string, value: string): void;
}

// Chromium keeps a cookie for at most 400 days, whatever is asked.
const COOKIE_SECONDS = 400 * 24 * 60 * 60;

/** While it is closed, nothing of the browser's is read or written. */
export function browserStorage(prefix: string, isClosed: () => boolean): Storage {
  const memory: { [key: string]: string } = {};
  return {
    read(key) {
      const name = prefix + key;
      return (
        memory[name] ||
        (!isClosed() && (attempt(() => localStorage.getItem(name)) || attempt(() => readCookie(name)))) ||
        ""
      );
    },
    write(key, value) {
      const name = prefix + key;
      memory[name] = "";
      if (isClosed()) return;
      const isStored = attempt(() => {
        value ? localStorage.setItem(name, value) : localStorage.removeItem(name);
        return true;
      });
      if (!isStored) memory[name] = value;
      if (!isStored || !value) attempt(() => (value || readCookie(name)) && writeCookie(name, value));
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

function readCookie(name: string): string {
  const found = ("; " + document.cookie).split("; " + name + "=")[1];
  return found ? decodeURIComponent(found.split(";")[0]!) : "";
}

function writeCookie(name: string, value: string): void {
  document.cookie =
    `${name}=${encodeURIComponent(value)};path=/;samesite=lax;max-age=${value ? COOKIE_SECONDS : 0}` +
    (location.protocol === "https:" ? ";secure" : "");
}
