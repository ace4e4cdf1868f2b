"""Drop what the browser sent twice: an id that was delivered before is a duplicate.

Which rows are duplicates is decided once for a segment, before any sink gets it, in the order of
the segments; every sink then leaves out the same rows. The decision, the ids it adds and the
ledger's counts are stored in one transaction: a crash before it leaves nothing but files that the
next start removes, and deciding again comes to the same.

Exact, in bounded memory: the ids are sorted in runs of half a million, each written to a file; then
the runs are merged by ranges of ids, each range about as many, and each held against the ids
that were seen before. Memory grows by a byte for each row, disk by 30 bytes meanwhile.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exporter.seen_ids import ID_BYTES, IdFile, Ids, SeenIds, as_ids

RUN_IDS: Final = 500_000
ROWS_IN_PIECE: Final = 100_000
_SAMPLE_EVERY: Final = 1_024
# PostgreSQL's `tid` as it is sent: a page's number, a row's on the page.
_PLACE: Final = np.dtype([("page", ">u4"), ("row", ">u2")])

Rows = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]

NO_MARKS: Final[Marks] = np.zeros(0, dtype=bool)
"""Nothing is a duplicate."""


class DuplicateRows(NamedTuple):
    """Some duplicates: their numbers, ascending, and where they stand in the segment's table."""

    numbers: list[int]
    ctids: list[str]


@dataclass(frozen=True, slots=True)
class Deduplication:
    """What was found in one segment."""

    ids: IdFile
    """Those that the segment is the first to deliver."""
    is_duplicate: Marks
    """For each row, in physical order."""
    places: IO[bytes]
    """Each row's `ctid`, in the same order; a file without a name."""

    def duplicate_rows(self) -> Iterator[DuplicateRows]:
        """The duplicates, ascending, in pieces."""
        for first in range(0, len(self.is_duplicate), ROWS_IN_PIECE):
            marks = self.is_duplicate[first : first + ROWS_IN_PIECE]
            if marks.any():
                self.places.seek(first * _PLACE.itemsize)
                data = self.places.read(len(marks) * _PLACE.itemsize)
                places = np.frombuffer(data, _PLACE)[marks].tolist()
                yield DuplicateRows(
                    numbers=(np.flatnonzero(marks) + first).tolist(),
                    ctids=[f"({page},{row})" for page, row in places],
                )


def find_duplicates(
    batches: Iterable[pa.RecordBatch], seen: SeenIds, *, run_ids: int = RUN_IDS
) -> Deduplication:
    """Find the rows whose id was seen before, in an earlier segment or further up in this one.

    Takes batches of `event_id` and `ctid`, in physical order. The ids found are left in a file
    beside those that were seen, for `SeenIds.add` to take over.
    """
    output = seen.folder / "found.ids"
    places = tempfile.TemporaryFile(dir=seen.folder)  # noqa: SIM115  # goes with what is returned
    with (
        tempfile.TemporaryDirectory(prefix="runs-", dir=seen.folder) as folder,
        output.open("wb") as kept,
    ):
        runs: list[_Run] = []
        repeats: list[Marks] = []
        for ids in _in_runs(_ids_of_batches(batches, places), run_ids):
            first_row = sum(len(r) for r in repeats)
            run, repeated = _sort_run(ids, first_row, Path(folder) / f"{len(runs)}")
            runs.append(run)
            repeats.append(repeated)
        is_duplicate = np.concatenate(repeats) if repeats else np.zeros(0, dtype=bool)
        del repeats
        count = 0
        for ids, rows in _merge(runs, run_ids):
            is_known = np.zeros(len(ids), dtype=bool)
            is_known[1:] = ids[1:] == ids[:-1]  # the first of equals is the first row
            is_known |= seen.contains(ids)
            is_duplicate[rows[is_known]] = True
            new = ids[~is_known]
            kept.write(new.tobytes())
            count += len(new)
    return Deduplication(IdFile(output, count), is_duplicate, places)


def mark_rows(pieces: Iterable[Sequence[int]]) -> Marks:
    """For each row up to the last duplicate whether it is one: the inverse of `duplicate_rows`."""
    marks = bytearray()
    for numbers in pieces:
        marks.extend(bytes(numbers[-1] + 1 - len(marks)))
        for number in numbers:
            marks[number] = 1
    return np.frombuffer(marks, dtype=bool)


def rows_to_keep(is_duplicate: Marks, rows: int) -> Rows:
    """The numbers of those that are not marked; behind the last mark none is."""
    keep = np.ones(rows, dtype=bool)
    keep[: len(is_duplicate)] = ~is_duplicate
    return np.flatnonzero(keep)


def drop_duplicates(
    batches: Iterable[pa.RecordBatch], is_duplicate: Marks
) -> Iterator[pa.RecordBatch]:
    """The batches without the rows that are marked."""
    first = 0
    for batch in batches:
        marks = is_duplicate[first : first + batch.num_rows]
        first += batch.num_rows
        if marks.any():
            batch = batch.take(pa.array(rows_to_keep(marks, batch.num_rows)))
        yield batch


@dataclass(frozen=True, slots=True)
class _Run:
    """Sorted ids of some rows in a row, none of them twice, and the rows' numbers beside them."""

    ids: IdFile
    rows: Path
    samples: Ids

    def cuts(self, splitters: Ids) -> list[int]:
        """Where each range begins; the end at last."""
        found = np.searchsorted(self.ids.map(0, self.ids.count), splitters)
        return [0, *found.tolist(), self.ids.count]

    def read(self, start: int, stop: int) -> tuple[Ids, Rows]:
        count = stop - start
        ids = np.fromfile(self.ids.path, f"S{ID_BYTES}", count, offset=start * ID_BYTES)
        return ids, np.fromfile(self.rows, np.int64, count, offset=start * 8)


def _ids_of_batches(batches: Iterable[pa.RecordBatch], places: IO[bytes]) -> Iterator[Ids]:
    for batch in batches:
        places.write(_bytes_of(batch.column("ctid"), _PLACE.itemsize))
        yield as_ids(_bytes_of(batch.column("event_id"), ID_BYTES))


def _in_runs(parts: Iterable[Ids], size: int) -> Iterator[Ids]:
    gathered: list[Ids] = []
    waiting = 0
    for ids in parts:
        while waiting + len(ids) >= size:
            taken, ids = ids[: size - waiting], ids[size - waiting :]
            yield np.concatenate([*gathered, taken])
            gathered, waiting = [], 0
        if len(ids):
            gathered.append(ids)
            waiting += len(ids)
    if gathered:
        yield np.concatenate(gathered)


def _sort_run(ids: Ids, first_row: int, path: Path) -> tuple[_Run, Marks]:
    """Write a run; which of its rows repeat one further up in it comes beside."""
    order = np.argsort(ids, kind="stable")  # the first of equals is the first row
    in_order = ids[order]
    is_repeat = np.zeros(len(ids), dtype=bool)
    is_repeat[1:] = in_order[1:] == in_order[:-1]
    repeated = np.zeros(len(ids), dtype=bool)
    repeated[order[is_repeat]] = True
    unique = in_order[~is_repeat]
    ids_path, rows_path = path.with_suffix(".ids"), path.with_suffix(".rows")
    unique.tofile(ids_path)
    (order[~is_repeat] + first_row).astype(np.int64).tofile(rows_path)
    run = _Run(IdFile(ids_path, len(unique)), rows_path, unique[::_SAMPLE_EVERY].copy())
    return run, repeated


def _merge(runs: list[_Run], size: int) -> Iterator[tuple[Ids, Rows]]:
    """Range by range: sorted ids with their rows; of equal ids the first row comes first."""
    samples = np.sort(np.concatenate([r.samples for r in runs])) if runs else as_ids(b"")
    # A range holds no more than `size`, and a sample's step of each run: equal ids, which
    # nothing can part, stand in a run once.
    splitters = np.unique(samples[:: max(1, size // _SAMPLE_EVERY)][1:])
    cuts = [run.cuts(splitters) for run in runs]
    for number in range(len(splitters) + 1):
        parts = [
            run.read(cut[number], cut[number + 1]) for run, cut in zip(runs, cuts, strict=True)
        ]
        if len(parts) == 1:
            yield parts[0]
        elif parts:
            ids = np.concatenate([part[0] for part in parts])
            rows = np.concatenate([part[1] for part in parts])
            order = np.argsort(ids, kind="stable")
            yield ids[order], rows[order]


def _bytes_of(column: pa.Array, width: int) -> memoryview | bytes:
    """Values of one width, laid end to end. Raises ArrowInvalid for another width."""
    fixed = column.storage if isinstance(column, pa.ExtensionArray) else column
    fixed = fixed.cast(pa.binary(width))
    if not len(fixed):
        return b""
    start = fixed.offset * width
    return memoryview(fixed.buffers()[1])[start : start + len(fixed) * width]
