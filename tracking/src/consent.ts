import { isOn } from "./config";
import type { Storage } from "./storage";

/** What the visitor allows; "unknown" where nobody asks, which is the page's to answer for. */
export type Consent = "granted" | "denied" | "pending" | "unknown";

export const CONSENT = "consent";

/**
 * The answer that is remembered, else what the tag or the page says: "granted", "denied" and
 * "unknown" are that, anything else that somebody is still to be asked.
 */
export function consentNow({ read }: Storage, said: string | undefined): Consent {
  const state = /^(granted|denied|unknown)$/.test(said!) ? said : isOn(said) ? "pending" : "unknown";
  return (read(CONSENT).split(" ")[0] || state) as Consent;
}

/** The version of the text that was agreed to, as the page called it. */
export function policyOf({ read }: Storage): string {
  return read(CONSENT).replace(/^\S* ?/, "");
}
