-- Sluice's datasets for clickhouse: derived, do not edit.

-- Every accepted event, once.
CREATE OR REPLACE VIEW `events` AS
SELECT
  `received_at`,  -- When the server made it durable, by the server’s clock. Cuts the partitions.
  `event_id`,  -- Makes a retry idempotent: the same id is delivered once. A UUIDv7 made at capture; ULIDs and other strings are kept as given. Made by the server when absent.
  `event_type`,  -- What kind of thing happened.
  `event_version`,  -- Version of this type’s properties.
  `occurred_at`,  -- When it happened. On the wire the client’s clock; in the column corrected for the clock’s skew, as told by sentAt. The time of receipt when absent.
  `device_occurred_at`,  -- occurredAt as the client’s clock told it.
  `sent_at`,  -- When the request was sent, by the same clock as occurredAt.
  `source`,  -- What sent it.
  `app`,  -- The application within the site.
  `app_version`,  -- Its version.
  `session_id`,  -- One visit: renewed after 30 minutes of inactivity.
  `session_index`,  -- The visitor’s how-manieth session.
  `visitor_id`,  -- One browser: random, first-party, no fingerprint.
  `user_id`,  -- Who is signed in, in the client’s own terms.
  `company_id`,  -- The signed-in user’s organisation.
  `event_category`,  -- The object’s group.
  `event_action`,  -- What was done to it.
  `event_label`,  -- Which one.
  `url`,  -- The page’s full address.
  `path`,  -- The address’s path; from url when absent.
  `title`,  -- The page’s title.
  `referrer`,  -- The address that led here.
  `referrer_domain`,  -- Its host; from referrer when absent.
  `referrer_type`,  -- What kind of place it is; from referrer when absent.
  `utm_source`,  -- Campaign source; from url when absent.
  `utm_medium`,  -- Campaign medium; likewise.
  `utm_campaign`,  -- Campaign name; likewise.
  `utm_term`,  -- Campaign term; likewise.
  `utm_content`,  -- Campaign variant; likewise.
  `click_id`,  -- The advertiser’s click id; from url when absent.
  `click_id_type`,  -- The parameter it came in.
  `user_agent`,  -- The browser’s own name; the request’s header when absent.
  `browser`,  -- Browser family; from userAgent when absent.
  `browser_version`,  -- Browser version; likewise.
  `os`,  -- Operating system family; likewise.
  `os_version`,  -- Operating system version; likewise, where it is told.
  `device_type`,  -- Kind of device; likewise, and bot where is_bot.
  `screen_width`,  -- Screen width in CSS pixels.
  `screen_height`,  -- Screen height in CSS pixels.
  `viewport_width`,  -- Viewport width in CSS pixels.
  `viewport_height`,  -- Viewport height in CSS pixels.
  `language`,  -- The browser’s first language (BCP 47).
  `timezone`,  -- IANA time zone.
  `country`,  -- ISO 3166-1 alpha-2.
  `region`,  -- ISO 3166-2 subdivision.
  `consent`,  -- The visitor’s consent when it happened.
  `consent_policy`,  -- Version of the policy consented to.
  `properties`,  -- Everything particular to this type; JSON text in the files.
  `ip`,  -- The sender’s address, cut to /24 or /48 before the first write.
  `dialect`,  -- The protocol that it came in; Sluice’s own when absent.
  `is_bot`,  -- Whether a program rather than a person.
  `bot_reason`,  -- What told so.
  `redactions`,  -- How many values were redacted before the event was stored.
  `plan_violation`,  -- What of it contradicts the tracking plan; empty when nothing does.
  `schema_version`,  -- Version of this contract.
  `host`,  -- The page’s host, as url says it.
  `referrer_source`,  -- What sent the visitor, by name, or by its registrable domain.
  `channel`,  -- Which channel brought the visitor.
  `session_entry_path`,  -- The path on which the session began, on the rows from its first event on, where that is in the same segment.
  `is_entry`,  -- Whether it is the event that began its session; null is unknown.
  decodeURLComponent(extract(_path, '/site_id=([^/]*)/')) AS `site_id`,  -- The site it happened on; Origin’s, Referer’s or Host’s when absent.
  toInt32(extract(_path, '/year=([^/]*)/')) AS `year`,  -- Of received_at, in UTC.
  toInt32(extract(_path, '/month=([^/]*)/')) AS `month`,  -- Likewise; two digits in the key.
  toInt32(extract(_path, '/day=([^/]*)/')) AS `day`,  -- Likewise.
  toInt32(extract(_path, '/hour=([^/]*)/')) AS `hour`  -- Likewise.
FROM s3(
  'https://your-bucket.s3.amazonaws.com/analytics/events/**.parquet',
  'Parquet',
  '`received_at` DateTime64(6, \'UTC\'), `event_id` String, `event_type` String, `event_version` Int32, `occurred_at` DateTime64(6, \'UTC\'), `device_occurred_at` Nullable(DateTime64(6, \'UTC\')), `sent_at` Nullable(DateTime64(6, \'UTC\')), `source` Nullable(String), `app` Nullable(String), `app_version` Nullable(String), `session_id` Nullable(String), `session_index` Nullable(Int32), `visitor_id` Nullable(String), `user_id` Nullable(String), `company_id` Nullable(String), `event_category` Nullable(String), `event_action` Nullable(String), `event_label` Nullable(String), `url` Nullable(String), `path` Nullable(String), `title` Nullable(String), `referrer` Nullable(String), `referrer_domain` Nullable(String), `referrer_type` Nullable(String), `utm_source` Nullable(String), `utm_medium` Nullable(String), `utm_campaign` Nullable(String), `utm_term` Nullable(String), `utm_content` Nullable(String), `click_id` Nullable(String), `click_id_type` Nullable(String), `user_agent` Nullable(String), `browser` Nullable(String), `browser_version` Nullable(String), `os` Nullable(String), `os_version` Nullable(String), `device_type` Nullable(String), `screen_width` Nullable(Int32), `screen_height` Nullable(Int32), `viewport_width` Nullable(Int32), `viewport_height` Nullable(Int32), `language` Nullable(String), `timezone` Nullable(String), `country` Nullable(String), `region` Nullable(String), `consent` Nullable(String), `consent_policy` Nullable(String), `properties` Nullable(String), `ip` Nullable(String), `dialect` Nullable(String), `is_bot` Bool, `bot_reason` Nullable(String), `redactions` Nullable(Int32), `plan_violation` Nullable(String), `schema_version` Int32, `host` Nullable(String), `referrer_source` Nullable(String), `channel` Nullable(String), `session_entry_path` Nullable(String), `is_entry` Nullable(Bool)'
)
SETTINGS use_hive_partitioning = 0;

-- Which user a visitor said to be: a set, use it with DISTINCT.
CREATE OR REPLACE VIEW `identities` AS
SELECT
  `site_id`,  -- The site that the event came from.
  `visitor_id`,  -- Who they were.
  `user_id`,  -- Who they are.
  `event_type`,  -- The event that said so, as it was sent.
  `linked_at`,  -- When it was received, by the server’s clock.
  `segment_id`,  -- The segment that its event is in.
  toInt32(extract(_path, '/year=([^/]*)/')) AS `year`,  -- Of the moment at which the segment was opened, in UTC.
  toInt32(extract(_path, '/month=([^/]*)/')) AS `month`,  -- Likewise; two digits in the key.
  toInt32(extract(_path, '/day=([^/]*)/')) AS `day`  -- Likewise.
FROM s3(
  'https://your-bucket.s3.amazonaws.com/analytics/identities/**.parquet',
  'Parquet',
  '`site_id` String, `visitor_id` String, `user_id` String, `event_type` String, `linked_at` DateTime64(6, \'UTC\'), `segment_id` Int64'
)
SETTINGS use_hive_partitioning = 0;

-- Refused events, redacted, each with its reason.
CREATE OR REPLACE VIEW `failed` AS
SELECT
  `dead_letter_id`,  -- Names the letter, as in GET /events/rejected; a UUIDv7 of the moment of arrival.
  `segment_id`,  -- The segment that was open when it was refused.
  `arrived_at`,  -- When the request arrived.
  `received_at`,  -- When the refusal was made durable, by the server’s clock.
  `site_id`,  -- The site that the event names, known or not; the request’s where none was understood.
  `reason`,  -- Why it was refused, in a word.
  `field`,  -- The field that was at fault, when it was one.
  `message`,  -- What was expected instead.
  `event_type`,  -- As far as it could be read.
  `dialect`,  -- The protocol that it came in; Sluice’s own when absent.
  `request`,  -- POST /path or GET /path: the payload is that request’s body or query. Absent: the payload is an event in Sluice’s own words.
  `payload`,  -- What was sent: redacted, then cut to 8,192 bytes.
  `payload_bytes`,  -- Its length as it was sent.
  `is_cut`,  -- Whether its end is missing.
  `user_agent`,  -- The request’s header, redacted.
  `ip`,  -- The sender’s address, cut to /24 or /48 before it was stored.
  `version`,  -- The release of Sluice that refused it.
  toInt32(extract(_path, '/year=([^/]*)/')) AS `year`,  -- Of the moment at which the segment was opened, in UTC.
  toInt32(extract(_path, '/month=([^/]*)/')) AS `month`,  -- Likewise; two digits in the key.
  toInt32(extract(_path, '/day=([^/]*)/')) AS `day`  -- Likewise.
FROM s3(
  'https://your-bucket.s3.amazonaws.com/analytics/failed/**.parquet',
  'Parquet',
  '`dead_letter_id` String, `segment_id` Int64, `arrived_at` DateTime64(6, \'UTC\'), `received_at` DateTime64(6, \'UTC\'), `site_id` String, `reason` String, `field` Nullable(String), `message` String, `event_type` Nullable(String), `dialect` Nullable(String), `request` Nullable(String), `payload` String, `payload_bytes` Int32, `is_cut` Bool, `user_agent` Nullable(String), `ip` Nullable(String), `version` String'
)
SETTINGS use_hive_partitioning = 0;

-- Sites, when they were first seen and what was decided of them: a row for each change.
CREATE OR REPLACE VIEW `sites` AS
SELECT
  `site_id`,  -- The site.
  `changed_at`,  -- When it became what this row says; the newest row of a site holds.
  `state`,  -- What becomes of its events: accepted, quarantined or refused.
  `first_seen_at`,  -- When it was first named.
  `first_dialect`,  -- The protocol of its first event; management: it was named by hand before.
  `first_url`,  -- The origin of its first event’s page.
  `decided_at`,  -- When somebody decided its state.
  `segment_id`,  -- The segment that was open when it changed.
  toInt32(extract(_path, '/year=([^/]*)/')) AS `year`,  -- Of the moment at which the segment was opened, in UTC.
  toInt32(extract(_path, '/month=([^/]*)/')) AS `month`,  -- Likewise; two digits in the key.
  toInt32(extract(_path, '/day=([^/]*)/')) AS `day`  -- Likewise.
FROM s3(
  'https://your-bucket.s3.amazonaws.com/analytics/sites/**.parquet',
  'Parquet',
  '`site_id` String, `changed_at` DateTime64(6, \'UTC\'), `state` String, `first_seen_at` DateTime64(6, \'UTC\'), `first_dialect` String, `first_url` Nullable(String), `decided_at` Nullable(DateTime64(6, \'UTC\')), `segment_id` Int64'
)
SETTINGS use_hive_partitioning = 0;

-- Which recordings there are, of whom, and in which object of `replay/`.
CREATE OR REPLACE VIEW `replay_index` AS
SELECT
  `site_id`,  -- The site that was recorded.
  `visitor_id`,  -- Whose recording it is.
  `user_id`,  -- The user that they said to be, if the recorder told.
  `session_id`,  -- Their session.
  `recording_id`,  -- One recorder’s work: its chunks are numbered from 0. A session has several, of several tabs for example.
  `segment_id`,  -- The segment that its chunks are in.
  `first_sequence`,  -- The first chunk in this object.
  `last_sequence`,  -- The last one.
  `chunks`,  -- How many, each a line.
  `gaps`,  -- Chunks between first and last that are not in this object: 3-4,7. Lost, or in another segment’s; empty for none.
  `started_at`,  -- When its first event happened.
  `ended_at`,  -- When its last one did.
  `events`,  -- How many events of rrweb’s.
  `bytes`,  -- Of its lines, unpacked.
  `key`,  -- The object that it stands in.
  `sha256`,  -- Of that object, in hexadecimal.
  toInt32(extract(_path, '/year=([^/]*)/')) AS `year`,  -- Of the moment at which the segment was opened, in UTC.
  toInt32(extract(_path, '/month=([^/]*)/')) AS `month`,  -- Likewise; two digits in the key.
  toInt32(extract(_path, '/day=([^/]*)/')) AS `day`  -- Likewise.
FROM s3(
  'https://your-bucket.s3.amazonaws.com/analytics/replay_index/**.parquet',
  'Parquet',
  '`site_id` String, `visitor_id` String, `user_id` Nullable(String), `session_id` String, `recording_id` String, `segment_id` Int64, `first_sequence` Int32, `last_sequence` Int32, `chunks` Int32, `gaps` String, `started_at` DateTime64(6, \'UTC\'), `ended_at` DateTime64(6, \'UTC\'), `events` Int64, `bytes` Int64, `key` String, `sha256` String'
)
SETTINGS use_hive_partitioning = 0;
