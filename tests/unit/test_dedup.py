from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.dedup import ID_BYTES, SeenIds, as_ids, drop_duplicates, find_duplicates
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
    st.tuples(
        st.lists(st.tuples(IDS, st.sampled_from("ab"), st.integers(0, 2)), max_size=12),
        st.lists(st.integers(0, 12), max_size=3),
    ),
    min_size=1,
    max_size=5,
)


def id_batch(rows: list[tuple[bytes, str, int]]) -> pa.RecordBatch:
    """What `stream_ids` gives: (id, site_id, event_type, received_at)."""
    return pa.record_batch(
        {
            "id": pa.array([r[0] for r in rows], pa.binary()),
            "site_id": pa.array([r[1] for r in rows], pa.string()),
            "event_type": pa.array(["click" if r[2] % 2 else "view" for r in rows], pa.string()),
            "received_at": pa.array(
                [HOUR + timedelta(hours=r[2], minutes=7) for r in rows],
                pa.timestamp("us", tz="UTC"),
            ),
        }
    )


@given(SEGMENTS)
@example([([(bytes(16), "a", 0)], []), ([(bytes(16), "a", 0)] * 2, [1])])
def test_every_id_is_delivered_by_its_first_row_and_no_other(
    segments: list[tuple[list[tuple[bytes, str, int]], list[int]]],
) -> None:
    seen, model = SeenIds(WINDOW), set[bytes]()
    for number, (rows, cuts) in enumerate(segments):
        batches = split_at(id_batch(rows), cuts)
        repeats, counted = [], Counter[tuple[str, object, str]]()
        for place, (event_id, site, hour) in enumerate(rows):
            if event_id in model:
                repeats.append(place)
                kind = "click" if hour % 2 else "view"
                counted[site, HOUR + timedelta(hours=hour), kind] += 1
            model.add(event_id)
        found = find_duplicates(batches, seen)
        assert found.duplicate_rows == repeats
        assert found.duplicates == counted
        assert sorted(split_ids(b"".join(found.id_chunks()))) == sorted(
            {event_id for event_id, *_ in rows}
            - (model - {row[0] for place, row in enumerate(rows) if place not in repeats})
        )
        kept = [
            event_id
            for batch in drop_duplicates(batches, found.duplicate_rows)
            for event_id in batch.column("id").to_pylist()
        ]
        assert kept == [row[0] for place, row in enumerate(rows) if place not in repeats]
        # As after a restart: remembered by way of the stored bytes.
        for chunk in found.id_chunks():
            seen.add(number, HOUR + timedelta(hours=number), as_ids(chunk))
    assert len(seen) == len(model)


def split_ids(data: bytes) -> list[bytes]:
    return [data[at : at + ID_BYTES] for at in range(0, len(data), ID_BYTES)]


def test_an_id_is_forgotten_when_its_segment_leaves_the_window() -> None:
    seen = SeenIds(timedelta(hours=1))
    first = find_duplicates([id_batch([(POOL[1], "a", 0)])], seen)
    seen.add(1, HOUR, first.ids)
    seen.forget_before(HOUR + timedelta(hours=1))
    assert find_duplicates([id_batch([(POOL[1], "a", 0)])], seen).duplicate_rows == [0]
    seen.forget_before(HOUR + timedelta(hours=1, microseconds=1))
    assert find_duplicates([id_batch([(POOL[1], "a", 0)])], seen).duplicate_rows == []
    assert len(seen) == 0


def test_an_empty_segment_has_no_duplicates() -> None:
    found = find_duplicates([], SeenIds(WINDOW))
    assert (found.duplicate_rows, found.id_chunks(), found.duplicates) == ([], [], Counter())


def test_ids_are_kept_in_chunks_of_a_million_at_most() -> None:
    ids = b"".join(number.to_bytes(ID_BYTES, "big") for number in range(1, 1_000_002))
    batch = pa.record_batch(
        {
            "id": pa.array(split_ids(ids), pa.binary()),
            "site_id": pa.array(["a"] * 1_000_001),
            "event_type": pa.array(["click"] * 1_000_001),
            "received_at": pa.array([HOUR] * 1_000_001, pa.timestamp("us", tz="UTC")),
        }
    )
    found = find_duplicates([batch], SeenIds(WINDOW))
    assert [len(chunk) // ID_BYTES for chunk in found.id_chunks()] == [1_000_000, 1]
    assert b"".join(found.id_chunks()) == ids
