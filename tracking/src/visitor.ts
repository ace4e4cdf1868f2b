import { uuidv4 } from "./ids";
import type { Storage } from "./storage";

/** What is remembered of whoever is here; read each time: another tab may have signed in since. */
export const VISITOR = "visitor";
export const USER = "user";
export const COMPANY = "company";
/** The visitor's own "no": the one thing kept of somebody who opted out. */
export const OPT_OUT = "opt_out";

/** A random id for the browser; made when it is first asked for. */
export function visitorIdOf({ read, write }: Storage): string {
  if (!read(VISITOR)) write(VISITOR, uuidv4());
  return read(VISITOR);
}
