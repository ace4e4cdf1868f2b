"""Write a segment's rows into Parquet files, one for each site's hour, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from core.keys import IdentitiesKey, ObjectKey, Partition, UsageKey
from exporter.arrow_schema import FILE_SCHEMA
from exporter.partitions import split_batch

MAX_PARTITIONS: Final = 1_000
MAX_OPEN_FILES: Final = 200
MAX_BUFFERED_BYTES: Final = 128 << 20
_BATCH_OVERHEAD_BYTES: Final = 16_000  # of a batch's fifty columns, however few its rows
# Ids hardly repeat within a row group: a dictionary of them would only be tried and given up.
_NO_DICTIONARY: Final = frozenset({"event_id", "received_at", "occurred_at", "device_occurred_at"})
_DICTIONARY: Final = [name for name in FILE_SCHEMA.names if name not in _NO_DICTIONARY]


FileKey = ObjectKey | UsageKey | IdentitiesKey


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """A finished file that waits to be uploaded."""

    key: FileKey
    path: Path
    rows: int
    bytes: int
    sha256: str


class _OpenFile:
    """One partition's file while it is written: batches gather into row groups.

    The file is opened by the first of them, so that a site with few rows costs none meanwhile.
    """

    def __init__(self, key: ObjectKey, path: Path, row_group_rows: int) -> None:
        self.key, self.path = key, path
        self.rows = 0
        self.buffered_bytes = 0
        self._buffered: list[pa.RecordBatch] = []
        self._buffered_rows = 0
        self._row_group_rows = row_group_rows
        self._writer: pq.ParquetWriter | None = None

    @property
    def is_open(self) -> bool:
        return self._writer is not None

    def write(self, batch: pa.RecordBatch) -> None:
        self._buffered.append(batch)
        self._buffered_rows += batch.num_rows
        self.buffered_bytes += batch.nbytes + _BATCH_OVERHEAD_BYTES
        self.rows += batch.num_rows
        if self._buffered_rows >= self._row_group_rows:
            self.flush()

    def flush(self) -> None:
        if self._buffered:
            if self._writer is None:
                self._writer = open_parquet(self.path, FILE_SCHEMA, dictionary=_DICTIONARY)
            self._writer.write_table(
                pa.Table.from_batches(self._buffered), row_group_size=self._buffered_rows
            )
        self._buffered, self._buffered_rows, self.buffered_bytes = [], 0, 0

    def close(self) -> EncodedFile:
        self.flush()
        assert self._writer is not None  # it was made for a batch
        self._writer.close()
        return finish_file(self.key, self.path, self.rows)


def open_parquet(
    path: Path, schema: pa.Schema, *, dictionary: list[str] | bool = True
) -> pq.ParquetWriter:
    """A writer with the settings that every file of ours has."""
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=dictionary,
        write_statistics=True,
        write_page_index=True,
        version="2.6",
    )


def finish_file(key: FileKey, path: Path, rows: int) -> EncodedFile:
    """Digest a closed file; raises ValueError when its footer does not count the rows written."""
    footer_rows = pq.read_metadata(path).num_rows
    if footer_rows != rows:
        raise ValueError(f"{path.name} counts {footer_rows} rows, {rows} were written")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    return EncodedFile(key, path, rows, path.stat().st_size, digest.hexdigest())


def encode_events(
    batches: Iterable[pa.RecordBatch], *, segment_id: int, folder: Path, row_group_rows: int
) -> list[EncodedFile]:
    """Write every batch; the same batches give the same files.

    Memory stays flat: buffered rows and open files are bounded, and a partition whose file was
    closed early goes on in another part.
    """
    open_files: dict[Partition, _OpenFile] = {}
    finished: list[EncodedFile] = []
    parts: dict[Partition, int] = {}
    for batch in batches:
        for partition, rows in split_batch(batch):
            file = open_files.pop(partition, None)
            if file is None:
                if len(open_files) >= MAX_PARTITIONS:
                    oldest = next(iter(open_files))
                    finished.append(open_files.pop(oldest).close())
                part = parts[partition] = parts.get(partition, -1) + 1
                key = ObjectKey("events", partition, segment_id, part, "parquet")
                path = folder / f"{len(finished) + len(open_files):06d}.parquet"
                file = _OpenFile(key, path, row_group_rows)
            open_files[partition] = file  # the last in the dict is the last written
            file.write(rows.select(FILE_SCHEMA.names))
        while sum(f.buffered_bytes for f in open_files.values()) > MAX_BUFFERED_BYTES:
            max(open_files.values(), key=lambda f: f.buffered_bytes).flush()
        for partition in _beyond_limit(open_files):
            finished.append(open_files.pop(partition).close())
    finished += [file.close() for file in open_files.values()]
    return finished


def _beyond_limit(open_files: dict[Partition, _OpenFile]) -> list[Partition]:
    """Partitions whose files are open beyond the limit, those longest not written first."""
    opened = [partition for partition, file in open_files.items() if file.is_open]
    return opened[: max(0, len(opened) - MAX_OPEN_FILES)]
