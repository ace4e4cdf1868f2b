-- Sluice's datasets for spark: derived, do not edit.
-- Spark decodes a site_id byte by byte: of one with letters beyond ASCII take
-- decode(encode(site_id, 'ISO-8859-1'), 'UTF-8').

CREATE DATABASE IF NOT EXISTS sluice;

-- Every accepted event, once.
CREATE TABLE IF NOT EXISTS sluice.`events` (
  `received_at` TIMESTAMP COMMENT 'When the server made it durable, by the server’s clock. Cuts the partitions.',
  `event_id` STRING COMMENT 'Makes a retry idempotent: the same id is delivered once. A UUIDv7 made at capture; ULIDs and other strings are kept as given. Made by the server when absent.',
  `event_type` STRING COMMENT 'What kind of thing happened.',
  `event_version` INT COMMENT 'Version of this type’s properties.',
  `occurred_at` TIMESTAMP COMMENT 'When it happened. On the wire the client’s clock; in the column corrected for the clock’s skew, as told by sentAt. The time of receipt when absent.',
  `device_occurred_at` TIMESTAMP COMMENT 'occurredAt as the client’s clock told it.',
  `sent_at` TIMESTAMP COMMENT 'When the request was sent, by the same clock as occurredAt.',
  `source` STRING COMMENT 'What sent it.',
  `app` STRING COMMENT 'The application within the site.',
  `app_version` STRING COMMENT 'Its version.',
  `session_id` STRING COMMENT 'One visit: renewed after 30 minutes of inactivity.',
  `session_index` INT COMMENT 'The visitor’s how-manieth session.',
  `visitor_id` STRING COMMENT 'One browser: random, first-party, no fingerprint.',
  `user_id` STRING COMMENT 'Who is signed in, in the client’s own terms.',
  `company_id` STRING COMMENT 'The signed-in user’s organisation.',
  `event_category` STRING COMMENT 'The object’s group.',
  `event_action` STRING COMMENT 'What was done to it.',
  `event_label` STRING COMMENT 'Which one.',
  `url` STRING COMMENT 'The page’s full address.',
  `path` STRING COMMENT 'The address’s path; from url when absent.',
  `title` STRING COMMENT 'The page’s title.',
  `referrer` STRING COMMENT 'The address that led here.',
  `referrer_domain` STRING COMMENT 'Its host; from referrer when absent.',
  `referrer_type` STRING COMMENT 'What kind of place it is; from referrer when absent.',
  `utm_source` STRING COMMENT 'Campaign source; from url when absent.',
  `utm_medium` STRING COMMENT 'Campaign medium; likewise.',
  `utm_campaign` STRING COMMENT 'Campaign name; likewise.',
  `utm_term` STRING COMMENT 'Campaign term; likewise.',
  `utm_content` STRING COMMENT 'Campaign variant; likewise.',
  `click_id` STRING COMMENT 'The advertiser’s click id; from url when absent.',
  `click_id_type` STRING COMMENT 'The parameter it came in.',
  `user_agent` STRING COMMENT 'The browser’s own name; the request’s header when absent.',
  `browser` STRING COMMENT 'Browser family; from userAgent when absent.',
  `browser_version` STRING COMMENT 'Browser version; likewise.',
  `os` STRING COMMENT 'Operating system family; likewise.',
  `os_version` STRING COMMENT 'Operating system version; likewise, where it is told.',
  `device_type` STRING COMMENT 'Kind of device; likewise, and bot where is_bot.',
  `screen_width` INT COMMENT 'Screen width in CSS pixels.',
  `screen_height` INT COMMENT 'Screen height in CSS pixels.',
  `viewport_width` INT COMMENT 'Viewport width in CSS pixels.',
  `viewport_height` INT COMMENT 'Viewport height in CSS pixels.',
  `language` STRING COMMENT 'The browser’s first language (BCP 47).',
  `timezone` STRING COMMENT 'IANA time zone.',
  `country` STRING COMMENT 'ISO 3166-1 alpha-2.',
  `region` STRING COMMENT 'ISO 3166-2 subdivision.',
  `consent` STRING COMMENT 'The visitor’s consent when it happened.',
  `consent_policy` STRING COMMENT 'Version of the policy consented to.',
  `properties` STRING COMMENT 'Everything particular to this type; JSON text in the files.',
  `ip` STRING COMMENT 'The sender’s address, cut to /24 or /48 before the first write.',
  `dialect` STRING COMMENT 'The protocol that it came in; Sluice’s own when absent.',
  `is_bot` BOOLEAN COMMENT 'Whether a program rather than a person.',
  `bot_reason` STRING COMMENT 'What told so.',
  `redactions` INT COMMENT 'How many values were redacted before the event was stored.',
  `plan_violation` STRING COMMENT 'What of it contradicts the tracking plan; empty when nothing does.',
  `schema_version` INT COMMENT 'Version of this contract.',
  `host` STRING COMMENT 'The page’s host, as url says it.',
  `referrer_source` STRING COMMENT 'What sent the visitor, by name, or by its registrable domain.',
  `channel` STRING COMMENT 'Which channel brought the visitor.',
  `session_entry_path` STRING COMMENT 'The path on which the session began, on the rows from its first event on, where that is in the same segment.',
  `is_entry` BOOLEAN COMMENT 'Whether it is the event that began its session; null is unknown.',
  `site_id` STRING COMMENT 'The site it happened on; Origin’s, Referer’s or Host’s when absent.',
  `year` INT COMMENT 'Of received_at, in UTC.',
  `month` INT COMMENT 'Likewise; two digits in the key.',
  `day` INT COMMENT 'Likewise.',
  `hour` INT COMMENT 'Likewise.'
)
USING PARQUET
PARTITIONED BY (`site_id`, `year`, `month`, `day`, `hour`)
LOCATION 's3a://your-bucket/analytics/events/'
COMMENT 'Every accepted event, once.';

-- Again whenever new folders are to be seen.
MSCK REPAIR TABLE sluice.`events`;

-- Which user a visitor said to be: a set, use it with DISTINCT.
CREATE TABLE IF NOT EXISTS sluice.`identities` (
  `site_id` STRING COMMENT 'The site that the event came from.',
  `visitor_id` STRING COMMENT 'Who they were.',
  `user_id` STRING COMMENT 'Who they are.',
  `event_type` STRING COMMENT 'The event that said so, as it was sent.',
  `linked_at` TIMESTAMP COMMENT 'When it was received, by the server’s clock.',
  `segment_id` BIGINT COMMENT 'The segment that its event is in.',
  `year` INT COMMENT 'Of the moment at which the segment was opened, in UTC.',
  `month` INT COMMENT 'Likewise; two digits in the key.',
  `day` INT COMMENT 'Likewise.'
)
USING PARQUET
PARTITIONED BY (`year`, `month`, `day`)
LOCATION 's3a://your-bucket/analytics/identities/'
COMMENT 'Which user a visitor said to be: a set, use it with DISTINCT.';

-- Again whenever new folders are to be seen.
MSCK REPAIR TABLE sluice.`identities`;

-- Refused events, redacted, each with its reason.
CREATE TABLE IF NOT EXISTS sluice.`failed` (
  `dead_letter_id` STRING COMMENT 'Names the letter, as in GET /events/rejected; a UUIDv7 of the moment of arrival.',
  `segment_id` BIGINT COMMENT 'The segment that was open when it was refused.',
  `arrived_at` TIMESTAMP COMMENT 'When the request arrived.',
  `received_at` TIMESTAMP COMMENT 'When the refusal was made durable, by the server’s clock.',
  `site_id` STRING COMMENT 'The site that the event names, known or not; the request’s where none was understood.',
  `reason` STRING COMMENT 'Why it was refused, in a word.',
  `field` STRING COMMENT 'The field that was at fault, when it was one.',
  `message` STRING COMMENT 'What was expected instead.',
  `event_type` STRING COMMENT 'As far as it could be read.',
  `dialect` STRING COMMENT 'The protocol that it came in; Sluice’s own when absent.',
  `request` STRING COMMENT 'POST /path or GET /path: the payload is that request’s body or query. Absent: the payload is an event in Sluice’s own words.',
  `payload` STRING COMMENT 'What was sent: redacted, then cut to 8,192 bytes.',
  `payload_bytes` INT COMMENT 'Its length as it was sent.',
  `is_cut` BOOLEAN COMMENT 'Whether its end is missing.',
  `user_agent` STRING COMMENT 'The request’s header, redacted.',
  `ip` STRING COMMENT 'The sender’s address, cut to /24 or /48 before it was stored.',
  `version` STRING COMMENT 'The release of Sluice that refused it.',
  `year` INT COMMENT 'Of the moment at which the segment was opened, in UTC.',
  `month` INT COMMENT 'Likewise; two digits in the key.',
  `day` INT COMMENT 'Likewise.'
)
USING PARQUET
PARTITIONED BY (`year`, `month`, `day`)
LOCATION 's3a://your-bucket/analytics/failed/'
COMMENT 'Refused events, redacted, each with its reason.';

-- Again whenever new folders are to be seen.
MSCK REPAIR TABLE sluice.`failed`;

-- Sites, when they were first seen and what was decided of them: a row for each change.
CREATE TABLE IF NOT EXISTS sluice.`sites` (
  `site_id` STRING COMMENT 'The site.',
  `changed_at` TIMESTAMP COMMENT 'When it became what this row says; the newest row of a site holds.',
  `state` STRING COMMENT 'What becomes of its events: accepted, quarantined or refused.',
  `first_seen_at` TIMESTAMP COMMENT 'When it was first named.',
  `first_dialect` STRING COMMENT 'The protocol of its first event; management: it was named by hand before.',
  `first_url` STRING COMMENT 'The origin of its first event’s page.',
  `decided_at` TIMESTAMP COMMENT 'When somebody decided its state.',
  `segment_id` BIGINT COMMENT 'The segment that was open when it changed.',
  `year` INT COMMENT 'Of the moment at which the segment was opened, in UTC.',
  `month` INT COMMENT 'Likewise; two digits in the key.',
  `day` INT COMMENT 'Likewise.'
)
USING PARQUET
PARTITIONED BY (`year`, `month`, `day`)
LOCATION 's3a://your-bucket/analytics/sites/'
COMMENT 'Sites, when they were first seen and what was decided of them: a row for each change.';

-- Again whenever new folders are to be seen.
MSCK REPAIR TABLE sluice.`sites`;

-- Which recordings there are, of whom, and in which object of `replay/`.
CREATE TABLE IF NOT EXISTS sluice.`replay_index` (
  `site_id` STRING COMMENT 'The site that was recorded.',
  `visitor_id` STRING COMMENT 'Whose recording it is.',
  `user_id` STRING COMMENT 'The user that they said to be, if the recorder told.',
  `session_id` STRING COMMENT 'Their session.',
  `recording_id` STRING COMMENT 'One recorder’s work: its chunks are numbered from 0. A session has several, of several tabs for example.',
  `segment_id` BIGINT COMMENT 'The segment that its chunks are in.',
  `first_sequence` INT COMMENT 'The first chunk in this object.',
  `last_sequence` INT COMMENT 'The last one.',
  `chunks` INT COMMENT 'How many, each a line.',
  `gaps` STRING COMMENT 'Chunks between first and last that are not in this object: 3-4,7. Lost, or in another segment’s; empty for none.',
  `started_at` TIMESTAMP COMMENT 'When its first event happened.',
  `ended_at` TIMESTAMP COMMENT 'When its last one did.',
  `events` BIGINT COMMENT 'How many events of rrweb’s.',
  `bytes` BIGINT COMMENT 'Of its lines, unpacked.',
  `key` STRING COMMENT 'The object that it stands in.',
  `sha256` STRING COMMENT 'Of that object, in hexadecimal.',
  `year` INT COMMENT 'Of the moment at which the segment was opened, in UTC.',
  `month` INT COMMENT 'Likewise; two digits in the key.',
  `day` INT COMMENT 'Likewise.'
)
USING PARQUET
PARTITIONED BY (`year`, `month`, `day`)
LOCATION 's3a://your-bucket/analytics/replay_index/'
COMMENT 'Which recordings there are, of whom, and in which object of replay/.';

-- Again whenever new folders are to be seen.
MSCK REPAIR TABLE sluice.`replay_index`;
