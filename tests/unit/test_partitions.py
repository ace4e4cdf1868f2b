from __future__ import annotations

import csv
import gzip
import json
import tempfile
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.keys import DEFAULT_TEMPLATE, ObjectKey, Partition
from database.deliveries import HourCount
from exporter import encode
from exporter.arrow_schema import FILE_SCHEMA
from exporter.delivery import ConservationBroken, check_conservation
from exporter.encode import EncodedFile, encode_events, finish_file
from exporter.layout import EventFormat, Layout
from exporter.partitions import split_batch
from tests.unit.rows import HOUR, a_row, row_batch, split_at

DAYS_OF_TYPES = ("site_id", "type", "year", "month", "day")
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a.example", "b.example", "", "ü"]),
        st.timedeltas(timedelta(hours=-2), timedelta(hours=3)),
    ),
    max_size=40,
)


def some_rows(rows: list[tuple[str, timedelta]]) -> list[dict[str, Any]]:
    return [
        a_row(site_id=site, received_at=HOUR + after, event_id=str(number))
        for number, (site, after) in enumerate(rows)
    ]


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


@given(ROWS)
def test_every_row_is_in_exactly_one_partition_in_the_order_it_came(
    rows: list[tuple[str, timedelta]],
) -> None:
    expected: dict[Partition, list[str]] = defaultdict(list)
    for row in some_rows(rows):
        expected[Partition(row["site_id"], hour_of(row["received_at"]))].append(row["event_id"])
    split = [
        (p, b.column("event_id").to_pylist()) for p, b in split_batch(row_batch(*some_rows(rows)))
    ]
    assert dict(split) == expected
    assert len(split) == len(expected)


LAYOUTS = st.builds(
    Layout,
    template=st.sampled_from(
        [DEFAULT_TEMPLATE, DEFAULT_TEMPLATE[:-1], ("type", *DEFAULT_TEMPLATE), DAYS_OF_TYPES]
    ),
    cut_by=st.sampled_from(["received_at", "occurred_at"]),
    lateness=st.sampled_from([timedelta(0), timedelta(hours=2)]),
)
TYPED = st.lists(
    st.tuples(
        st.sampled_from(["a.example", "ü"]),
        st.sampled_from(["click", "page view", "x" * 150]),
        st.timedeltas(timedelta(hours=-30), timedelta(hours=3)),
        st.timedeltas(timedelta(hours=-4), timedelta(hours=1)),
    ),
    max_size=30,
)


@given(TYPED, LAYOUTS)
def test_every_row_is_where_the_layout_says(
    rows: list[tuple[str, str, timedelta, timedelta]], layout: Layout
) -> None:
    made = [
        a_row(
            site_id=site, event_type=kind, event_id=str(number), received_at=HOUR + after,
            occurred_at=HOUR + after + earlier,
        )
        for number, (site, kind, after, earlier) in enumerate(rows)
    ]  # fmt: skip
    expected: dict[Partition, list[str]] = defaultdict(list)
    for row in made:
        cut = row["received_at"]
        if layout.cut_by == "occurred_at" and cut - layout.lateness <= row["occurred_at"] <= cut:
            cut = row["occurred_at"]
        start = hour_of(cut) if "hour" in layout.template else hour_of(cut).replace(hour=0)
        kind = row["event_type"] if len(row["event_type"]) < 100 else "(other)"
        folder = Partition(row["site_id"], start, kind if "type" in layout.template else "")
        expected[folder].append(row["event_id"])
    split = [
        (p, b.column("event_id").to_pylist()) for p, b in split_batch(row_batch(*made), layout)
    ]
    assert dict(split) == expected
    assert len(split) == len(expected)


@given(TYPED, LAYOUTS)
@settings(max_examples=30, deadline=None)
def test_hours_of_receipt_are_counted_however_rows_are_laid_out(
    rows: list[tuple[str, str, timedelta, timedelta]], layout: Layout
) -> None:
    made = [
        a_row(site_id=s, event_type=k, received_at=HOUR + t, occurred_at=HOUR + t + e)
        for s, k, t, e in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        files = encode_events(
            split_at(row_batch(*made), (10, 20)), segment_id=7, folder=Path(folder), layout=layout
        )
    due = Counter((row["site_id"], hour_of(row["received_at"])) for row in made)
    ledger = [HourCount(s, hour, "any", "accepted", n, 0) for (s, hour), n in due.items()]
    check_conservation(ledger, files)
    if ledger:
        with pytest.raises(ConservationBroken):
            check_conservation([*ledger, ledger[0]], files)


def encode_all(
    rows: list[dict[str, Any]],
    folder: Path,
    *,
    cuts: tuple[int, ...] = (),
    row_group_rows: int = 1_000,
) -> list[EncodedFile]:
    folder.mkdir(exist_ok=True)
    return encode_events(
        split_at(row_batch(*rows), cuts),
        segment_id=7,
        folder=folder,
        layout=Layout(row_group_rows=row_group_rows),
    )


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    rows = some_rows([("a.example", timedelta(minutes=n)) for n in range(200)])
    first = encode_all(rows, tmp_path / "1", cuts=(50, 120))
    again = encode_all(rows, tmp_path / "2", cuts=(50, 120))
    assert [(f.key, f.sha256, f.bytes) for f in first] == [
        (f.key, f.sha256, f.bytes) for f in again
    ]
    assert len(first) == 4


def test_a_file_holds_its_partitions_rows_with_the_contracts_types(tmp_path: Path) -> None:
    rows = [a_row(screen_width=1920, properties='{"x": 1}'), a_row(site_id="b.example")]
    files = {file.key.partition.site_id: file for file in encode_all(rows, tmp_path)}  # type: ignore[union-attr]
    table = pq.read_table(files["shop.example"].path, partitioning=None)
    assert table.schema.equals(FILE_SCHEMA, check_metadata=True)
    assert "site_id" not in table.schema.names
    assert table.to_pylist()[0]["screen_width"] == 1920
    assert files["b.example"].rows == 1


def test_rows_gather_into_row_groups_over_many_small_batches(tmp_path: Path) -> None:
    rows = some_rows([("a.example", timedelta(0))] * 100)
    (file,) = encode_all(rows, tmp_path, cuts=tuple(range(0, 100, 3)), row_group_rows=40)
    metadata = pq.read_metadata(file.path)
    assert metadata.num_rows == file.rows == 100
    assert metadata.num_row_groups <= 6
    assert pq.read_table(file.path).column("event_id").to_pylist() == [str(n) for n in range(100)]


def test_open_files_are_bounded_and_what_was_closed_goes_on_in_another_part(tmp_path: Path) -> None:
    sites = [f"site-{n}" for n in range(encode.MAX_OPEN_FILES + 5)]
    rows = some_rows([(site, timedelta(0)) for site in [*sites, *sites]])
    most = 0

    def watched() -> Any:
        nonlocal most
        for batch in split_at(row_batch(*rows), [len(sites)]):
            yield batch
            most = max(most, open_descriptors(tmp_path))

    files = encode_events(watched(), segment_id=7, folder=tmp_path, layout=Layout(row_group_rows=1))
    # Each row is a row group here: every file is open as soon as it has a row.
    assert most <= encode.MAX_OPEN_FILES + 1  # and that of rows that are spilled
    keys = [file.key for file in files]
    assert len(set(keys)) == len(keys) > len(sites)
    assert {key.partition.site_id for key in keys if isinstance(key, ObjectKey)} == set(sites)
    assert sum(file.rows for file in files) == len(rows)
    parts = [key.part for key in keys if isinstance(key, ObjectKey)]
    assert set(parts) == {0, 1}
    read = [i for file in files for i in pq.read_table(file.path).column("event_id").to_pylist()]
    assert sorted(read, key=int) == [str(n) for n in range(len(rows))]


@pytest.mark.parametrize("formats", [("parquet",), ("csv", "json")])
@pytest.mark.parametrize("row_group_rows", [8, 1_000])
def test_many_sites_in_turn_make_a_file_each_whatever_memory_there_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    formats: tuple[EventFormat, ...],
    row_group_rows: int,
) -> None:
    sites = [f"site-{n:04d}" for n in range(150)]
    rows = some_rows([(site, timedelta(0)) for site in sites * 5] + [(sites[7], timedelta(0))] * 90)
    batches = split_at(row_batch(*rows), range(0, len(rows), 130))
    layout = Layout(formats=formats, row_group_rows=row_group_rows)
    (tmp_path / "roomy").mkdir()
    roomy = encode_events(batches, segment_id=7, folder=tmp_path / "roomy", layout=layout)
    monkeypatch.setattr(encode, "MAX_BUFFERED_BYTES", 1_000_000)  # fifty partitions' rows
    (tmp_path / "tight").mkdir()
    tight = encode_events(batches, segment_id=7, folder=tmp_path / "tight", layout=layout)
    assert len(tight) == len(roomy) == len(sites) * len(formats)
    assert [f.key for f in tight] == [f.key for f in roomy]
    ids = {f.key: ids_in(f) for f in roomy}
    assert {f.key: ids_in(f) for f in tight} == ids
    assert all(found == sorted(found, key=int) for found in ids.values())
    assert sorted(p.name for p in (tmp_path / "tight").iterdir()) == sorted(
        f.path.name for f in tight
    )


def test_a_row_group_is_bounded_by_its_bytes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "MAX_BUFFERED_BYTES", 1_000_000)
    rows = [a_row(event_id=str(n), properties=f'"{"x" * 4_000}"') for n in range(3_000)]
    (file,) = encode_all(rows, tmp_path, cuts=tuple(range(0, 3_000, 50)), row_group_rows=40_000)
    metadata = pq.read_metadata(file.path)
    assert metadata.num_row_groups >= 10
    assert ids_in(file) == [str(n) for n in range(3_000)]


def test_a_file_of_very_many_rows_goes_on_in_another_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "MAX_FILE_ROWS", 50)
    rows = some_rows([("a.example", timedelta(0))] * 130)
    files = encode_all(rows, tmp_path, cuts=tuple(range(0, 130, 10)), row_group_rows=20)
    assert [file.rows for file in files] == [60, 60, 10]
    assert [i for file in files for i in ids_in(file)] == [str(n) for n in range(130)]
    assert [file.key.part for file in files if isinstance(file.key, ObjectKey)] == [0, 1, 2]


def ids_in(file: EncodedFile) -> list[str]:
    assert isinstance(file.key, ObjectKey)
    if file.key.format == "parquet":
        found = pq.read_table(file.path).column("event_id").to_pylist()
    else:
        lines = gzip.decompress(file.path.read_bytes()).decode().splitlines()
        if file.key.format.startswith("json"):
            found = [json.loads(line)["event_id"] for line in lines]
        else:
            found = [row["event_id"] for row in csv.DictReader(lines)]
    return list(map(str, found))


def open_descriptors(folder: Path) -> int:
    """How many files below a folder this process holds open (Linux tells)."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        return 0
    count = 0
    for entry in list(descriptors.iterdir()):
        try:
            count += entry.resolve().is_relative_to(folder)
        except OSError:
            continue
    return count


def test_a_footer_that_counts_other_rows_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"x": [1, 2, 3]}), path)
    key = ObjectKey("events", Partition("a", HOUR), 7, 0, "parquet")
    assert finish_file(key, path, 3).rows == 3
    with pytest.raises(ValueError, match="counts 3 rows, 4 were written"):
        finish_file(key, path, 4)


def test_no_rows_no_files(tmp_path: Path) -> None:
    assert encode_all([], tmp_path) == []
