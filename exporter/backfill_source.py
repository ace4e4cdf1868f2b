"""Where the rows of a window come from once more: the buffer, or the backup in the vendor's bucket.

Both hold each event once: the buffer with the rows marked that are duplicates, the backup without
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection

from core.keys import ObjectKey, parse_object_key
from core.manifest import DeliveredObject, Manifest
from database.deliveries import HourCount, read_duplicate_rows, read_segment_ledger
from database.segments import is_in_buffer
from exporter.arrow_schema import ROW_SCHEMA
from exporter.dedup import mark_rows
from exporter.derive import derive_columns
from exporter.encode import hours_of
from exporter.reading.download import fetch
from exporter.reading.manifests import (
    check_link,
    find_segment,
    list_segments,
    read_manifest,
    read_watermark,
)
from exporter.reading.problems import BucketDamaged
from exporter.session_entries import mark_entries
from exporter.sinks.open import Sink
from exporter.stream import stream_rows


class NoSource(Exception):
    """Neither the buffer nor a backup has the rows any more."""


@dataclass(frozen=True, slots=True)
class Hours:
    """A window of whole hours, half open."""

    from_at: datetime
    to_at: datetime

    def contains(self, hour: datetime) -> bool:
        """Whether an hour that begins then is one of them."""
        return self.from_at <= hour < self.to_at


@dataclass(frozen=True, slots=True)
class Source:
    """A segment's rows within a window, and what they have to add up to."""

    batches: Iterator[pa.RecordBatch]
    due: list[HourCount]
    """Complete when every batch was taken."""


def segments_within(metering: Sink, hours: Hours) -> list[int]:
    """Segments that may hold what was received within a window, in order, by their manifests."""
    bucket, prefix = metering.bucket, metering.prefix
    watermark = read_watermark(bucket, prefix)
    if watermark is None:
        return []
    newest = watermark.segment_id
    first = find_segment(bucket, prefix, moment=hours.from_at, newest=newest)
    beyond = find_segment(bucket, prefix, moment=hours.to_at, newest=newest)
    if first is None:
        return []
    # The one that is still open at the end of the window belongs to it.
    segments = [
        number
        for number in list_segments(bucket, prefix, after=first - 1)
        if number <= (newest if beyond is None else beyond)
    ]
    _check_complete(metering, segments, hours)
    return segments


def _check_complete(metering: Sink, segments: list[int], hours: Hours) -> None:
    """Raise BucketDamaged for a manifest that is missing, NoSource where they do not go so far."""
    before: int | None = None
    for position, number in enumerate(segments):
        manifest = read_manifest(metering.bucket, metering.prefix, number)
        if position:
            check_link(manifest, before)
        elif manifest.previous is not None and manifest.window.opened_at > hours.from_at:
            raise NoSource(
                f"The vendor's bucket knows nothing below {metering.prefix} from before"
                f" {manifest.window.opened_at:%Y-%m-%d %H:%M} UTC: what was delivered earlier"
                " stands below another prefix, or is gone."
            )
        before = number
    if manifest.window.sealed_at < hours.to_at:
        raise NoSource(
            "The vendor's bucket knows nothing from after"
            f" {manifest.window.sealed_at:%Y-%m-%d %H:%M} UTC: a manifest is missing, or its prefix"
            " was changed."
        )


@contextmanager
def open_source(
    connection: Connection,
    segment_id: int,
    hours: Hours,
    *,
    metering: Sink,
    database_url: str,
    folder: Path,
) -> Iterator[Source]:
    """A segment's rows; raises NoSource, BucketDamaged or SinkError."""
    is_buffered = is_in_buffer(connection, segment_id)
    ledger = read_segment_ledger(connection, segment_id) if is_buffered else []
    is_duplicate = mark_rows(read_duplicate_rows(connection, segment_id) if is_buffered else [])
    connection.rollback()
    if is_buffered:
        with stream_rows(database_url, segment_id, is_duplicate) as batches:
            kept = mark_entries(map(derive_columns, batches))
            due = [count for count in ledger if hours.contains(count.hour)]
            yield Source((_within(batch, hours) for batch in kept), due)
        return
    manifest = read_manifest(metering.bucket, metering.prefix, segment_id)
    due = []
    yield Source(_read_backup(metering, _backed_up(manifest), hours, folder, due), due)


def _within(batch: pa.RecordBatch, hours: Hours) -> pa.RecordBatch:
    received = batch.column("received_at")
    return batch.filter(
        pc.and_(
            pc.greater_equal(received, pa.scalar(hours.from_at, received.type)),
            pc.less(received, pa.scalar(hours.to_at, received.type)),
        )
    )


def _backed_up(manifest: Manifest) -> list[tuple[ObjectKey, DeliveredObject]]:
    listed = [o for o in manifest.objects if o.dataset == "events" and o.format == "parquet"]
    if not listed and manifest.counts.exported:
        raise NoSource(
            f"Segment {manifest.segment_id} is not in the buffer any more, and the vendor's bucket"
            " has no backup of it: METERING_MODE was usage when it was delivered."
        )
    keyed = [(_parse(o), o) for o in listed]
    return sorted(keyed, key=lambda pair: (pair[0].partition, pair[0].part))


def _parse(listed: DeliveredObject) -> ObjectKey:
    key = parse_object_key(listed.key)
    if key is None:
        raise BucketDamaged(f"A manifest names {listed.key!r}: no key of an event's file.")
    return key


def _read_backup(
    metering: Sink,
    objects: list[tuple[ObjectKey, DeliveredObject]],
    hours: Hours,
    folder: Path,
    due: list[HourCount],
) -> Iterator[pa.RecordBatch]:
    """One file at a time, verified before its first row is used; counts in `due` what it holds.

    Rows are chosen by their own time of receipt: what a key says of it depends on the template
    and on the time that cut the partitions when it was delivered.
    """
    path = folder / "backup.parquet"
    for key, listed in objects:
        fetch(metering.bucket, listed, path, partial_folder=folder)
        rows = 0
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                rows += batch.num_rows
                wanted = _within(batch, hours)
                due += [
                    HourCount(key.partition.site_id, hour, "", "accepted", events, 0)
                    for hour, events in hours_of(wanted).items()
                ]
                yield _whole_row(wanted, key.partition.site_id)
        if rows != listed.rows:
            raise BucketDamaged(
                f"{listed.key} holds {rows} rows, and its manifest says {listed.rows}."
            )
        path.unlink()


def _whole_row(batch: pa.RecordBatch, site_id: str) -> pa.RecordBatch:
    """With the column that stands in the key, and nulls for those that the file is older than."""
    columns = []
    for field in ROW_SCHEMA:
        if field.name == "site_id":
            column = pa.repeat(pa.scalar(site_id, field.type), batch.num_rows)
        elif field.name in batch.schema.names:
            column = batch.column(field.name).cast(field.type)
        else:
            column = pa.nulls(batch.num_rows, field.type)
        columns.append(column)
    return pa.record_batch(columns, schema=ROW_SCHEMA)
