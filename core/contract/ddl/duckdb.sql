-- Sluice's datasets for duckdb: derived, do not edit.

INSTALL httpfs;
LOAD httpfs;
INSTALL aws;
LOAD aws;
CREATE OR REPLACE SECRET sluice (TYPE s3, PROVIDER credential_chain);

-- Every accepted event, once.
CREATE OR REPLACE VIEW "events" AS
SELECT * FROM (
  SELECT
    NULL::TIMESTAMPTZ AS "received_at",  -- When the server made it durable, by the server’s clock. Cuts the partitions.
    NULL::VARCHAR AS "event_id",  -- Makes a retry idempotent: the same id is delivered once. A UUIDv7 made at capture; ULIDs and other strings are kept as given. Made by the server when absent.
    NULL::VARCHAR AS "event_type",  -- What kind of thing happened.
    NULL::INTEGER AS "event_version",  -- Version of this type’s properties.
    NULL::TIMESTAMPTZ AS "occurred_at",  -- When it happened. On the wire the client’s clock; in the column corrected for the clock’s skew, as told by sentAt. The time of receipt when absent.
    NULL::TIMESTAMPTZ AS "device_occurred_at",  -- occurredAt as the client’s clock told it.
    NULL::TIMESTAMPTZ AS "sent_at",  -- When the request was sent, by the same clock as occurredAt.
    NULL::VARCHAR AS "source",  -- What sent it.
    NULL::VARCHAR AS "app",  -- The application within the site.
    NULL::VARCHAR AS "app_version",  -- Its version.
    NULL::VARCHAR AS "session_id",  -- One visit: renewed after 30 minutes of inactivity.
    NULL::INTEGER AS "session_index",  -- The visitor’s how-manieth session.
    NULL::VARCHAR AS "visitor_id",  -- One browser: random, first-party, no fingerprint.
    NULL::VARCHAR AS "user_id",  -- Who is signed in, in the client’s own terms.
    NULL::VARCHAR AS "company_id",  -- The signed-in user’s organisation.
    NULL::VARCHAR AS "event_category",  -- The object’s group.
    NULL::VARCHAR AS "event_action",  -- What was done to it.
    NULL::VARCHAR AS "event_label",  -- Which one.
    NULL::VARCHAR AS "url",  -- The page’s full address.
    NULL::VARCHAR AS "path",  -- The address’s path; from url when absent.
    NULL::VARCHAR AS "title",  -- The page’s title.
    NULL::VARCHAR AS "referrer",  -- The address that led here.
    NULL::VARCHAR AS "referrer_domain",  -- Its host; from referrer when absent.
    NULL::VARCHAR AS "referrer_type",  -- What kind of place it is; from referrer when absent.
    NULL::VARCHAR AS "utm_source",  -- Campaign source; from url when absent.
    NULL::VARCHAR AS "utm_medium",  -- Campaign medium; likewise.
    NULL::VARCHAR AS "utm_campaign",  -- Campaign name; likewise.
    NULL::VARCHAR AS "utm_term",  -- Campaign term; likewise.
    NULL::VARCHAR AS "utm_content",  -- Campaign variant; likewise.
    NULL::VARCHAR AS "click_id",  -- The advertiser’s click id; from url when absent.
    NULL::VARCHAR AS "click_id_type",  -- The parameter it came in.
    NULL::VARCHAR AS "user_agent",  -- The browser’s own name; the request’s header when absent.
    NULL::VARCHAR AS "browser",  -- Browser family; from userAgent when absent.
    NULL::VARCHAR AS "browser_version",  -- Browser version; likewise.
    NULL::VARCHAR AS "os",  -- Operating system family; likewise.
    NULL::VARCHAR AS "os_version",  -- Operating system version; likewise, where it is told.
    NULL::VARCHAR AS "device_type",  -- Kind of device; likewise, and bot where is_bot.
    NULL::INTEGER AS "screen_width",  -- Screen width in CSS pixels.
    NULL::INTEGER AS "screen_height",  -- Screen height in CSS pixels.
    NULL::INTEGER AS "viewport_width",  -- Viewport width in CSS pixels.
    NULL::INTEGER AS "viewport_height",  -- Viewport height in CSS pixels.
    NULL::VARCHAR AS "language",  -- The browser’s first language (BCP 47).
    NULL::VARCHAR AS "timezone",  -- IANA time zone.
    NULL::VARCHAR AS "country",  -- ISO 3166-1 alpha-2.
    NULL::VARCHAR AS "region",  -- ISO 3166-2 subdivision.
    NULL::VARCHAR AS "consent",  -- The visitor’s consent when it happened.
    NULL::VARCHAR AS "consent_policy",  -- Version of the policy consented to.
    NULL::VARCHAR AS "properties",  -- Everything particular to this type; JSON text in the files.
    NULL::VARCHAR AS "ip",  -- The sender’s address, cut to /24 or /48 before the first write.
    NULL::VARCHAR AS "dialect",  -- The protocol that it came in; Sluice’s own when absent.
    NULL::BOOLEAN AS "is_bot",  -- Whether a program rather than a person.
    NULL::VARCHAR AS "bot_reason",  -- What told so.
    NULL::INTEGER AS "redactions",  -- How many values were redacted before the event was stored.
    NULL::VARCHAR AS "plan_violation",  -- What of it contradicts the tracking plan; empty when nothing does.
    NULL::INTEGER AS "schema_version",  -- Version of this contract.
    NULL::VARCHAR AS "host",  -- The page’s host, as url says it.
    NULL::VARCHAR AS "referrer_source",  -- What sent the visitor, by name, or by its registrable domain.
    NULL::VARCHAR AS "channel",  -- Which channel brought the visitor.
    NULL::VARCHAR AS "session_entry_path",  -- The path on which the session began, on the rows from its first event on, where that is in the same segment.
    NULL::BOOLEAN AS "is_entry",  -- Whether it is the event that began its session; null is unknown.
    NULL::VARCHAR AS "site_id",  -- The site it happened on; Origin’s, Referer’s or Host’s when absent.
    NULL::INTEGER AS "year",  -- Of received_at, in UTC.
    NULL::INTEGER AS "month",  -- Likewise; two digits in the key.
    NULL::INTEGER AS "day",  -- Likewise.
    NULL::INTEGER AS "hour"  -- Likewise.
) WHERE false
UNION ALL BY NAME
SELECT * FROM read_parquet(
  's3://your-bucket/analytics/events/**/*.parquet',
  hive_partitioning = true, hive_types = {site_id: VARCHAR, year: INTEGER, month: INTEGER, day: INTEGER, hour: INTEGER}, union_by_name = true
);

-- Which user a visitor said to be: a set, use it with DISTINCT.
CREATE OR REPLACE VIEW "identities" AS
SELECT * FROM (
  SELECT
    NULL::VARCHAR AS "site_id",  -- The site that the event came from.
    NULL::VARCHAR AS "visitor_id",  -- Who they were.
    NULL::VARCHAR AS "user_id",  -- Who they are.
    NULL::VARCHAR AS "event_type",  -- The event that said so, as it was sent.
    NULL::TIMESTAMPTZ AS "linked_at",  -- When it was received, by the server’s clock.
    NULL::BIGINT AS "segment_id",  -- The segment that its event is in.
    NULL::INTEGER AS "year",  -- Of the moment at which the segment was opened, in UTC.
    NULL::INTEGER AS "month",  -- Likewise; two digits in the key.
    NULL::INTEGER AS "day"  -- Likewise.
) WHERE false
UNION ALL BY NAME
SELECT * FROM read_parquet(
  's3://your-bucket/analytics/identities/**/*.parquet',
  hive_partitioning = true, hive_types = {year: INTEGER, month: INTEGER, day: INTEGER}, union_by_name = true
);

-- Refused events, redacted, each with its reason.
CREATE OR REPLACE VIEW "failed" AS
SELECT * FROM (
  SELECT
    NULL::VARCHAR AS "dead_letter_id",  -- Names the letter, as in GET /events/rejected; a UUIDv7 of the moment of arrival.
    NULL::BIGINT AS "segment_id",  -- The segment that was open when it was refused.
    NULL::TIMESTAMPTZ AS "arrived_at",  -- When the request arrived.
    NULL::TIMESTAMPTZ AS "received_at",  -- When the refusal was made durable, by the server’s clock.
    NULL::VARCHAR AS "site_id",  -- The site that the event names, known or not; the request’s where none was understood.
    NULL::VARCHAR AS "reason",  -- Why it was refused, in a word.
    NULL::VARCHAR AS "field",  -- The field that was at fault, when it was one.
    NULL::VARCHAR AS "message",  -- What was expected instead.
    NULL::VARCHAR AS "event_type",  -- As far as it could be read.
    NULL::VARCHAR AS "dialect",  -- The protocol that it came in; Sluice’s own when absent.
    NULL::VARCHAR AS "request",  -- POST /path or GET /path: the payload is that request’s body or query. Absent: the payload is an event in Sluice’s own words.
    NULL::VARCHAR AS "payload",  -- What was sent: redacted, then cut to 8,192 bytes.
    NULL::INTEGER AS "payload_bytes",  -- Its length as it was sent.
    NULL::BOOLEAN AS "is_cut",  -- Whether its end is missing.
    NULL::VARCHAR AS "user_agent",  -- The request’s header, redacted.
    NULL::VARCHAR AS "ip",  -- The sender’s address, cut to /24 or /48 before it was stored.
    NULL::VARCHAR AS "version",  -- The release of Sluice that refused it.
    NULL::INTEGER AS "year",  -- Of the moment at which the segment was opened, in UTC.
    NULL::INTEGER AS "month",  -- Likewise; two digits in the key.
    NULL::INTEGER AS "day"  -- Likewise.
) WHERE false
UNION ALL BY NAME
SELECT * FROM read_parquet(
  's3://your-bucket/analytics/failed/**/*.parquet',
  hive_partitioning = true, hive_types = {year: INTEGER, month: INTEGER, day: INTEGER}, union_by_name = true
);

-- Sites, when they were first seen and what was decided of them: a row for each change.
CREATE OR REPLACE VIEW "sites" AS
SELECT * FROM (
  SELECT
    NULL::VARCHAR AS "site_id",  -- The site.
    NULL::TIMESTAMPTZ AS "changed_at",  -- When it became what this row says; the newest row of a site holds.
    NULL::VARCHAR AS "state",  -- What becomes of its events: accepted, quarantined or refused.
    NULL::TIMESTAMPTZ AS "first_seen_at",  -- When it was first named.
    NULL::VARCHAR AS "first_dialect",  -- The protocol of its first event; management: it was named by hand before.
    NULL::VARCHAR AS "first_url",  -- The origin of its first event’s page.
    NULL::TIMESTAMPTZ AS "decided_at",  -- When somebody decided its state.
    NULL::BIGINT AS "segment_id",  -- The segment that was open when it changed.
    NULL::INTEGER AS "year",  -- Of the moment at which the segment was opened, in UTC.
    NULL::INTEGER AS "month",  -- Likewise; two digits in the key.
    NULL::INTEGER AS "day"  -- Likewise.
) WHERE false
UNION ALL BY NAME
SELECT * FROM read_parquet(
  's3://your-bucket/analytics/sites/**/*.parquet',
  hive_partitioning = true, hive_types = {year: INTEGER, month: INTEGER, day: INTEGER}, union_by_name = true
);

-- Which recordings there are, of whom, and in which object of `replay/`.
CREATE OR REPLACE VIEW "replay_index" AS
SELECT * FROM (
  SELECT
    NULL::VARCHAR AS "site_id",  -- The site that was recorded.
    NULL::VARCHAR AS "visitor_id",  -- Whose recording it is.
    NULL::VARCHAR AS "user_id",  -- The user that they said to be, if the recorder told.
    NULL::VARCHAR AS "session_id",  -- Their session.
    NULL::VARCHAR AS "recording_id",  -- One recorder’s work: its chunks are numbered from 0. A session has several, of several tabs for example.
    NULL::BIGINT AS "segment_id",  -- The segment that its chunks are in.
    NULL::INTEGER AS "first_sequence",  -- The first chunk in this object.
    NULL::INTEGER AS "last_sequence",  -- The last one.
    NULL::INTEGER AS "chunks",  -- How many, each a line.
    NULL::VARCHAR AS "gaps",  -- Chunks between first and last that are not in this object: 3-4,7. Lost, or in another segment’s; empty for none.
    NULL::TIMESTAMPTZ AS "started_at",  -- When its first event happened.
    NULL::TIMESTAMPTZ AS "ended_at",  -- When its last one did.
    NULL::BIGINT AS "events",  -- How many events of rrweb’s.
    NULL::BIGINT AS "bytes",  -- Of its lines, unpacked.
    NULL::VARCHAR AS "key",  -- The object that it stands in.
    NULL::VARCHAR AS "sha256",  -- Of that object, in hexadecimal.
    NULL::INTEGER AS "year",  -- Of the moment at which the segment was opened, in UTC.
    NULL::INTEGER AS "month",  -- Likewise; two digits in the key.
    NULL::INTEGER AS "day"  -- Likewise.
) WHERE false
UNION ALL BY NAME
SELECT * FROM read_parquet(
  's3://your-bucket/analytics/replay_index/**/*.parquet',
  hive_partitioning = true, hive_types = {year: INTEGER, month: INTEGER, day: INTEGER}, union_by_name = true
);
