"""`sites/`: every site that was new or decided in a segment, as it was then.

A log, not a snapshot: rows are written by the transaction that changes a site, which has the
fence, and never changed, so each sink gets the same however late it is. The newest row of a site
says what it is now.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from exporter.described import TIME, column
from exporter.segment_dataset import SegmentDataset

SITES_SCHEMA: Final = pa.schema(
    [
        column("site_id", pa.string(), "The site.", never_null=True),
        column(
            "changed_at",
            TIME,
            "When it became what this row says; the newest row of a site holds.",
            never_null=True,
        ),
        column(
            "state",
            pa.string(),
            "What becomes of its events: accepted, quarantined or refused.",
            never_null=True,
        ),
        column("first_seen_at", TIME, "When it was first named.", never_null=True),
        column(
            "first_dialect",
            pa.string(),
            "The protocol of its first event; management: it was named by hand before.",
            never_null=True,
        ),
        column("first_url", pa.string(), "The origin of its first event's page."),
        column("decided_at", TIME, "When somebody decided its state."),
        column(
            "segment_id", pa.int64(), "The segment that was open when it changed.", never_null=True
        ),
    ]
)

SITES: Final = SegmentDataset(
    name="sites",
    meaning="Sites, when they were first seen and what was decided of them: a row for each change.",
    schema=SITES_SCHEMA,
    select="""
SELECT site_id, changed_at, state, first_seen_at, first_dialect, first_url, decided_at, segment_id
FROM site_changes WHERE segment_id = {segment_id} ORDER BY changed_at, site_id
""",
)
