"""Drop what the browser sent twice: an id that was delivered before is a duplicate.

Which rows are duplicates is decided once for a segment, before any sink gets it, in the order of
the segments; every sink then leaves out the same rows. The decision, the ids it adds and the
ledger's counts are stored in one transaction: a crash before it leaves nothing, and deciding
again comes to the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

ID_BYTES: Final = 16
CHUNK_IDS: Final = 1_000_000
# numpy's bytes type ignores trailing zero bytes when it compares, which loses nothing between
# values that all have the same width.
Ids = npt.NDArray[np.bytes_]


@dataclass(slots=True)
class Deduplication:
    """What was found in one segment."""

    ids: Ids
    """Sorted ids that the segment is the first to deliver."""
    duplicate_rows: list[int] = field(default_factory=list)
    duplicates: Counter[tuple[str, datetime, str]] = field(default_factory=Counter)
    """By (site_id, hour, event_type)."""

    def id_chunks(self) -> list[bytes]:
        """The ids as bytes, at most a million in one."""
        return [
            self.ids[start : start + CHUNK_IDS].tobytes()
            for start in range(0, len(self.ids), CHUNK_IDS)
        ]


class SeenIds:
    """The ids of the segments within the window: 16 bytes each, in memory, exact."""

    def __init__(self, window: timedelta) -> None:
        self._window = window
        self._segments: dict[int, tuple[datetime, Ids]] = {}

    def __len__(self) -> int:
        return sum(len(ids) for _, ids in self._segments.values())

    def __contains__(self, segment_id: int) -> bool:
        return segment_id in self._segments

    def add(self, segment_id: int, sealed_at: datetime, ids: Ids) -> None:
        """Remember a segment's ids, which are sorted."""
        self._segments[segment_id] = (sealed_at, ids)

    def forget_before(self, now: datetime) -> None:
        """Drop the segments that have left the window."""
        self._segments = {
            number: (sealed_at, ids)
            for number, (sealed_at, ids) in self._segments.items()
            if sealed_at >= now - self._window
        }

    def contains(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """For each of some sorted ids whether it was seen before."""
        seen = np.zeros(len(ids), dtype=bool)
        for _, known in self._segments.values():
            if not len(known):
                continue
            places = np.searchsorted(known, ids)
            places[places == len(known)] = 0
            seen |= known[places] == ids
        return seen


def as_ids(data: bytes | memoryview) -> Ids:
    """Ids of 16 bytes each, laid end to end."""
    return np.frombuffer(data, dtype=f"S{ID_BYTES}")


def find_duplicates(batches: Iterable[pa.RecordBatch], seen: SeenIds) -> Deduplication:
    """Find the rows whose id was seen before, in an earlier segment or further up in this one.

    Takes batches of (id, site_id, event_type, received_at) in physical order.
    """
    kept: list[pa.RecordBatch] = []
    ids: list[Ids] = []
    for batch in batches:
        ids.append(_ids_of(batch.column("id")))
        kept.append(_compact(batch))
    every = np.concatenate(ids) if ids else as_ids(b"")
    order = np.argsort(every, kind="stable")
    in_order = every[order]
    repeats = np.zeros(len(every), dtype=bool)
    repeats[1:] = in_order[1:] == in_order[:-1]  # stable: the first of equals is the first row
    repeats |= seen.contains(in_order)
    found = Deduplication(ids=in_order[~repeats])
    rows = np.sort(order[repeats])
    found.duplicate_rows = rows.tolist()
    if len(rows):
        table = pa.Table.from_batches(kept).take(pa.array(rows))
        found.duplicates.update(_names(table))
    return found


def drop_duplicates(
    batches: Iterable[pa.RecordBatch], duplicate_rows: list[int]
) -> Iterator[pa.RecordBatch]:
    """The batches without the numbered rows."""
    numbers = np.asarray(duplicate_rows, dtype=np.int64)
    first = 0
    for batch in batches:
        low, high = np.searchsorted(numbers, (first, first + batch.num_rows))
        if low == high:
            yield batch
        else:
            keep = np.ones(batch.num_rows, dtype=bool)
            keep[numbers[low:high] - first] = False
            yield batch.filter(pa.array(keep))
        first += batch.num_rows


def _ids_of(column: pa.Array) -> Ids:
    fixed = column.cast(pa.binary(ID_BYTES))
    buffer = fixed.buffers()[1]
    start = fixed.offset * ID_BYTES
    return as_ids(memoryview(buffer)[start : start + len(fixed) * ID_BYTES])


def _compact(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Site, hour and type as dictionaries: a few bytes a row while the segment is looked at."""
    return pa.record_batch(
        {
            "site_id": batch.column("site_id").cast(pa.dictionary(pa.int32(), pa.string())),
            "hour": pc.floor_temporal(batch.column("received_at"), unit="hour"),
            "event_type": batch.column("event_type").cast(pa.dictionary(pa.int32(), pa.string())),
        }
    )


def _names(table: pa.Table) -> Iterator[tuple[str, datetime, str]]:
    columns: list[list[Any]] = [
        table.column(name).to_pylist() for name in ("site_id", "hour", "event_type")
    ]
    for site_id, hour, event_type in zip(*columns, strict=True):
        yield site_id, hour.astimezone(UTC), event_type
