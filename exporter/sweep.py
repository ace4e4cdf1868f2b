"""Remove from a bucket what no manifest will ever list: orphans, and uploads never finished.

Only below a prefix that is ours: then only this exporter writes there (an advisory lock holds
others off), and an upload that was begun before it started is nobody's. A noted key is removed
only if its segment's manifest stands below the same prefix, and does not list it; what was noted
below another prefix, before the settings changed, may be committed there and is left alone.
"""

from __future__ import annotations

import logging
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from core.keys import manifest_key, owner_key
from core.manifest import Owner, decode_manifest, encode_json
from database.planned_objects import forget_orphan, list_orphans, note_orphan_error
from exporter.sinks.open import Sink
from exporter.sinks.sink import SinkError, SinkRefused

log = logging.getLogger("sluice.exporter")


def is_ours(sink: Sink, owner: Owner) -> bool:
    """Whether the prefix is claimed, and by this stack."""
    return sink.bucket.get(owner_key(sink.prefix)) == encode_json(owner)


def sweep_orphans(connection: Connection, sink: Sink) -> int:
    """Remove the objects of attempts that another attempt's manifest does not list.

    Safe to run twice. Returns how many; what a bucket refuses is noted and told, and not tried
    again before the next start. Raises SinkUnavailable when a manifest cannot be read.
    """
    removed = 0
    orphans = list_orphans(connection, sink.name)
    connection.rollback()
    committed: dict[int, frozenset[str] | None] = {}
    unreadable: set[int] = set()
    for segment_id, key in orphans:
        if segment_id not in committed:
            try:
                committed[segment_id] = _committed_keys(sink, segment_id)
            except msgspec.MsgspecError as exc:
                # What it lists may be told again by a copy that somebody puts there.
                committed[segment_id] = None
                unreadable.add(segment_id)
                facts = {"sink": sink.name, "segment_id": segment_id, "error": str(exc)}
                log.warning("a manifest cannot be read: its orphans are left alone", extra=facts)
        if segment_id in unreadable:
            problem = f"{manifest_key(sink.prefix, segment_id)} cannot be read"
            note_orphan_error(connection, segment_id, sink.name, key, problem)
            continue
        listed = committed[segment_id]
        if listed is None or key in listed or not key.startswith(f"{sink.prefix}/"):
            forget_orphan(connection, segment_id, sink.name, key)
            log.info("no orphan after all", extra={"sink": sink.name, "key": key})
            continue
        try:
            sink.bucket.delete(key)
        except SinkError as exc:
            if isinstance(exc, SinkRefused):
                note_orphan_error(connection, segment_id, sink.name, key, str(exc))
            facts = {"sink": sink.name, "key": key, "error": str(exc)}
            log.warning("an orphan could not be removed", extra=facts)
        else:
            forget_orphan(connection, segment_id, sink.name, key)
            removed += 1
    if removed:
        log.info("orphans removed", extra={"sink": sink.name, "objects": removed})
    return removed


def _committed_keys(sink: Sink, segment_id: int) -> frozenset[str] | None:
    """What the segment's manifest lists; None where there is none. Raises msgspec.MsgspecError."""
    body = sink.bucket.get(manifest_key(sink.prefix, segment_id))
    if body is None:
        return None
    return frozenset(listed.key for listed in decode_manifest(body).objects)


def abort_uploads(sink: Sink, *, before: datetime) -> None:
    """Give up unfinished uploads; where the bucket fails at that, it is only logged."""
    try:
        aborted = sink.bucket.abort_uploads(f"{sink.prefix}/", before=before)
    except SinkError as exc:
        log.info("uploads may not be listed", extra={"sink": sink.name, "error": str(exc)})
    else:
        if aborted:
            log.info("uploads given up", extra={"sink": sink.name, "uploads": aborted})
