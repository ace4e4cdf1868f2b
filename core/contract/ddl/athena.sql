-- Sluice's datasets for athena: derived, do not edit.
-- Each query of events names a site and a time, WHERE site_id = '…' AND year = … AND month = …:
-- Athena works the folders out from them.
-- site_id is percent-encoded as in the key (`b%2Fc` for `b/c`): a name of letters, digits, . _ - ~
-- stands there as it is.

CREATE DATABASE IF NOT EXISTS `sluice`;

-- Every accepted event, once.
CREATE EXTERNAL TABLE IF NOT EXISTS `sluice`.`events` (
  `received_at` timestamp COMMENT 'When the server made it durable, by the server’s clock. Cuts the partitions.',
  `event_id` string COMMENT 'Makes a retry idempotent: the same id is delivered once. A UUIDv7 made at capture; ULIDs and other strings are kept as given. Made by the server when absent.',
  `event_type` string COMMENT 'What kind of thing happened.',
  `event_version` int COMMENT 'Version of this type’s properties.',
  `occurred_at` timestamp COMMENT 'When it happened. On the wire the client’s clock; in the column corrected for the clock’s skew, as told by sentAt. The time of receipt when absent.',
  `device_occurred_at` timestamp COMMENT 'occurredAt as the client’s clock told it.',
  `sent_at` timestamp COMMENT 'When the request was sent, by the same clock as occurredAt.',
  `source` string COMMENT 'What sent it.',
  `app` string COMMENT 'The application within the site.',
  `app_version` string COMMENT 'Its version.',
  `session_id` string COMMENT 'One visit: renewed after 30 minutes of inactivity.',
  `session_index` int COMMENT 'The visitor’s how-manieth session.',
  `visitor_id` string COMMENT 'One browser: random, first-party, no fingerprint.',
  `user_id` string COMMENT 'Who is signed in, in the client’s own terms.',
  `company_id` string COMMENT 'The signed-in user’s organisation.',
  `event_category` string COMMENT 'The object’s group.',
  `event_action` string COMMENT 'What was done to it.',
  `event_label` string COMMENT 'Which one.',
  `url` string COMMENT 'The page’s full address.',
  `path` string COMMENT 'The address’s path; from url when absent.',
  `title` string COMMENT 'The page’s title.',
  `referrer` string COMMENT 'The address that led here.',
  `referrer_domain` string COMMENT 'Its host; from referrer when absent.',
  `referrer_type` string COMMENT 'What kind of place it is; from referrer when absent.',
  `utm_source` string COMMENT 'Campaign source; from url when absent.',
  `utm_medium` string COMMENT 'Campaign medium; likewise.',
  `utm_campaign` string COMMENT 'Campaign name; likewise.',
  `utm_term` string COMMENT 'Campaign term; likewise.',
  `utm_content` string COMMENT 'Campaign variant; likewise.',
  `click_id` string COMMENT 'The advertiser’s click id; from url when absent.',
  `click_id_type` string COMMENT 'The parameter it came in.',
  `user_agent` string COMMENT 'The browser’s own name; the request’s header when absent.',
  `browser` string COMMENT 'Browser family; from userAgent when absent.',
  `browser_version` string COMMENT 'Browser version; likewise.',
  `os` string COMMENT 'Operating system family; likewise.',
  `os_version` string COMMENT 'Operating system version; likewise, where it is told.',
  `device_type` string COMMENT 'Kind of device; likewise, and bot where is_bot.',
  `screen_width` int COMMENT 'Screen width in CSS pixels.',
  `screen_height` int COMMENT 'Screen height in CSS pixels.',
  `viewport_width` int COMMENT 'Viewport width in CSS pixels.',
  `viewport_height` int COMMENT 'Viewport height in CSS pixels.',
  `language` string COMMENT 'The browser’s first language (BCP 47).',
  `timezone` string COMMENT 'IANA time zone.',
  `country` string COMMENT 'ISO 3166-1 alpha-2.',
  `region` string COMMENT 'ISO 3166-2 subdivision.',
  `consent` string COMMENT 'The visitor’s consent when it happened.',
  `consent_policy` string COMMENT 'Version of the policy consented to.',
  `properties` string COMMENT 'Everything particular to this type; JSON text in the files.',
  `ip` string COMMENT 'The sender’s address, cut to /24 or /48 before the first write.',
  `dialect` string COMMENT 'The protocol that it came in; Sluice’s own when absent.',
  `is_bot` boolean COMMENT 'Whether a program rather than a person.',
  `bot_reason` string COMMENT 'What told so.',
  `redactions` int COMMENT 'How many values were redacted before the event was stored.',
  `plan_violation` string COMMENT 'What of it contradicts the tracking plan; empty when nothing does.',
  `schema_version` int COMMENT 'Version of this contract.',
  `host` string COMMENT 'The page’s host, as url says it.',
  `referrer_source` string COMMENT 'What sent the visitor, by name, or by its registrable domain.',
  `channel` string COMMENT 'Which channel brought the visitor.',
  `session_entry_path` string COMMENT 'The path on which the session began, on the rows from its first event on, where that is in the same segment.',
  `is_entry` boolean COMMENT 'Whether it is the event that began its session; null is unknown.'
)
COMMENT 'Every accepted event, once.'
PARTITIONED BY (
  `site_id` string COMMENT 'The site it happened on; Origin’s, Referer’s or Host’s when absent.',
  `year` int COMMENT 'Of received_at, in UTC.',
  `month` int COMMENT 'Likewise; two digits in the key.',
  `day` int COMMENT 'Likewise.',
  `hour` int COMMENT 'Likewise.'
)
STORED AS PARQUET
LOCATION 's3://your-bucket/analytics/events/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'projection.site_id.type' = 'injected',
  'projection.year.type' = 'integer',
  'projection.year.range' = '2026,2035',
  'projection.month.type' = 'integer',
  'projection.month.range' = '1,12',
  'projection.month.digits' = '2',
  'projection.day.type' = 'integer',
  'projection.day.range' = '1,31',
  'projection.day.digits' = '2',
  'projection.hour.type' = 'integer',
  'projection.hour.range' = '0,23',
  'projection.hour.digits' = '2',
  'storage.location.template' = 's3://your-bucket/analytics/events/site_id=${site_id}/year=${year}/month=${month}/day=${day}/hour=${hour}'
);

-- Which user a visitor said to be: a set, use it with DISTINCT.
CREATE EXTERNAL TABLE IF NOT EXISTS `sluice`.`identities` (
  `site_id` string COMMENT 'The site that the event came from.',
  `visitor_id` string COMMENT 'Who they were.',
  `user_id` string COMMENT 'Who they are.',
  `event_type` string COMMENT 'The event that said so, as it was sent.',
  `linked_at` timestamp COMMENT 'When it was received, by the server’s clock.',
  `segment_id` bigint COMMENT 'The segment that its event is in.'
)
COMMENT 'Which user a visitor said to be: a set, use it with DISTINCT.'
PARTITIONED BY (
  `year` int COMMENT 'Of the moment at which the segment was opened, in UTC.',
  `month` int COMMENT 'Likewise; two digits in the key.',
  `day` int COMMENT 'Likewise.'
)
STORED AS PARQUET
LOCATION 's3://your-bucket/analytics/identities/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'projection.year.type' = 'integer',
  'projection.year.range' = '2026,2035',
  'projection.month.type' = 'integer',
  'projection.month.range' = '1,12',
  'projection.month.digits' = '2',
  'projection.day.type' = 'integer',
  'projection.day.range' = '1,31',
  'projection.day.digits' = '2',
  'storage.location.template' = 's3://your-bucket/analytics/identities/year=${year}/month=${month}/day=${day}'
);

-- Refused events, redacted, each with its reason.
CREATE EXTERNAL TABLE IF NOT EXISTS `sluice`.`failed` (
  `dead_letter_id` string COMMENT 'Names the letter, as in GET /events/rejected; a UUIDv7 of the moment of arrival.',
  `segment_id` bigint COMMENT 'The segment that was open when it was refused.',
  `arrived_at` timestamp COMMENT 'When the request arrived.',
  `received_at` timestamp COMMENT 'When the refusal was made durable, by the server’s clock.',
  `site_id` string COMMENT 'The site that the event names, known or not; the request’s where none was understood.',
  `reason` string COMMENT 'Why it was refused, in a word.',
  `field` string COMMENT 'The field that was at fault, when it was one.',
  `message` string COMMENT 'What was expected instead.',
  `event_type` string COMMENT 'As far as it could be read.',
  `dialect` string COMMENT 'The protocol that it came in; Sluice’s own when absent.',
  `request` string COMMENT 'POST /path or GET /path: the payload is that request’s body or query. Absent: the payload is an event in Sluice’s own words.',
  `payload` string COMMENT 'What was sent: redacted, then cut to 8,192 bytes.',
  `payload_bytes` int COMMENT 'Its length as it was sent.',
  `is_cut` boolean COMMENT 'Whether its end is missing.',
  `user_agent` string COMMENT 'The request’s header, redacted.',
  `ip` string COMMENT 'The sender’s address, cut to /24 or /48 before it was stored.',
  `version` string COMMENT 'The release of Sluice that refused it.'
)
COMMENT 'Refused events, redacted, each with its reason.'
PARTITIONED BY (
  `year` int COMMENT 'Of the moment at which the segment was opened, in UTC.',
  `month` int COMMENT 'Likewise; two digits in the key.',
  `day` int COMMENT 'Likewise.'
)
STORED AS PARQUET
LOCATION 's3://your-bucket/analytics/failed/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'projection.year.type' = 'integer',
  'projection.year.range' = '2026,2035',
  'projection.month.type' = 'integer',
  'projection.month.range' = '1,12',
  'projection.month.digits' = '2',
  'projection.day.type' = 'integer',
  'projection.day.range' = '1,31',
  'projection.day.digits' = '2',
  'storage.location.template' = 's3://your-bucket/analytics/failed/year=${year}/month=${month}/day=${day}'
);

-- Sites, when they were first seen and what was decided of them: a row for each change.
CREATE EXTERNAL TABLE IF NOT EXISTS `sluice`.`sites` (
  `site_id` string COMMENT 'The site.',
  `changed_at` timestamp COMMENT 'When it became what this row says; the newest row of a site holds.',
  `state` string COMMENT 'What becomes of its events: accepted, quarantined or refused.',
  `first_seen_at` timestamp COMMENT 'When it was first named.',
  `first_dialect` string COMMENT 'The protocol of its first event; management: it was named by hand before.',
  `first_url` string COMMENT 'The origin of its first event’s page.',
  `decided_at` timestamp COMMENT 'When somebody decided its state.',
  `segment_id` bigint COMMENT 'The segment that was open when it changed.'
)
COMMENT 'Sites, when they were first seen and what was decided of them: a row for each change.'
PARTITIONED BY (
  `year` int COMMENT 'Of the moment at which the segment was opened, in UTC.',
  `month` int COMMENT 'Likewise; two digits in the key.',
  `day` int COMMENT 'Likewise.'
)
STORED AS PARQUET
LOCATION 's3://your-bucket/analytics/sites/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'projection.year.type' = 'integer',
  'projection.year.range' = '2026,2035',
  'projection.month.type' = 'integer',
  'projection.month.range' = '1,12',
  'projection.month.digits' = '2',
  'projection.day.type' = 'integer',
  'projection.day.range' = '1,31',
  'projection.day.digits' = '2',
  'storage.location.template' = 's3://your-bucket/analytics/sites/year=${year}/month=${month}/day=${day}'
);

-- Which recordings there are, of whom, and in which object of `replay/`.
CREATE EXTERNAL TABLE IF NOT EXISTS `sluice`.`replay_index` (
  `site_id` string COMMENT 'The site that was recorded.',
  `visitor_id` string COMMENT 'Whose recording it is.',
  `user_id` string COMMENT 'The user that they said to be, if the recorder told.',
  `session_id` string COMMENT 'Their session.',
  `recording_id` string COMMENT 'One recorder’s work: its chunks are numbered from 0. A session has several, of several tabs for example.',
  `segment_id` bigint COMMENT 'The segment that its chunks are in.',
  `first_sequence` int COMMENT 'The first chunk in this object.',
  `last_sequence` int COMMENT 'The last one.',
  `chunks` int COMMENT 'How many, each a line.',
  `gaps` string COMMENT 'Chunks between first and last that are not in this object: 3-4,7. Lost, or in another segment’s; empty for none.',
  `started_at` timestamp COMMENT 'When its first event happened.',
  `ended_at` timestamp COMMENT 'When its last one did.',
  `events` bigint COMMENT 'How many events of rrweb’s.',
  `bytes` bigint COMMENT 'Of its lines, unpacked.',
  `key` string COMMENT 'The object that it stands in.',
  `sha256` string COMMENT 'Of that object, in hexadecimal.'
)
COMMENT 'Which recordings there are, of whom, and in which object of replay/.'
PARTITIONED BY (
  `year` int COMMENT 'Of the moment at which the segment was opened, in UTC.',
  `month` int COMMENT 'Likewise; two digits in the key.',
  `day` int COMMENT 'Likewise.'
)
STORED AS PARQUET
LOCATION 's3://your-bucket/analytics/replay_index/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'projection.year.type' = 'integer',
  'projection.year.range' = '2026,2035',
  'projection.month.type' = 'integer',
  'projection.month.range' = '1,12',
  'projection.month.digits' = '2',
  'projection.day.type' = 'integer',
  'projection.day.range' = '1,31',
  'projection.day.digits' = '2',
  'storage.location.template' = 's3://your-bucket/analytics/replay_index/year=${year}/month=${month}/day=${day}'
);
