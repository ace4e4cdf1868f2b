import type { Storage } from "./storage";

/** What the visitor allows; "unknown" where nobody asks, which is the page's to answer for. */
export type Consent = "granted" | "denied" | "pending" | "unknown";

export const CONSENT = "consent";

/** What was said on a page before, and of which policy; else that somebody is still to be asked, or nobody is. */
export function rememberedConsent({ read }: Storage, isAsked: boolean): [Consent, string] {
  const [state, ...policy] = read(CONSENT).split(" ");
  return [(state as Consent) || (isAsked ? "pending" : "unknown"), policy.join(" ")];
}
