"""Write a segment's rows into files, one of each format for each partition, in bounded memory."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from core.keys import DayKey, IdentitiesKey, ObjectKey, Partition, UsageKey
from exporter.event_file import EventFile, count_rows, open_event_file
from exporter.layout import Layout, dataset_of
from exporter.partitions import split_batch

MAX_PARTITIONS: Final = 1_000
MAX_OPEN_FILES: Final = 200
MAX_BUFFERED_BYTES: Final = 64 << 20
_BATCH_OVERHEAD_BYTES: Final = 16_000  # of a batch's fifty columns, however few its rows


FileKey = ObjectKey | UsageKey | IdentitiesKey | DayKey


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """A finished file that waits to be uploaded."""

    key: FileKey
    path: Path
    rows: int
    bytes: int
    sha256: str
    hours: Mapping[datetime, int] | None = None
    """Rows by the hour that they were received in, where the key does not tell it."""


class _OpenPartition:
    """A partition's files while they are written: batches gather, and go into each format at once.

    The files are opened by the first that go, so that a site with few rows costs none meanwhile.
    """

    def __init__(self, keys: list[ObjectKey], folder: Path, number: int, layout: Layout) -> None:
        self._paths = {key: folder / f"{number:06d}.{key.format}" for key in keys}
        self.rows = 0
        self.buffered_bytes = 0
        self._buffered: list[pa.RecordBatch] = []
        self._buffered_rows = 0
        self._layout = layout
        self._hours: Counter[datetime] | None = None if layout.keys_tell_hours else Counter()
        self._files: list[EventFile] = []

    @property
    def open_files(self) -> int:
        return len(self._files)

    def write(self, batch: pa.RecordBatch) -> None:
        self._buffered.append(batch)
        self._buffered_rows += batch.num_rows
        self.buffered_bytes += batch.nbytes + _BATCH_OVERHEAD_BYTES
        self.rows += batch.num_rows
        if self._hours is not None:
            self._hours.update(hours_of(batch))
        if self._buffered_rows >= self._layout.row_group_rows:
            self.flush()

    def flush(self) -> None:
        if self._buffered:
            # The cast moves nothing: it gives the columns their meanings, and the file its version.
            rows = pa.Table.from_batches(self._buffered).cast(self._layout.schema)
            if not self._files:
                self._files = [
                    open_event_file(form, path, rows, self._layout)
                    for form, path in zip(self._layout.formats, self._paths.values(), strict=True)
                ]
            for file in self._files:
                file.write(rows)
        self._buffered, self._buffered_rows, self.buffered_bytes = [], 0, 0

    def close(self) -> list[EncodedFile]:
        self.flush()
        for file in self._files:
            file.close()
        return [
            replace(finish_file(key, path, self.rows), hours=self._hours)
            for key, path in self._paths.items()
        ]


def hours_of(batch: pa.RecordBatch) -> dict[datetime, int]:
    """How many rows were received in each hour."""
    hours = pc.floor_temporal(batch.column("received_at"), unit="hour")
    return {
        counted["values"].astimezone(UTC): counted["counts"]
        for counted in pc.value_counts(hours).to_pylist()
    }


def finish_file(key: FileKey, path: Path, rows: int) -> EncodedFile:
    """Digest a closed file; raises ValueError when a reader counts other rows than were written."""
    found = count_rows(path, key.format)
    if found != rows:
        raise ValueError(f"{path.name} counts {found} rows, {rows} were written")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    return EncodedFile(key, path, rows, path.stat().st_size, digest.hexdigest())


def encode_events(
    batches: Iterable[pa.RecordBatch], *, segment_id: int, folder: Path, layout: Layout
) -> list[EncodedFile]:
    """Write every batch in every format, in one pass; the same batches give the same files.

    Memory stays flat: buffered rows and open files are bounded, and a partition whose files were
    closed early goes on in another part.
    """
    open_partitions: dict[Partition, _OpenPartition] = {}
    finished: list[EncodedFile] = []
    parts: dict[Partition, int] = {}
    numbers = 0
    names = layout.schema.names
    for batch in batches:
        for partition, rows in split_batch(batch, layout):
            opened = open_partitions.pop(partition, None)
            if opened is None:
                if len(open_partitions) >= MAX_PARTITIONS:
                    oldest = next(iter(open_partitions))
                    finished += open_partitions.pop(oldest).close()
                part = parts[partition] = parts.get(partition, -1) + 1
                keys = [
                    ObjectKey(
                        dataset_of(form),
                        partition,
                        segment_id,
                        part,
                        layout.file_format(form),
                        layout.template,
                    )
                    for form in layout.formats
                ]
                opened = _OpenPartition(keys, folder, numbers, layout)
                numbers += 1
            open_partitions[partition] = opened  # the last in the dict is the last written
            opened.write(rows.select(names))
        while sum(p.buffered_bytes for p in open_partitions.values()) > MAX_BUFFERED_BYTES:
            max(open_partitions.values(), key=lambda p: p.buffered_bytes).flush()
        for partition in _beyond_limit(open_partitions):
            finished += open_partitions.pop(partition).close()
    for opened in open_partitions.values():
        finished += opened.close()
    return finished


def _beyond_limit(open_partitions: dict[Partition, _OpenPartition]) -> list[Partition]:
    """Partitions whose files are open beyond the limit, those longest not written first."""
    opened = {key: p.open_files for key, p in open_partitions.items() if p.open_files}
    too_many = sum(opened.values()) - MAX_OPEN_FILES
    beyond: list[Partition] = []
    for partition, files in opened.items():
        if too_many <= 0:
            break
        beyond.append(partition)
        too_many -= files
    return beyond
