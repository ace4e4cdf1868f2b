import { isOn } from "./config";
import type { Storage } from "./storage";

/** What the visitor allows; "unknown" where nobody asks, which is the page's to answer for. */
export type Consent = "granted" | "denied" | "pending" | "unknown";

export const CONSENT = "consent";

/**
 * The state and the policy: the answer that is remembered, else what the tag or the page says:
 * "granted", "denied" and "unknown" are that, anything else that somebody is still to be asked.
 */
export function consentNow({ read }: Storage, said: string | undefined): [Consent, string] {
  const [answer, ...policy] = read(CONSENT).split(" ");
  const state = /^(granted|denied|unknown)$/.test(said!) ? said : isOn(said) ? "pending" : "unknown";
  return [(answer || state) as Consent, policy.join(" ")];
}
