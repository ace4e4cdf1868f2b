-- Sluice's datasets for bigquery: derived, do not edit.
-- site_id is percent-encoded as in the key (`b%2Fc` for `b/c`): a name of letters, digits, . _ - ~
-- stands there as it is.

-- Every accepted event, once.
CREATE OR REPLACE EXTERNAL TABLE `sluice.events` (
  `received_at` TIMESTAMP OPTIONS (description = 'When the server made it durable, by the server’s clock. Cuts the partitions.'),
  `event_id` STRING OPTIONS (description = 'Makes a retry idempotent: the same id is delivered once. A UUIDv7 made at capture; ULIDs and other strings are kept as given. Made by the server when absent.'),
  `event_type` STRING OPTIONS (description = 'What kind of thing happened.'),
  `event_version` INT64 OPTIONS (description = 'Version of this type’s properties.'),
  `occurred_at` TIMESTAMP OPTIONS (description = 'When it happened. On the wire the client’s clock; in the column corrected for the clock’s skew, as told by sentAt. The time of receipt when absent.'),
  `device_occurred_at` TIMESTAMP OPTIONS (description = 'occurredAt as the client’s clock told it.'),
  `sent_at` TIMESTAMP OPTIONS (description = 'When the request was sent, by the same clock as occurredAt.'),
  `source` STRING OPTIONS (description = 'What sent it.'),
  `app` STRING OPTIONS (description = 'The application within the site.'),
  `app_version` STRING OPTIONS (description = 'Its version.'),
  `session_id` STRING OPTIONS (description = 'One visit: renewed after 30 minutes of inactivity.'),
  `session_index` INT64 OPTIONS (description = 'The visitor’s how-manieth session.'),
  `visitor_id` STRING OPTIONS (description = 'One browser: random, first-party, no fingerprint.'),
  `user_id` STRING OPTIONS (description = 'Who is signed in, in the client’s own terms.'),
  `company_id` STRING OPTIONS (description = 'The signed-in user’s organisation.'),
  `event_category` STRING OPTIONS (description = 'The object’s group.'),
  `event_action` STRING OPTIONS (description = 'What was done to it.'),
  `event_label` STRING OPTIONS (description = 'Which one.'),
  `url` STRING OPTIONS (description = 'The page’s full address.'),
  `path` STRING OPTIONS (description = 'The address’s path; from url when absent.'),
  `title` STRING OPTIONS (description = 'The page’s title.'),
  `referrer` STRING OPTIONS (description = 'The address that led here.'),
  `referrer_domain` STRING OPTIONS (description = 'Its host; from referrer when absent.'),
  `referrer_type` STRING OPTIONS (description = 'What kind of place it is; from referrer when absent.'),
  `utm_source` STRING OPTIONS (description = 'Campaign source; from url when absent.'),
  `utm_medium` STRING OPTIONS (description = 'Campaign medium; likewise.'),
  `utm_campaign` STRING OPTIONS (description = 'Campaign name; likewise.'),
  `utm_term` STRING OPTIONS (description = 'Campaign term; likewise.'),
  `utm_content` STRING OPTIONS (description = 'Campaign variant; likewise.'),
  `click_id` STRING OPTIONS (description = 'The advertiser’s click id; from url when absent.'),
  `click_id_type` STRING OPTIONS (description = 'The parameter it came in.'),
  `user_agent` STRING OPTIONS (description = 'The browser’s own name; the request’s header when absent.'),
  `browser` STRING OPTIONS (description = 'Browser family; from userAgent when absent.'),
  `browser_version` STRING OPTIONS (description = 'Browser version; likewise.'),
  `os` STRING OPTIONS (description = 'Operating system family; likewise.'),
  `os_version` STRING OPTIONS (description = 'Operating system version; likewise, where it is told.'),
  `device_type` STRING OPTIONS (description = 'Kind of device; likewise, and bot where is_bot.'),
  `screen_width` INT64 OPTIONS (description = 'Screen width in CSS pixels.'),
  `screen_height` INT64 OPTIONS (description = 'Screen height in CSS pixels.'),
  `viewport_width` INT64 OPTIONS (description = 'Viewport width in CSS pixels.'),
  `viewport_height` INT64 OPTIONS (description = 'Viewport height in CSS pixels.'),
  `language` STRING OPTIONS (description = 'The browser’s first language (BCP 47).'),
  `timezone` STRING OPTIONS (description = 'IANA time zone.'),
  `country` STRING OPTIONS (description = 'ISO 3166-1 alpha-2.'),
  `region` STRING OPTIONS (description = 'ISO 3166-2 subdivision.'),
  `consent` STRING OPTIONS (description = 'The visitor’s consent when it happened.'),
  `consent_policy` STRING OPTIONS (description = 'Version of the policy consented to.'),
  `properties` STRING OPTIONS (description = 'Everything particular to this type; JSON text in the files.'),
  `ip` STRING OPTIONS (description = 'The sender’s address, cut to /24 or /48 before the first write.'),
  `dialect` STRING OPTIONS (description = 'The protocol that it came in; Sluice’s own when absent.'),
  `is_bot` BOOL OPTIONS (description = 'Whether a program rather than a person.'),
  `bot_reason` STRING OPTIONS (description = 'What told so.'),
  `redactions` INT64 OPTIONS (description = 'How many values were redacted before the event was stored.'),
  `plan_violation` STRING OPTIONS (description = 'What of it contradicts the tracking plan; empty when nothing does.'),
  `schema_version` INT64 OPTIONS (description = 'Version of this contract.'),
  `host` STRING OPTIONS (description = 'The page’s host, as url says it.'),
  `referrer_source` STRING OPTIONS (description = 'What sent the visitor, by name, or by its registrable domain.'),
  `channel` STRING OPTIONS (description = 'Which channel brought the visitor.'),
  `session_entry_path` STRING OPTIONS (description = 'The path on which the session began, on the rows from its first event on, where that is in the same segment.'),
  `is_entry` BOOL OPTIONS (description = 'Whether it is the event that began its session; null is unknown.')
)
WITH PARTITION COLUMNS (
  `site_id` STRING,
  `year` INT64,
  `month` INT64,
  `day` INT64,
  `hour` INT64
)
WITH CONNECTION `aws-your-region.sluice`
OPTIONS (
  description = 'Every accepted event, once.',
  format = 'PARQUET',
  hive_partition_uri_prefix = 's3://your-bucket/analytics/events',
  uris = ['s3://your-bucket/analytics/events/*']
);

-- Which user a visitor said to be: a set, use it with DISTINCT.
CREATE OR REPLACE EXTERNAL TABLE `sluice.identities` (
  `site_id` STRING OPTIONS (description = 'The site that the event came from.'),
  `visitor_id` STRING OPTIONS (description = 'Who they were.'),
  `user_id` STRING OPTIONS (description = 'Who they are.'),
  `event_type` STRING OPTIONS (description = 'The event that said so, as it was sent.'),
  `linked_at` TIMESTAMP OPTIONS (description = 'When it was received, by the server’s clock.'),
  `segment_id` INT64 OPTIONS (description = 'The segment that its event is in.')
)
WITH PARTITION COLUMNS (
  `year` INT64,
  `month` INT64,
  `day` INT64
)
WITH CONNECTION `aws-your-region.sluice`
OPTIONS (
  description = 'Which user a visitor said to be: a set, use it with DISTINCT.',
  format = 'PARQUET',
  hive_partition_uri_prefix = 's3://your-bucket/analytics/identities',
  uris = ['s3://your-bucket/analytics/identities/*']
);

-- Refused events, redacted, each with its reason.
CREATE OR REPLACE EXTERNAL TABLE `sluice.failed` (
  `dead_letter_id` STRING OPTIONS (description = 'Names the letter, as in GET /events/rejected; a UUIDv7 of the moment of arrival.'),
  `segment_id` INT64 OPTIONS (description = 'The segment that was open when it was refused.'),
  `arrived_at` TIMESTAMP OPTIONS (description = 'When the request arrived.'),
  `received_at` TIMESTAMP OPTIONS (description = 'When the refusal was made durable, by the server’s clock.'),
  `site_id` STRING OPTIONS (description = 'The site that the event names, known or not; the request’s where none was understood.'),
  `reason` STRING OPTIONS (description = 'Why it was refused, in a word.'),
  `field` STRING OPTIONS (description = 'The field that was at fault, when it was one.'),
  `message` STRING OPTIONS (description = 'What was expected instead.'),
  `event_type` STRING OPTIONS (description = 'As far as it could be read.'),
  `dialect` STRING OPTIONS (description = 'The protocol that it came in; Sluice’s own when absent.'),
  `request` STRING OPTIONS (description = 'POST /path or GET /path: the payload is that request’s body or query. Absent: the payload is an event in Sluice’s own words.'),
  `payload` STRING OPTIONS (description = 'What was sent: redacted, then cut to 8,192 bytes.'),
  `payload_bytes` INT64 OPTIONS (description = 'Its length as it was sent.'),
  `is_cut` BOOL OPTIONS (description = 'Whether its end is missing.'),
  `user_agent` STRING OPTIONS (description = 'The request’s header, redacted.'),
  `ip` STRING OPTIONS (description = 'The sender’s address, cut to /24 or /48 before it was stored.'),
  `version` STRING OPTIONS (description = 'The release of Sluice that refused it.')
)
WITH PARTITION COLUMNS (
  `year` INT64,
  `month` INT64,
  `day` INT64
)
WITH CONNECTION `aws-your-region.sluice`
OPTIONS (
  description = 'Refused events, redacted, each with its reason.',
  format = 'PARQUET',
  hive_partition_uri_prefix = 's3://your-bucket/analytics/failed',
  uris = ['s3://your-bucket/analytics/failed/*']
);

-- Sites, when they were first seen and what was decided of them: a row for each change.
CREATE OR REPLACE EXTERNAL TABLE `sluice.sites` (
  `site_id` STRING OPTIONS (description = 'The site.'),
  `changed_at` TIMESTAMP OPTIONS (description = 'When it became what this row says; the newest row of a site holds.'),
  `state` STRING OPTIONS (description = 'What becomes of its events: accepted, quarantined or refused.'),
  `first_seen_at` TIMESTAMP OPTIONS (description = 'When it was first named.'),
  `first_dialect` STRING OPTIONS (description = 'The protocol of its first event; management: it was named by hand before.'),
  `first_url` STRING OPTIONS (description = 'The origin of its first event’s page.'),
  `decided_at` TIMESTAMP OPTIONS (description = 'When somebody decided its state.'),
  `segment_id` INT64 OPTIONS (description = 'The segment that was open when it changed.')
)
WITH PARTITION COLUMNS (
  `year` INT64,
  `month` INT64,
  `day` INT64
)
WITH CONNECTION `aws-your-region.sluice`
OPTIONS (
  description = 'Sites, when they were first seen and what was decided of them: a row for each change.',
  format = 'PARQUET',
  hive_partition_uri_prefix = 's3://your-bucket/analytics/sites',
  uris = ['s3://your-bucket/analytics/sites/*']
);

-- Which recordings there are, of whom, and in which object of `replay/`.
CREATE OR REPLACE EXTERNAL TABLE `sluice.replay_index` (
  `site_id` STRING OPTIONS (description = 'The site that was recorded.'),
  `visitor_id` STRING OPTIONS (description = 'Whose recording it is.'),
  `user_id` STRING OPTIONS (description = 'The user that they said to be, if the recorder told.'),
  `session_id` STRING OPTIONS (description = 'Their session.'),
  `recording_id` STRING OPTIONS (description = 'One recorder’s work: its chunks are numbered from 0. A session has several, of several tabs for example.'),
  `segment_id` INT64 OPTIONS (description = 'The segment that its chunks are in.'),
  `first_sequence` INT64 OPTIONS (description = 'The first chunk in this object.'),
  `last_sequence` INT64 OPTIONS (description = 'The last one.'),
  `chunks` INT64 OPTIONS (description = 'How many, each a line.'),
  `gaps` STRING OPTIONS (description = 'Chunks between first and last that are not in this object: 3-4,7. Lost, or in another segment’s; empty for none.'),
  `started_at` TIMESTAMP OPTIONS (description = 'When its first event happened.'),
  `ended_at` TIMESTAMP OPTIONS (description = 'When its last one did.'),
  `events` INT64 OPTIONS (description = 'How many events of rrweb’s.'),
  `bytes` INT64 OPTIONS (description = 'Of its lines, unpacked.'),
  `key` STRING OPTIONS (description = 'The object that it stands in.'),
  `sha256` STRING OPTIONS (description = 'Of that object, in hexadecimal.')
)
WITH PARTITION COLUMNS (
  `year` INT64,
  `month` INT64,
  `day` INT64
)
WITH CONNECTION `aws-your-region.sluice`
OPTIONS (
  description = 'Which recordings there are, of whom, and in which object of replay/.',
  format = 'PARQUET',
  hive_partition_uri_prefix = 's3://your-bucket/analytics/replay_index',
  uris = ['s3://your-bucket/analytics/replay_index/*']
);
