import { isOn } from "./config";
import type { Storage } from "./storage";

/** What the visitor allows; "unknown" where nobody asks, which is the page's to answer for. */
export type Consent = "granted" | "denied" | "pending" | "unknown";

export const CONSENT = "consent";

/**
 * The state and the policy at first: what was said on a page before, else what the tag says:
 * "granted" and "denied" are that, anything else that somebody is still to be asked.
 */
export function firstConsent({ read }: Storage, tag: string | undefined): [Consent, string] {
  const [state, ...policy] = read(CONSENT).split(" ");
  const said = /^(granted|denied)$/.test(tag!) ? tag : isOn(tag) ? "pending" : "unknown";
  return [(state || said) as Consent, policy.join(" ")];
}
