"""Remove from a bucket what no manifest will ever list: orphans, and uploads never finished.

Only this exporter writes below its prefix (the prefix is claimed, and an advisory lock holds
others off), so an upload that was begun before it started is nobody's.
"""

from __future__ import annotations

import logging
from datetime import datetime

from sqlalchemy import Connection

from database.planned_objects import forget_orphan, list_orphans, note_orphan_error
from exporter.sinks.open import Sink
from exporter.sinks.sink import SinkRefused

log = logging.getLogger("sluice.exporter")


def sweep_orphans(connection: Connection, sink: Sink) -> int:
    """Remove the objects of attempts that another attempt's manifest does not list.

    Safe to run twice. Returns how many; where the bucket refuses, that is noted and told.
    Raises SinkUnavailable, with those before it removed.
    """
    removed = 0
    orphans = list_orphans(connection, sink.name)
    connection.rollback()
    for segment_id, key in orphans:
        try:
            sink.bucket.delete(key)
        except SinkRefused as exc:
            note_orphan_error(connection, segment_id, sink.name, key, str(exc))
            log.warning("an orphan may not be removed", extra={"sink": sink.name, "key": key})
        else:
            forget_orphan(connection, segment_id, sink.name, key)
            removed += 1
    if removed:
        log.info("orphans removed", extra={"sink": sink.name, "objects": removed})
    return removed


def abort_uploads(sink: Sink, *, before: datetime) -> None:
    """Give up unfinished uploads; where the bucket refuses, that is only logged."""
    try:
        aborted = sink.bucket.abort_uploads(f"{sink.prefix}/", before=before)
    except SinkRefused as exc:
        log.info("uploads may not be listed", extra={"sink": sink.name, "error": str(exc)})
    else:
        if aborted:
            log.info("uploads given up", extra={"sink": sink.name, "uploads": aborted})
