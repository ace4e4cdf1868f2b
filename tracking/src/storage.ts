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
  const memory: { [name: string]: string } = {};
  return {
    read(key) {
      const name = prefix + key;
      const cookie = () => ("; " + document.cookie).split(`; ${name}=`)[1]!.split(";")[0]!;
      return (
        memory[name] ||
        (!isClosed() && (attempt(() => localStorage[name]) || attempt(() => decodeURIComponent(cookie())))) ||
        ""
      );
    },
    write(key, value) {
      const name = prefix + key;
      memory[name] = isClosed() ? value : "";
      if (isClosed()) return;
      try {
        value ? (localStorage[name] = value) : localStorage.removeItem(name);
      } catch {
        memory[name] = value;
        attempt(() => {
          document.cookie = `${name}=${encodeURIComponent(value)};path=/;samesite=lax;max-age=${value ? COOKIE_SECONDS : 0}`;
        });
      }
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
