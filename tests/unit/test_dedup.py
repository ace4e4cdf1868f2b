from __future__ import annotations

import struct
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.dedup import Deduplication, Marks, drop_duplicates, find_duplicates, mark_rows
from exporter.seen_ids import BLOCK_IDS, ID_BYTES, SeenIds
from tests.unit.rows import HOUR, split_at

WINDOW = timedelta(hours=72)
# Few different ids, among them those that only zero bytes tell apart.
POOL = [
    bytes(16),
    b"\1" + bytes(15),
    bytes(15) + b"\1",
    b"\xff" * 16,
    b"\1" * 15 + b"\0",
    b"\0" + b"\1" * 15,
]
IDS = st.sampled_from(POOL + [bytes([n]) * 16 for n in range(2, 12)])
SEGMENTS = st.lists(
    st.tuples(st.lists(IDS, max_size=12), st.lists(st.integers(0, 12), max_size=3)),
    min_size=1,
    max_size=5,
)


def id_batch(ids: list[bytes]) -> pa.RecordBatch:
    """What `stream_ids` gives."""
    return with_places(pa.array(ids, pa.binary()))


def with_places(ids: pa.Array) -> pa.RecordBatch:
    """Three rows on each page, as PostgreSQL sends a `tid`."""
    places = [struct.pack(">IH", n // 3, n % 3 + 1) for n in range(len(ids))]
    return pa.record_batch({"event_id": ids, "ctid": pa.array(places, pa.binary())})


def ids_of(found: Deduplication) -> list[bytes]:
    data = b"".join(found.ids.chunks())
    return [data[at : at + ID_BYTES] for at in range(0, len(data), ID_BYTES)]


def rows_of(found: Deduplication) -> list[int]:
    return [number for piece in found.duplicate_rows() for number in piece.numbers]


def ctids_of(found: Deduplication) -> list[str]:
    return [ctid for piece in found.duplicate_rows() for ctid in piece.ctids]


def marks_of(found: Deduplication) -> Marks:
    return mark_rows(piece.numbers for piece in found.duplicate_rows())


@settings(deadline=None)
@given(SEGMENTS, st.sampled_from([1, 2, 3, 5, 1_000_000]))
@example([([bytes(16)], []), ([bytes(16)] * 2, [1])], 1)
@example([([bytes(16), b"\1" * 16, bytes(16), b"\1" * 16], [])], 2)
def test_every_id_is_delivered_by_its_first_row_and_no_other(
    segments: list[tuple[list[bytes], list[int]]], run_ids: int
) -> None:
    seen, after_restart, model = SeenIds(WINDOW), SeenIds(WINDOW), set[bytes]()
    for number, (ids, cuts) in enumerate(segments):
        batches = split_at(id_batch(ids), cuts)
        repeats, new = [], []
        for place, event_id in enumerate(ids):
            if event_id in model:
                repeats.append(place)
            else:
                new.append(event_id)
            model.add(event_id)
        found = find_duplicates(batches, seen, run_ids=run_ids)
        again = find_duplicates(batches, after_restart, run_ids=run_ids)
        assert rows_of(found) == rows_of(again) == repeats
        assert ids_of(found) == ids_of(again) == sorted(new)
        assert ctids_of(found) == [f"({row // 3},{row % 3 + 1})" for row in repeats]
        kept = [
            event_id
            for batch in drop_duplicates(batches, marks_of(found))
            for event_id in batch.column("event_id").to_pylist()
        ]
        assert kept == new
        sealed_at = HOUR + timedelta(hours=number)
        after_restart.learn(number, sealed_at, list(found.ids.chunks(2)))
        seen.add(number, sealed_at, found.ids)
    assert len(seen) == len(after_restart) == len(model)


def test_an_id_is_forgotten_when_its_segment_leaves_the_window_and_its_file_goes() -> None:
    seen = SeenIds(timedelta(hours=1))
    seen.add(1, HOUR, find_duplicates([id_batch(POOL[1:2])], seen).ids)
    seen.forget_before(HOUR + timedelta(hours=1))
    assert rows_of(find_duplicates([id_batch(POOL[1:2])], seen)) == [0]
    seen.forget_before(HOUR + timedelta(hours=1, microseconds=1))
    assert [path.name for path in seen.folder.iterdir()] == ["found.ids"]
    assert rows_of(find_duplicates([id_batch(POOL[1:2])], seen)) == []
    assert len(seen) == 0


def test_an_empty_segment_has_no_duplicates() -> None:
    seen = SeenIds(WINDOW)
    found = find_duplicates([], seen)
    assert (rows_of(found), ids_of(found)) == ([], [])


def test_nothing_is_left_on_the_disk_but_the_ids() -> None:
    seen = SeenIds(WINDOW)
    seen.add(1, HOUR, find_duplicates([id_batch(POOL * 3)], seen, run_ids=2).ids)
    assert [path.stat().st_size for path in seen.folder.iterdir()] == [len(POOL) * ID_BYTES]
    folder = seen.folder
    del seen
    assert not folder.exists()


@pytest.mark.parametrize("is_sorted", [True, False])
def test_repeats_are_found_across_blocks_and_runs(is_sorted: bool) -> None:
    count = BLOCK_IDS + 200_000
    values = np.random.default_rng(1).integers(1, 256, (count, ID_BYTES), dtype=np.uint8)
    ids = np.sort(values.view(f"S{ID_BYTES}").ravel()) if is_sorted else values
    stored = pa.Array.from_buffers(pa.binary(ID_BYTES), count, [None, pa.py_buffer(ids.tobytes())])
    first = with_places(stored)
    seen = SeenIds(WINDOW)
    found = find_duplicates([first], seen, run_ids=300_000)
    assert (found.ids.count, rows_of(found)) == (count, [])
    seen.add(1, HOUR, found.ids)
    repeated = find_duplicates([first.slice(count - 5), first.slice(0, 7)], seen)
    assert rows_of(repeated) == list(range(12))
    assert repeated.ids.count == 0
