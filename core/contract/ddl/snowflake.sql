-- Sluice's datasets for snowflake: derived, do not edit.
-- site_id is percent-encoded as in the key (`b%2Fc` for `b/c`): a name of letters, digits, . _ - ~
-- stands there as it is.

-- First a storage integration that may read the bucket; put its name here.
CREATE STAGE IF NOT EXISTS sluice_bucket
  URL = 's3://your-bucket/analytics/'
  STORAGE_INTEGRATION = your_integration;

-- Every accepted event, once.
CREATE OR REPLACE EXTERNAL TABLE events (
  received_at TIMESTAMP_LTZ AS (VALUE:"received_at"::TIMESTAMP_LTZ),  -- When the server made it durable, by the server’s clock. Cuts the partitions.
  event_id VARCHAR AS (VALUE:"event_id"::VARCHAR),  -- Makes a retry idempotent: the same id is delivered once. A UUIDv7 made at capture; ULIDs and other strings are kept as given. Made by the server when absent.
  event_type VARCHAR AS (VALUE:"event_type"::VARCHAR),  -- What kind of thing happened.
  event_version INT AS (VALUE:"event_version"::INT),  -- Version of this type’s properties.
  occurred_at TIMESTAMP_LTZ AS (VALUE:"occurred_at"::TIMESTAMP_LTZ),  -- When it happened. On the wire the client’s clock; in the column corrected for the clock’s skew, as told by sentAt. The time of receipt when absent.
  device_occurred_at TIMESTAMP_LTZ AS (VALUE:"device_occurred_at"::TIMESTAMP_LTZ),  -- occurredAt as the client’s clock told it.
  sent_at TIMESTAMP_LTZ AS (VALUE:"sent_at"::TIMESTAMP_LTZ),  -- When the request was sent, by the same clock as occurredAt.
  source VARCHAR AS (VALUE:"source"::VARCHAR),  -- What sent it.
  app VARCHAR AS (VALUE:"app"::VARCHAR),  -- The application within the site.
  app_version VARCHAR AS (VALUE:"app_version"::VARCHAR),  -- Its version.
  session_id VARCHAR AS (VALUE:"session_id"::VARCHAR),  -- One visit: renewed after 30 minutes of inactivity.
  session_index INT AS (VALUE:"session_index"::INT),  -- The visitor’s how-manieth session.
  visitor_id VARCHAR AS (VALUE:"visitor_id"::VARCHAR),  -- One browser: random, first-party, no fingerprint.
  user_id VARCHAR AS (VALUE:"user_id"::VARCHAR),  -- Who is signed in, in the client’s own terms.
  company_id VARCHAR AS (VALUE:"company_id"::VARCHAR),  -- The signed-in user’s organisation.
  event_category VARCHAR AS (VALUE:"event_category"::VARCHAR),  -- The object’s group.
  event_action VARCHAR AS (VALUE:"event_action"::VARCHAR),  -- What was done to it.
  event_label VARCHAR AS (VALUE:"event_label"::VARCHAR),  -- Which one.
  url VARCHAR AS (VALUE:"url"::VARCHAR),  -- The page’s full address.
  path VARCHAR AS (VALUE:"path"::VARCHAR),  -- The address’s path; from url when absent.
  title VARCHAR AS (VALUE:"title"::VARCHAR),  -- The page’s title.
  referrer VARCHAR AS (VALUE:"referrer"::VARCHAR),  -- The address that led here.
  referrer_domain VARCHAR AS (VALUE:"referrer_domain"::VARCHAR),  -- Its host; from referrer when absent.
  referrer_type VARCHAR AS (VALUE:"referrer_type"::VARCHAR),  -- What kind of place it is; from referrer when absent.
  utm_source VARCHAR AS (VALUE:"utm_source"::VARCHAR),  -- Campaign source; from url when absent.
  utm_medium VARCHAR AS (VALUE:"utm_medium"::VARCHAR),  -- Campaign medium; likewise.
  utm_campaign VARCHAR AS (VALUE:"utm_campaign"::VARCHAR),  -- Campaign name; likewise.
  utm_term VARCHAR AS (VALUE:"utm_term"::VARCHAR),  -- Campaign term; likewise.
  utm_content VARCHAR AS (VALUE:"utm_content"::VARCHAR),  -- Campaign variant; likewise.
  click_id VARCHAR AS (VALUE:"click_id"::VARCHAR),  -- The advertiser’s click id; from url when absent.
  click_id_type VARCHAR AS (VALUE:"click_id_type"::VARCHAR),  -- The parameter it came in.
  user_agent VARCHAR AS (VALUE:"user_agent"::VARCHAR),  -- The browser’s own name; the request’s header when absent.
  browser VARCHAR AS (VALUE:"browser"::VARCHAR),  -- Browser family; from userAgent when absent.
  browser_version VARCHAR AS (VALUE:"browser_version"::VARCHAR),  -- Browser version; likewise.
  os VARCHAR AS (VALUE:"os"::VARCHAR),  -- Operating system family; likewise.
  os_version VARCHAR AS (VALUE:"os_version"::VARCHAR),  -- Operating system version; likewise, where it is told.
  device_type VARCHAR AS (VALUE:"device_type"::VARCHAR),  -- Kind of device; likewise, and bot where is_bot.
  screen_width INT AS (VALUE:"screen_width"::INT),  -- Screen width in CSS pixels.
  screen_height INT AS (VALUE:"screen_height"::INT),  -- Screen height in CSS pixels.
  viewport_width INT AS (VALUE:"viewport_width"::INT),  -- Viewport width in CSS pixels.
  viewport_height INT AS (VALUE:"viewport_height"::INT),  -- Viewport height in CSS pixels.
  language VARCHAR AS (VALUE:"language"::VARCHAR),  -- The browser’s first language (BCP 47).
  timezone VARCHAR AS (VALUE:"timezone"::VARCHAR),  -- IANA time zone.
  country VARCHAR AS (VALUE:"country"::VARCHAR),  -- ISO 3166-1 alpha-2.
  region VARCHAR AS (VALUE:"region"::VARCHAR),  -- ISO 3166-2 subdivision.
  consent VARCHAR AS (VALUE:"consent"::VARCHAR),  -- The visitor’s consent when it happened.
  consent_policy VARCHAR AS (VALUE:"consent_policy"::VARCHAR),  -- Version of the policy consented to.
  properties VARCHAR AS (VALUE:"properties"::VARCHAR),  -- Everything particular to this type; JSON text in the files.
  ip VARCHAR AS (VALUE:"ip"::VARCHAR),  -- The sender’s address, cut to /24 or /48 before the first write.
  dialect VARCHAR AS (VALUE:"dialect"::VARCHAR),  -- The protocol that it came in; Sluice’s own when absent.
  is_bot BOOLEAN AS (VALUE:"is_bot"::BOOLEAN),  -- Whether a program rather than a person.
  bot_reason VARCHAR AS (VALUE:"bot_reason"::VARCHAR),  -- What told so.
  redactions INT AS (VALUE:"redactions"::INT),  -- How many values were redacted before the event was stored.
  plan_violation VARCHAR AS (VALUE:"plan_violation"::VARCHAR),  -- What of it contradicts the tracking plan; empty when nothing does.
  schema_version INT AS (VALUE:"schema_version"::INT),  -- Version of this contract.
  host VARCHAR AS (VALUE:"host"::VARCHAR),  -- The page’s host, as url says it.
  referrer_source VARCHAR AS (VALUE:"referrer_source"::VARCHAR),  -- What sent the visitor, by name, or by its registrable domain.
  channel VARCHAR AS (VALUE:"channel"::VARCHAR),  -- Which channel brought the visitor.
  session_entry_path VARCHAR AS (VALUE:"session_entry_path"::VARCHAR),  -- The path on which the session began, on the rows from its first event on, where that is in the same segment.
  is_entry BOOLEAN AS (VALUE:"is_entry"::BOOLEAN),  -- Whether it is the event that began its session; null is unknown.
  site_id VARCHAR AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/site_id=', 2), '/', 1)::VARCHAR),  -- The site it happened on; Origin’s, Referer’s or Host’s when absent.
  year INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/year=', 2), '/', 1)::INT),  -- Of received_at, in UTC.
  month INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/month=', 2), '/', 1)::INT),  -- Likewise; two digits in the key.
  day INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/day=', 2), '/', 1)::INT),  -- Likewise.
  hour INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/hour=', 2), '/', 1)::INT)  -- Likewise.
)
PARTITION BY (site_id, year, month, day, hour)
LOCATION = @sluice_bucket/events/
AUTO_REFRESH = FALSE
PATTERN = '.*[.]parquet'
FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE);

-- New files are seen after this, or by themselves with AUTO_REFRESH and the bucket's notifications.
ALTER EXTERNAL TABLE events REFRESH;

-- Which user a visitor said to be: a set, use it with DISTINCT.
CREATE OR REPLACE EXTERNAL TABLE identities (
  site_id VARCHAR AS (VALUE:"site_id"::VARCHAR),  -- The site that the event came from.
  visitor_id VARCHAR AS (VALUE:"visitor_id"::VARCHAR),  -- Who they were.
  user_id VARCHAR AS (VALUE:"user_id"::VARCHAR),  -- Who they are.
  event_type VARCHAR AS (VALUE:"event_type"::VARCHAR),  -- The event that said so, as it was sent.
  linked_at TIMESTAMP_LTZ AS (VALUE:"linked_at"::TIMESTAMP_LTZ),  -- When it was received, by the server’s clock.
  segment_id BIGINT AS (VALUE:"segment_id"::BIGINT),  -- The segment that its event is in.
  year INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/year=', 2), '/', 1)::INT),  -- Of the moment at which the segment was opened, in UTC.
  month INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/month=', 2), '/', 1)::INT),  -- Likewise; two digits in the key.
  day INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/day=', 2), '/', 1)::INT)  -- Likewise.
)
PARTITION BY (year, month, day)
LOCATION = @sluice_bucket/identities/
AUTO_REFRESH = FALSE
PATTERN = '.*[.]parquet'
FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE);

-- New files are seen after this, or by themselves with AUTO_REFRESH and the bucket's notifications.
ALTER EXTERNAL TABLE identities REFRESH;

-- Refused events, redacted, each with its reason.
CREATE OR REPLACE EXTERNAL TABLE failed (
  dead_letter_id VARCHAR AS (VALUE:"dead_letter_id"::VARCHAR),  -- Names the letter, as in GET /events/rejected; a UUIDv7 of the moment of arrival.
  segment_id BIGINT AS (VALUE:"segment_id"::BIGINT),  -- The segment that was open when it was refused.
  arrived_at TIMESTAMP_LTZ AS (VALUE:"arrived_at"::TIMESTAMP_LTZ),  -- When the request arrived.
  received_at TIMESTAMP_LTZ AS (VALUE:"received_at"::TIMESTAMP_LTZ),  -- When the refusal was made durable, by the server’s clock.
  site_id VARCHAR AS (VALUE:"site_id"::VARCHAR),  -- The site that the event names, known or not; the request’s where none was understood.
  reason VARCHAR AS (VALUE:"reason"::VARCHAR),  -- Why it was refused, in a word.
  field VARCHAR AS (VALUE:"field"::VARCHAR),  -- The field that was at fault, when it was one.
  message VARCHAR AS (VALUE:"message"::VARCHAR),  -- What was expected instead.
  event_type VARCHAR AS (VALUE:"event_type"::VARCHAR),  -- As far as it could be read.
  dialect VARCHAR AS (VALUE:"dialect"::VARCHAR),  -- The protocol that it came in; Sluice’s own when absent.
  request VARCHAR AS (VALUE:"request"::VARCHAR),  -- POST /path or GET /path: the payload is that request’s body or query. Absent: the payload is an event in Sluice’s own words.
  payload VARCHAR AS (VALUE:"payload"::VARCHAR),  -- What was sent: redacted, then cut to 8,192 bytes.
  payload_bytes INT AS (VALUE:"payload_bytes"::INT),  -- Its length as it was sent.
  is_cut BOOLEAN AS (VALUE:"is_cut"::BOOLEAN),  -- Whether its end is missing.
  user_agent VARCHAR AS (VALUE:"user_agent"::VARCHAR),  -- The request’s header, redacted.
  ip VARCHAR AS (VALUE:"ip"::VARCHAR),  -- The sender’s address, cut to /24 or /48 before it was stored.
  version VARCHAR AS (VALUE:"version"::VARCHAR),  -- The release of Sluice that refused it.
  year INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/year=', 2), '/', 1)::INT),  -- Of the moment at which the segment was opened, in UTC.
  month INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/month=', 2), '/', 1)::INT),  -- Likewise; two digits in the key.
  day INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/day=', 2), '/', 1)::INT)  -- Likewise.
)
PARTITION BY (year, month, day)
LOCATION = @sluice_bucket/failed/
AUTO_REFRESH = FALSE
PATTERN = '.*[.]parquet'
FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE);

-- New files are seen after this, or by themselves with AUTO_REFRESH and the bucket's notifications.
ALTER EXTERNAL TABLE failed REFRESH;

-- Sites, when they were first seen and what was decided of them: a row for each change.
CREATE OR REPLACE EXTERNAL TABLE sites (
  site_id VARCHAR AS (VALUE:"site_id"::VARCHAR),  -- The site.
  changed_at TIMESTAMP_LTZ AS (VALUE:"changed_at"::TIMESTAMP_LTZ),  -- When it became what this row says; the newest row of a site holds.
  state VARCHAR AS (VALUE:"state"::VARCHAR),  -- What becomes of its events: accepted, quarantined or refused.
  first_seen_at TIMESTAMP_LTZ AS (VALUE:"first_seen_at"::TIMESTAMP_LTZ),  -- When it was first named.
  first_dialect VARCHAR AS (VALUE:"first_dialect"::VARCHAR),  -- The protocol of its first event; management: it was named by hand before.
  first_url VARCHAR AS (VALUE:"first_url"::VARCHAR),  -- The origin of its first event’s page.
  decided_at TIMESTAMP_LTZ AS (VALUE:"decided_at"::TIMESTAMP_LTZ),  -- When somebody decided its state.
  segment_id BIGINT AS (VALUE:"segment_id"::BIGINT),  -- The segment that was open when it changed.
  year INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/year=', 2), '/', 1)::INT),  -- Of the moment at which the segment was opened, in UTC.
  month INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/month=', 2), '/', 1)::INT),  -- Likewise; two digits in the key.
  day INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/day=', 2), '/', 1)::INT)  -- Likewise.
)
PARTITION BY (year, month, day)
LOCATION = @sluice_bucket/sites/
AUTO_REFRESH = FALSE
PATTERN = '.*[.]parquet'
FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE);

-- New files are seen after this, or by themselves with AUTO_REFRESH and the bucket's notifications.
ALTER EXTERNAL TABLE sites REFRESH;

-- Which recordings there are, of whom, and in which object of `replay/`.
CREATE OR REPLACE EXTERNAL TABLE replay_index (
  site_id VARCHAR AS (VALUE:"site_id"::VARCHAR),  -- The site that was recorded.
  visitor_id VARCHAR AS (VALUE:"visitor_id"::VARCHAR),  -- Whose recording it is.
  user_id VARCHAR AS (VALUE:"user_id"::VARCHAR),  -- The user that they said to be, if the recorder told.
  session_id VARCHAR AS (VALUE:"session_id"::VARCHAR),  -- Their session.
  recording_id VARCHAR AS (VALUE:"recording_id"::VARCHAR),  -- One recorder’s work: its chunks are numbered from 0. A session has several, of several tabs for example.
  segment_id BIGINT AS (VALUE:"segment_id"::BIGINT),  -- The segment that its chunks are in.
  first_sequence INT AS (VALUE:"first_sequence"::INT),  -- The first chunk in this object.
  last_sequence INT AS (VALUE:"last_sequence"::INT),  -- The last one.
  chunks INT AS (VALUE:"chunks"::INT),  -- How many, each a line.
  gaps VARCHAR AS (VALUE:"gaps"::VARCHAR),  -- Chunks between first and last that are not in this object: 3-4,7. Lost, or in another segment’s; empty for none.
  started_at TIMESTAMP_LTZ AS (VALUE:"started_at"::TIMESTAMP_LTZ),  -- When its first event happened.
  ended_at TIMESTAMP_LTZ AS (VALUE:"ended_at"::TIMESTAMP_LTZ),  -- When its last one did.
  events BIGINT AS (VALUE:"events"::BIGINT),  -- How many events of rrweb’s.
  bytes BIGINT AS (VALUE:"bytes"::BIGINT),  -- Of its lines, unpacked.
  key VARCHAR AS (VALUE:"key"::VARCHAR),  -- The object that it stands in.
  sha256 VARCHAR AS (VALUE:"sha256"::VARCHAR),  -- Of that object, in hexadecimal.
  year INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/year=', 2), '/', 1)::INT),  -- Of the moment at which the segment was opened, in UTC.
  month INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/month=', 2), '/', 1)::INT),  -- Likewise; two digits in the key.
  day INT AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/day=', 2), '/', 1)::INT)  -- Likewise.
)
PARTITION BY (year, month, day)
LOCATION = @sluice_bucket/replay_index/
AUTO_REFRESH = FALSE
PATTERN = '.*[.]parquet'
FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE);

-- New files are seen after this, or by themselves with AUTO_REFRESH and the bucket's notifications.
ALTER EXTERNAL TABLE replay_index REFRESH;
