import type { Event } from "./event";
import { guard } from "./guard";

/** What pages can listen to on `window`; `sluice:event` and `sluice:sent` only with `data-debug`. */
export interface Announcements {
  "sluice:event": { event: Event };
  /** Status 204 without an answer may be a beacon's: the browser took it, which is all that can be known. */
  "sluice:sent": { eventIds: string[]; status: number; answer: unknown };
  "sluice:failed": {
    eventIds: string[];
    /** "overflow": too many waited, or too long. */
    reason: "unavailable" | "refused" | "overflow";
    /** The HTTP status; 0 when no answer came. */
    status: number;
    /** When it is tried again; null when these events are dropped. */
    retryInMs: number | null;
    /** Dropped since the page was loaded. */
    droppedTotal: number;
  };
}

export type Announce = <Name extends keyof Announcements>(name: Name, detail: Announcements[Name]) => void;

export function announceOnWindow(debug: boolean): Announce {
  return guard((name, detail) => {
    if (debug || name === "sluice:failed") dispatchEvent(new CustomEvent(name, { detail }));
  });
}
