import { attempt } from "./guard";
import type { Storage } from "./storage";

/** One visit, shared by all tabs of the site. Times in milliseconds. */
export interface Session {
  id: string;
  lastAt: number;
  /** The visitor's how-manieth session, from 1. */
  index: number;
  /** What brought the visitor last, where that is to begin a session. */
  campaign?: string | undefined;
}

/** Has the session ended that was last told of at `lastAt`? */
export type HasEnded = (session: Partial<Session>, lastAt: number, now: number) => boolean;

const SAVE_EVERY_MS = 5_000;
export const SESSION = "session";
const CAMPAIGN = /^(utm_|(g|fb|tt|tw|d)clid$|msclkid$|[gw]braid$|li_fat_id$)/;

/** The campaign parameters of an address, in an order of their own; "" without any. */
export function campaignOf(address: string): string {
  return [...new URLSearchParams(address.split("#")[0]!.split("?")[1])].filter(([name]) => CAMPAIGN.test(name)).sort() + "";
}

/** Was there a pause? The difference counts in both directions: a clock set back must not keep a session for ever. */
export function isApart(one: number, other: number, idleMs: number): boolean {
  return !(Math.abs(one - other) < idleMs);
}

/** After a pause, at midnight by the visitor's clock, or where a view has another campaign. */
export function createEnd(idleMs: number, atMidnight: boolean, campaign: () => string): HasEnded {
  const day = (time: number) => new Date(time).toDateString();
  let shown = "";
  return (session, lastAt, now) => {
    const before = shown;
    shown = campaign();
    // Where it changes: of two tabs with campaigns of their own each would end the other's session.
    const isNew = shown && shown !== before && session.campaign !== shown;
    return isNew || isApart(now, lastAt, idleMs) || (atMidnight && day(now) !== day(lastAt));
  };
}

/**
 * The session of an event told at `now`: the stored one, or the next, of which `begin` has the id (the
 * export reads from it when it began) and what else is its own.
 */
export function createTouch(
  { read, write }: Storage,
  hasEnded: HasEnded,
  begin: (now: number) => Partial<Session>,
): (now: number) => Session {
  let current: Partial<Session> = {};

  return (now) => {
    const stored = parseSession(read(SESSION));
    const { index = 0, lastAt: savedAt = 0 } = stored;
    // Ours may be the fresher one: what is stored lags by up to `SAVE_EVERY_MS`. Or another tab's.
    const lastAt = Math.max(savedAt, current.id === stored.id ? current.lastAt! : 0);
    const goesOn = !hasEnded(stored, lastAt, now);
    const session = goesOn ? stored : { ...begin(now), index: index + 1 };
    current = { ...session, lastAt: now };
    const isSaved = goesOn && Math.abs(now - savedAt) < SAVE_EVERY_MS;
    if (!isSaved) write(SESSION, JSON.stringify(current));
    return current as Session;
  };
}

/** The session that goes on, for who only looks; undefined where the next event begins one. */
export function ongoingSession({ read }: Storage, idleMs: number, now: number): string | undefined {
  const { id, lastAt } = parseSession(read(SESSION));
  return isApart(now, lastAt!, idleMs) ? undefined : id;
}

/** Nothing in it, where it is none. */
function parseSession(text: string): Partial<Session> {
  // Without one nothing is thrown: a process's first error takes three milliseconds.
  const session = attempt(() => JSON.parse(text || "0") as Session | undefined);
  return session?.id && session.index > 0 ? session : {};
}
