// Derived from core/event.py by `make contract`. Do not edit.

/** An ISO 8601 time, or a Unix time in milliseconds. */
export type Instant = string | number;

/** One thing that happened, as the collector takes it in. */
export interface Event {
  /** Makes a retry idempotent: the same id is delivered once. A UUIDv7 made at capture;
   * ULIDs and other strings are kept as given. Made by the server when absent. */
  eventId?: string;
  /** What kind of thing happened. */
  eventType: string;
  /** Version of this type's properties. */
  eventVersion?: number;
  /** When it happened. On the wire the client's clock; in the column corrected for the
   * clock's skew, as told by `sentAt`. The time of receipt when absent. */
  occurredAt?: Instant;
  /** When the request was sent, by the same clock as `occurredAt`. */
  sentAt?: Instant;
  /** The site it happened on; Origin's, Referer's or Host's when absent. */
  siteId?: string;
  /** What sent it. */
  source?: string;
  /** The application within the site. */
  app?: string;
  /** Its version. */
  appVersion?: string;
  /** One visit: renewed after 30 minutes of inactivity. */
  sessionId?: string;
  /** The visitor's how-manieth session. */
  sessionIndex?: number;
  /** One browser: random, first-party, no fingerprint. */
  visitorId?: string;
  /** Who is signed in, in the client's own terms. */
  userId?: string;
  /** The signed-in user's organisation. */
  companyId?: string;
  /** The object's group. */
  eventCategory?: string;
  /** What was done to it. */
  eventAction?: string;
  /** Which one. */
  eventLabel?: string;
  /** The page's full address. */
  url?: string;
  /** The address's path; from `url` when absent. */
  path?: string;
  /** The page's title. */
  title?: string;
  /** The address that led here. */
  referrer?: string;
  /** Its host; from `referrer` when absent. */
  referrerDomain?: string;
  /** What kind of place it is; from `referrer` when absent. */
  referrerType?: string;
  /** Campaign source; from `url` when absent. */
  utmSource?: string;
  /** Campaign medium; likewise. */
  utmMedium?: string;
  /** Campaign name; likewise. */
  utmCampaign?: string;
  /** Campaign term; likewise. */
  utmTerm?: string;
  /** Campaign variant; likewise. */
  utmContent?: string;
  /** The advertiser's click id; from `url` when absent. */
  clickId?: string;
  /** The parameter it came in. */
  clickIdType?: string;
  /** The browser's own name; the request's header when absent. */
  userAgent?: string;
  /** Browser family; from `userAgent` when absent. */
  browser?: string;
  /** Browser version; likewise. */
  browserVersion?: string;
  /** Operating system family; likewise. */
  os?: string;
  /** Operating system version; likewise, where it is told. */
  osVersion?: string;
  /** Kind of device; likewise, and bot where `is_bot`. */
  deviceType?: string;
  /** Screen width in CSS pixels. */
  screenWidth?: number;
  /** Screen height in CSS pixels. */
  screenHeight?: number;
  /** Viewport width in CSS pixels. */
  viewportWidth?: number;
  /** Viewport height in CSS pixels. */
  viewportHeight?: number;
  /** The browser's first language (BCP 47). */
  language?: string;
  /** IANA time zone. */
  timezone?: string;
  /** ISO 3166-1 alpha-2. */
  country?: string;
  /** ISO 3166-2 subdivision. */
  region?: string;
  /** The visitor's consent when it happened. */
  consent?: "granted" | "denied" | "pending" | "unknown";
  /** Version of the policy consented to. */
  consentPolicy?: string;
  /** Everything particular to this type; JSON text in the files. */
  properties?: Record<string, unknown>;
}

/** A request body: the events, and what they share. */
export interface Envelope extends Omit<Event, "eventType" | "eventId" | "eventVersion"> {
  eventType: "batch";
  events: Event[];
}
