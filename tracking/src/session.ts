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

/** What ends a session, beside a pause. */
export interface SessionRules {
  idleMs: number;
  /** Where a new one is to begin a session: the campaign of this page's address. */
  campaign?: string;
  hasEnded?: (session: Partial<Session>, lastAt: number, now: number) => boolean;
}

const SAVE_EVERY_MS = 5_000;
export const SESSION = "session";
const CAMPAIGN = /^(utm_|(g|fb|tt|tw|d)clid$|msclkid$|[gw]braid$|li_fat_id$)/;

/** The campaign parameters of an address, in an order of their own; "" without any. */
export function campaignOf(search: string): string {
  return [...new URLSearchParams(search)].filter(([name]) => CAMPAIGN.test(name)).sort() + "";
}

/** A session also ends at midnight, by the visitor's clock, or where a page has another campaign. */
export function createEnd(atMidnight: boolean, campaign: string): SessionRules["hasEnded"] {
  const day = (time: number) => new Date(time).toDateString();
  // Asked once a page: of two tabs with campaigns of their own each would end the other's session.
  let isAsked = !campaign;
  return (session, lastAt, now) => {
    const isNew = !isAsked && session.campaign !== campaign;
    isAsked = true;
    return isNew || (atMidnight && day(now) !== day(lastAt));
  };
}

/** The session of an event told at `now`: the stored one, or the next. The export reads from its id when it began. */
export function createTouch(
  { read, write }: Storage,
  { idleMs, campaign, hasEnded }: SessionRules,
  newId: (now: number) => string,
): (now: number) => Session {
  let current: Partial<Session> = {};

  return (now) => {
    const stored = parseSession(read(SESSION));
    const { index = 0, lastAt: savedAt = 0 } = stored;
    // Ours may be the fresher one: what is stored lags by up to `SAVE_EVERY_MS`. Or another tab's.
    const lastAt = Math.max(savedAt, current.id === stored.id ? current.lastAt! : 0);
    // The difference counts in both directions: a clock set back must not keep a session for ever.
    const goesOn = !hasEnded?.(stored, lastAt, now) && Math.abs(now - lastAt) < idleMs;
    const session = goesOn ? stored : { campaign, id: newId(now), index: index + 1 };
    current = { ...session, lastAt: now };
    const isSaved = goesOn && Math.abs(now - savedAt) < SAVE_EVERY_MS;
    if (!isSaved) write(SESSION, JSON.stringify(current));
    return current as Session;
  };
}

/** The session that goes on, for who only looks; undefined where the next event begins one. */
export function ongoingSession({ read }: Storage, idleMs: number, now: number): string | undefined {
  const { id, lastAt } = parseSession(read(SESSION));
  return Math.abs(now - lastAt!) < idleMs ? id : undefined;
}

/** Nothing in it, where it is none. */
function parseSession(text: string): Partial<Session> {
  // Without one nothing is thrown: a process's first error takes three milliseconds.
  const session = attempt(() => JSON.parse(text || "0") as Session | undefined);
  return session?.id && session.index > 0 ? session : {};
}
