"""Write a segment's rows into files, one of each format for each partition, in bounded memory.

Rows gather by partition until there are enough for a row group. When too much is gathered, the
partition that has most is written if that makes a row group worth its name; of many partitions
none has much, and then all of it goes to a file, from where each comes back in the end. So a
segment of a thousand sites makes a thousand files, however its rows are mixed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from core.keys import DayKey, IdentitiesKey, ObjectKey, Partition, RecordingKey, UsageKey
from exporter.event_file import EventFile, count_rows, open_event_file
from exporter.layout import Layout, dataset_of
from exporter.partitions import split_batch
from exporter.spill import Spill

MAX_OPEN_FILES: Final = 200
MAX_BUFFERED_BYTES: Final = 64 << 20
MAX_FILE_ROWS: Final = 5_000_000  # what describes a file's row groups waits in memory for its end
_SMALLEST_ROW_GROUP: Final = 0.25  # of a usual one's rows, or of what may be buffered
_BATCH_OVERHEAD_BYTES: Final = 16_000  # of a batch's fifty columns, however few its rows


FileKey = ObjectKey | UsageKey | IdentitiesKey | DayKey | RecordingKey


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

    def __init__(
        self, partition: Partition, keys: list[ObjectKey], paths: list[Path], layout: Layout
    ) -> None:
        self.partition = partition
        self._paths = dict(zip(keys, paths, strict=True))
        self.rows = 0
        self.buffered_bytes = 0
        self.buffered_rows = 0
        self._buffered: list[pa.RecordBatch] = []
        self._layout = layout
        self._hours: Counter[datetime] | None = None if layout.keys_tell_hours else Counter()
        self._files: list[EventFile] = []

    @property
    def open_files(self) -> int:
        return len(self._files)

    def add(self, batch: pa.RecordBatch) -> None:
        self._buffered.append(batch)
        self.buffered_rows += batch.num_rows
        self.buffered_bytes += batch.nbytes + _BATCH_OVERHEAD_BYTES
        self.rows += batch.num_rows
        if self._hours is not None:
            self._hours.update(hours_of(batch))

    def take(self) -> list[pa.RecordBatch]:
        """What has gathered, which is not here any more."""
        taken, self._buffered = self._buffered, []
        self.buffered_rows = self.buffered_bytes = 0
        return taken

    def write(self, batches: list[pa.RecordBatch], spill: Spill) -> None:
        """Write what is spilled, and some batches behind it, in row groups."""
        gathered: list[pa.RecordBatch] = []
        for piece in chain(spill.take(self.partition), batches):
            if (
                sum(one.num_rows for one in gathered) >= self._layout.row_group_rows
                or sum(one.nbytes for one in gathered) >= MAX_BUFFERED_BYTES
            ):
                self._write_row_group(gathered)
                gathered = []
            gathered.append(piece)
        self._write_row_group(gathered)

    def _write_row_group(self, batches: list[pa.RecordBatch]) -> None:
        """In each format."""
        if not batches:
            return
        # The cast moves nothing: it gives the columns their meanings, and the file its version.
        rows = pa.Table.from_batches(batches).cast(self._layout.schema)
        if not self._files:
            self._files = [
                open_event_file(form, path, rows, self._layout)
                for form, path in zip(self._layout.formats, self._paths.values(), strict=True)
            ]
        for file in self._files:
            file.write(rows)

    def close(self, spill: Spill) -> list[EncodedFile]:
        self.write(self.take(), spill)
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
    names = layout.schema.names
    with Spill.below(folder) as spill, ThreadPoolExecutor(1, "row groups") as writer:
        partitions = _Partitions(segment_id, folder, layout, spill, writer)
        for batch in batches:
            for partition, rows in split_batch(batch, layout):
                partitions.add(partition, rows.select(names))
                del rows
            del batch  # nothing of it is held while the next is made
            partitions.make_room()
        return partitions.close()


class _Partitions:
    """All that are open, the one last written last.

    One row group at a time is written by another thread, while the next gathers.
    """

    def __init__(
        self,
        segment_id: int,
        folder: Path,
        layout: Layout,
        spill: Spill,
        writer: ThreadPoolExecutor,
    ) -> None:
        self._segment_id = segment_id
        self._folder = folder
        self._layout = layout
        self._spill = spill
        self._writer = writer
        self._writing: Future[None] | None = None
        self._open: dict[Partition, _OpenPartition] = {}
        self._number = 0
        self._begun: Counter[Partition] = Counter()
        self._finished: list[EncodedFile] = []
        self._buffered_bytes = 0

    def add(self, partition: Partition, rows: pa.RecordBatch) -> None:
        opened = self._open.pop(partition, None) or self._begin(partition)
        self._open[partition] = opened
        before = opened.buffered_bytes
        opened.add(rows)
        self._buffered_bytes += opened.buffered_bytes - before
        if opened.buffered_rows >= self._layout.row_group_rows:
            self._flush(opened)

    def make_room(self) -> None:
        """Write, spill and close until what is gathered, and what is open, is within bounds."""
        enough_rows = self._layout.row_group_rows * _SMALLEST_ROW_GROUP
        enough_bytes = MAX_BUFFERED_BYTES * _SMALLEST_ROW_GROUP
        while self._buffered_bytes > MAX_BUFFERED_BYTES:
            largest = max(self._open.values(), key=lambda opened: opened.buffered_bytes)
            if largest.buffered_rows >= enough_rows or largest.buffered_bytes >= enough_bytes:
                self._flush(largest)
            else:
                self._spill_all()
        files = sum(opened.open_files for opened in self._open.values())
        if files + len(self._layout.formats) > MAX_OPEN_FILES:  # one may be opening its own
            self._settle()
            for partition in _beyond_limit(self._open):
                self._close(partition)

    def close(self) -> list[EncodedFile]:
        """End every file."""
        for partition in list(self._open):
            self._close(partition)
        return self._finished

    def _begin(self, partition: Partition) -> _OpenPartition:
        number, part = self._number, self._begun[partition]
        self._number += 1
        self._begun[partition] += 1
        keys = [
            ObjectKey(
                dataset_of(form),
                partition,
                self._segment_id,
                part,
                self._layout.file_format(form),
                self._layout.template,
            )
            for form in self._layout.formats
        ]
        paths = [self._folder / f"{number:06d}.{key.format}" for key in keys]
        return _OpenPartition(partition, keys, paths, self._layout)

    def _flush(self, opened: _OpenPartition) -> None:
        self._buffered_bytes -= opened.buffered_bytes
        batches = opened.take()
        self._settle()
        self._writing = self._writer.submit(opened.write, batches, self._spill)
        if opened.rows >= MAX_FILE_ROWS:
            self._close(opened.partition)

    def _settle(self) -> None:
        """Wait for what is being written; raises what went wrong with it."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _spill_all(self) -> None:
        self._settle()
        for partition, opened in self._open.items():
            if opened.buffered_rows:
                self._spill.write(partition, pa.concat_batches(opened.take()))
        self._buffered_bytes = 0

    def _close(self, partition: Partition) -> None:
        self._settle()
        opened = self._open.pop(partition)
        self._buffered_bytes -= opened.buffered_bytes
        self._finished += opened.close(self._spill)


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
