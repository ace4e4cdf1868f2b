"""Deliver a window once more, in a format of choice, into a set of objects of its own.

The set stands below `{prefix}/backfills/{id}/`, laid out as the live one is, with manifests and a
watermark of its own: nothing of it is in the live set's folders, and nothing of it is billed.
`sluice pull --prefix {prefix}/backfills/{id}` reads it.

The set is claimed as a prefix is. Then for each segment, in order, with what a crash after each
step leaves behind:

1. look for the segment's manifest in the set: if it is there, what it lists is verified
2. encode the rows of the window, hold them against the ledger or the backup's manifest (left:
   files that the next start removes)
3. upload and read back (left: objects without a manifest, which the next attempt overwrites)
4. put the manifest on condition that there is none, then the watermark (left: case 1)
5. tell the database how far it has come (left: case 1, which tells it)
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from msgspec import Struct
from sqlalchemy import Connection

from core.event import SCHEMA_VERSION
from core.keys import manifest_key, parse_object_key, watermark_key
from core.manifest import Counts, Manifest, Owner, Watermark, Window, decode_manifest, encode_json
from core.version import VERSION
from database.backfills import (
    Backfill,
    begin_backfill,
    finish_backfill,
    is_wanted,
    note_segment,
)
from database.deliveries import read_stack_id
from exporter.backfill_source import Hours, NoSource, open_source, segments_within
from exporter.delivery import check_conservation, claim_prefix
from exporter.encode import encode_events
from exporter.layout import FORMATS, dataset_of
from exporter.objects import put_verified, verify_object
from exporter.promote import promote_columns
from exporter.settings import ExporterSettings
from exporter.sinks.layout import layout_of
from exporter.sinks.open import Sink
from exporter.staging import stage

log = logging.getLogger("sluice.exporter")

_SUMMARY: Final = "_sluice/backfill.json"


class BackfillSummary(Struct, frozen=True, kw_only=True):
    """Put last: the set is complete."""

    backfill_id: str
    client_id: str
    from_at: datetime
    to_at: datetime
    format: str
    segments: int
    rows: int
    bytes: int
    written_by: str


def carry_out(
    connection: Connection,
    backfill: Backfill,
    *,
    sink: Sink,
    metering: Sink,
    settings: ExporterSettings,
    staging: Path | None,
    is_stopping: Callable[[], bool],
) -> None:
    """Go on with a backfill until it is complete, cancelled, or the process is to stop.

    Raises NoSource and whatever the buckets raise, with the segments before that in the set.
    """
    hours = Hours(backfill.from_at, backfill.to_at)
    datasets = frozenset({dataset_of(form) for form in FORMATS if form == backfill.format})
    target = Sink(sink.name, sink.bucket, set_prefix(sink, backfill), datasets)
    segments = segments_within(metering, hours)
    if not segments:
        raise NoSource("Nothing was delivered that was received in this window.")
    claim_prefix(target, Owner(read_stack_id(connection), settings.client_id))
    connection.rollback()
    begin_backfill(connection, backfill.backfill_id, prefix=target.prefix, segments=len(segments))
    previous: str | None = None
    is_first = True
    for segment_id in segments:
        key = manifest_key(target.prefix, segment_id)
        if segment_id > backfill.done_through:
            wanted = is_wanted(connection, backfill.backfill_id)
            connection.rollback()
            if is_stopping() or not wanted:
                return
            manifest = _deliver(
                connection, segment_id, hours, previous,
                target=target, metering=metering, settings=settings, staging=staging,
                may_have_leftovers=is_first,
            )  # fmt: skip
            is_first = False
            note_segment(
                connection,
                backfill.backfill_id,
                segment_id,
                rows=manifest.counts.exported,
                size=sum(listed.bytes for listed in manifest.objects),
                objects=len(manifest.objects),
            )
        previous = key
    _summarise(backfill, segments, target, settings)
    finish_backfill(connection, backfill.backfill_id)
    log.info("backfill completed", extra={"backfill_id": str(backfill.backfill_id)})


def set_prefix(sink: Sink, backfill: Backfill) -> str:
    """Where a backfill's objects stand; raises NoSource when it was begun below another prefix."""
    prefix = f"{sink.prefix}/backfills/{backfill.backfill_id}"
    if backfill.prefix not in (None, prefix):
        raise NoSource(
            f"It was begun below {backfill.prefix}, and the prefix was changed since: ask anew."
        )
    return prefix


def _deliver(
    connection: Connection,
    segment_id: int,
    hours: Hours,
    previous: str | None,
    *,
    target: Sink,
    metering: Sink,
    settings: ExporterSettings,
    staging: Path | None,
    may_have_leftovers: bool,
) -> Manifest:
    key = manifest_key(target.prefix, segment_id)
    standing = target.bucket.get(key)
    if standing is not None:
        manifest = decode_manifest(standing)
        for listed in manifest.objects:
            verify_object(target, listed)
    else:
        layout = layout_of(target, settings)
        with stage("sluice-backfill-", staging) as name:
            folder = Path(name)
            with open_source(
                connection, segment_id, hours,
                metering=metering, database_url=settings.database_url, folder=folder,
            ) as source:  # fmt: skip
                files = encode_events(
                    promote_columns(source.batches, layout.promotions, Counter()),
                    segment_id=segment_id,
                    folder=folder,
                    layout=layout,
                )
            check_conservation(source.due, files, formats=layout.formats)
            if may_have_leftovers:  # only what was under way when the last attempt ended
                keys = {file.key.under(target.prefix) for file in files}
                _remove_leftovers(target, segment_id, keys)
            objects = [put_verified(target, file) for file in files]
        rows = sum(file.rows for file in files)
        window = _window_of(metering, segment_id)
        manifest = Manifest(
            client_id=settings.client_id,
            sink=target.name,
            segment_id=segment_id,
            window=window,
            counts=Counts(
                received=rows, accepted=rows, rejected=0, duplicates=0, exported=rows,
                rejected_by_reason={},
            ),
            objects=objects,
            schema_version=SCHEMA_VERSION,
            previous=previous,
            partitioned_by=layout.cut_by,
            written_by=f"sluice exporter {VERSION}",
        )  # fmt: skip
        if not target.bucket.put_if_absent(key, encode_json(manifest)):
            # Our own, whose answer was lost: nobody else writes into this set.
            manifest = decode_manifest(target.bucket.get(key) or b"")
    target.bucket.put(
        watermark_key(target.prefix),
        encode_json(Watermark(manifest.window.sealed_at, segment_id, key)),
    )
    return manifest


def _remove_leftovers(target: Sink, segment_id: int, keys: set[str]) -> None:
    """Remove what an attempt with other settings put, and no manifest lists.

    Raises SinkRefused where that is denied: readers by folder would count it twice.
    """
    for dataset in target.datasets:
        for key in target.bucket.list_keys(f"{target.prefix}/{dataset}/"):
            parsed = parse_object_key(key)
            if parsed is not None and parsed.segment_id == segment_id and key not in keys:
                target.bucket.delete(key)


def _window_of(metering: Sink, segment_id: int) -> Window:
    """When the segment took in events."""
    body = metering.bucket.get(manifest_key(metering.prefix, segment_id))
    return decode_manifest(body or b"").window


def _summarise(
    backfill: Backfill, segments: list[int], target: Sink, settings: ExporterSettings
) -> None:
    rows = size = 0
    for number in segments:
        manifest = decode_manifest(target.bucket.get(manifest_key(target.prefix, number)) or b"")
        rows += manifest.counts.exported
        size += sum(listed.bytes for listed in manifest.objects)
    summary = BackfillSummary(
        backfill_id=str(backfill.backfill_id),
        client_id=settings.client_id,
        from_at=backfill.from_at,
        to_at=backfill.to_at,
        format=backfill.format,
        segments=len(segments),
        rows=rows,
        bytes=size,
        written_by=f"sluice exporter {VERSION}",
    )
    target.bucket.put(f"{target.prefix}/{_SUMMARY}", encode_json(summary))
