import type { Storage } from "./storage";

/** One visit, shared by all tabs of the site. Times in milliseconds. */
export interface Session {
  id: string;
  startedAt: number;
  lastAt: number;
  /** The visitor's how-manieth session, from 1. */
  index: number;
}

export const SESSION_IDLE_MS = 30 * 60 * 1000;
const SAVE_EVERY_MS = 5_000;
const SESSION_KEY = "sluice_session";

/** The session an event at `now` belongs to: the stored one, or the next after 30 idle minutes. */
export function continueSession(stored: Session | null, now: number, newId: () => string): Session {
  // The difference counts in both directions: a clock set back must not keep a session for ever.
  if (stored && Math.abs(now - stored.lastAt) < SESSION_IDLE_MS) return { ...stored, lastAt: now };
  return { id: newId(), startedAt: now, lastAt: now, index: (stored ? stored.index : 0) + 1 };
}

export interface SessionKeeper {
  /** The session of an event happening at `now`; extends it. */
  touch(now: number): Session;
  save(): void;
  forget(): void;
}

export function createSessionKeeper(storage: Storage, newId: () => string): SessionKeeper {
  let current: Session | null = null;
  let savedAt = 0;

  function save(): void {
    if (!current || current.lastAt === savedAt) return;
    storage.write(SESSION_KEY, JSON.stringify(current));
    savedAt = current.lastAt;
  }

  return {
    touch(now) {
      const stored = parseSession(storage.read(SESSION_KEY));
      // Ours may be the fresher one: what is stored lags by up to `SAVE_EVERY_MS`.
      const latest =
        stored && current && stored.id === current.id && current.lastAt > stored.lastAt ? current : stored;
      current = continueSession(latest, now, newId);
      const isKnown = stored && stored.id === current.id;
      if (!isKnown || Math.abs(now - savedAt) >= SAVE_EVERY_MS) save();
      return current;
    },
    save,
    forget() {
      current = null;
      savedAt = 0;
      storage.remove(SESSION_KEY);
    },
  };
}

function parseSession(text: string | null): Session | null {
  try {
    const session = JSON.parse(text || "null") as Session | null;
    return session && session.id && session.lastAt >= 0 && session.index > 0 ? session : null;
  } catch {
    return null;
  }
}
