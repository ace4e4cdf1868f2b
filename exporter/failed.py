"""`failed/`: what was refused in a segment and kept, each with its reason.

Letters are written by the transaction that counts them, under the fence, so a letter's segment is
the one that is delivered with its counts, and a sealed segment gets no more of them. What changes
afterwards stands beside what is delivered: a replay marks a letter, and may give it another
reason; the first one is what the ledger counted. Letters do go: the too many, of which those that
a bucket waits for are spared (database/retention.py), and the too old, whatever waits.
So the attempts of a delivery, and the two sinks, get the same bytes; where letters had to go in
between, the file is written anew with those that are left, and the manifest says how many.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from exporter.described import TIME, column
from exporter.segment_dataset import SegmentDataset

FAILED_SCHEMA: Final = pa.schema(
    [
        column(
            "dead_letter_id",
            pa.string(),
            "Names the letter, as in `GET /events/rejected`; a UUIDv7 of the moment of arrival.",
            never_null=True,
        ),
        column(
            "segment_id",
            pa.int64(),
            "The segment that was open when it was refused.",
            never_null=True,
        ),
        column("arrived_at", TIME, "When the request arrived.", never_null=True),
        column(
            "received_at",
            TIME,
            "When the refusal was made durable, by the server's clock.",
            never_null=True,
        ),
        column(
            "site_id",
            pa.string(),
            "The site that the event names, known or not; the request's where none was understood.",
            never_null=True,
        ),
        column("reason", pa.string(), "Why it was refused, in a word.", never_null=True),
        column("field", pa.string(), "The field that was at fault, when it was one."),
        column("message", pa.string(), "What was expected instead.", never_null=True),
        column("event_type", pa.string(), "As far as it could be read."),
        column("dialect", pa.string(), "The protocol that it came in; Sluice's own when absent."),
        column(
            "request",
            pa.string(),
            "`POST /path` or `GET /path`: the payload is that request's body or query. Absent: the "
            "payload is an event in Sluice's own words.",
        ),
        column(
            "payload", pa.string(), "What was sent: redacted, then cut to 8,192 bytes.",
            never_null=True,
        ),
        column("payload_bytes", pa.int32(), "Its length as it was sent.", never_null=True),
        column("is_cut", pa.bool_(), "Whether its end is missing.", never_null=True),
        column("user_agent", pa.string(), "The request's header, redacted."),
        column("ip", pa.string(), "The sender's address, cut to /24 or /48 before it was stored."),
        column("version", pa.string(), "The release of Sluice that refused it.", never_null=True),
    ]
)  # fmt: skip

FAILED: Final = SegmentDataset(
    name="failed",
    meaning="Refused events, redacted, each with its reason.",
    schema=FAILED_SCHEMA,
    select="""
SELECT dead_letter_id::text, segment_id, arrived_at, received_at, site_id,
  coalesce(first_reason, reason) AS reason,
  CASE WHEN first_reason IS NULL THEN field ELSE first_field END AS field,
  coalesce(first_message, message) AS message,
  nullif(event_type, '') AS event_type, nullif(dialect, '') AS dialect,
  nullif(request, '') AS request, payload, payload_bytes, is_cut, user_agent, ip,
  coalesce(first_version, version) AS version
FROM dead_letters WHERE segment_id = {segment_id} ORDER BY dead_letter_id
""",
)
