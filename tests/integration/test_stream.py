"""What the exporter reads out of stored JSONB is what PostgreSQL picks out of it."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import exporter.native as native
import exporter.stream as stream
from core.event import COLUMNS, ColumnType
from exporter.arrow_schema import ROW_SCHEMA
from exporter.dedup import NO_MARKS, Marks, mark_rows
from exporter.jsonb import DocumentReader, Documents
from exporter.native import Unreadable, is_compiled
from tests.conftest import an_event
from tests.integration.building import query, write_now

if not is_compiled():
    pytest.skip("no C compiler here: PostgreSQL picks the columns", allow_module_level=True)

KINDS = {
    "s": ColumnType.STRING,
    "other": ColumnType.STRING,
    "screenWidth": ColumnType.INT32,
    "n": ColumnType.INT32,
    "isBot": ColumnType.BOOLEAN,
    "occurredAt": ColumnType.TIMESTAMP,
    "aVeryLongNameOfAFieldIndeed": ColumnType.STRING,
    "properties": ColumnType.JSON,
}
CASTS = {
    ColumnType.STRING: "d->>'{}'",
    ColumnType.INT32: "(d->>'{}')::int",
    ColumnType.BOOLEAN: "(d->>'{}')::bool",
    ColumnType.TIMESTAMP: "(d->>'{}')::timestamptz",
    ColumnType.JSON: "(d->'{}')::text",
}
TEXTS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
    st.text('"\\/{}[]:, \n\té\U0001f600', max_size=14),
    st.just("x" * 3_000),
)
INTEGERS = st.one_of(
    st.integers(-(2**31) + 1, 2**31 - 1),
    st.integers(-3, 10_001),
    st.sampled_from([0, 10**4, 10**8]),
)
TIMES = st.datetimes().map(lambda t: t.isoformat()) | st.datetimes().map(
    lambda t: t.isoformat(timespec="milliseconds")
)
OFFSETS = st.sampled_from(["Z", "+00:00", "+05:30", "-11:00"])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS | INTEGERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
PLAIN = st.fixed_dictionaries(
    {},
    optional={
        "s": st.none() | TEXTS,
        "other": TEXTS,
        "screenWidth": INTEGERS,
        "n": st.none() | INTEGERS,
        "isBot": st.booleans(),
        "occurredAt": st.builds(str.__add__, TIMES, OFFSETS),
        "aVeryLongNameOfAFieldIndeed": TEXTS,
        "properties": st.dictionaries(TEXTS, JSON_VALUES, max_size=4),
        "x": JSON_VALUES,
    }
    | {f"k{n}": st.integers(0, 5) for n in range(40)},
)
ANYTHING = st.dictionaries(st.sampled_from([*KINDS, "", "z"]), JSON_VALUES, max_size=5)


@pytest.fixture(scope="module")
def connection(read_database_url: str) -> Any:
    with psycopg.connect(read_database_url, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        yield connection


def pick(
    connection: psycopg.Connection, documents: list[Any]
) -> tuple[list[bytes], list[list[Any]]]:
    """Documents as they are stored, and each field as PostgreSQL picks it."""
    picks = ", ".join(CASTS[kind].format(name) for name, kind in KINDS.items())
    cursor = connection.execute(
        f"SELECT d::bytea, {picks} FROM unnest(%s::jsonb[]) WITH ORDINALITY AS t (d, n) ORDER BY n",  # type: ignore[arg-type]
        ([json.dumps(d) for d in documents],),
    )
    rows = cursor.fetchall()
    return [row[0] for row in rows], [list(row[1:]) for row in rows]


def read(stored: Sequence[bytes], kinds: dict[str, ColumnType]) -> dict[str, pa.Array]:
    cuts = np.array([0, *accumulate(map(len, stored))], np.int32)
    data = np.frombuffer(b"".join(stored) or b"-", np.uint8)
    return DocumentReader(kinds).read(Documents(data, cuts[:-1], cuts[1:]))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PLAIN, min_size=1, max_size=12))
@example([{}])
@example([{}, {"s": ""}, {"s": "x" * 12}, {"s": "x" * 13, "other": "y"}, {"n": 0}])
@example([{f"k{n}": n for n in range(33)} | {"s": "a", "n": -10_000, "screenWidth": 2**31 - 1}])
@example([{"s": "a"}] * 3 + [{"other": "a"}] * 3 + [{"s": "b"}])
def test_documents_are_read_as_postgresql_picks_them(
    connection: psycopg.Connection, documents: list[dict[str, Any]]
) -> None:
    stored, picked = pick(connection, documents)
    columns = read(stored, KINDS)
    for place, (name, column) in enumerate(columns.items()):
        column.validate(full=True)
        assert column.to_pylist() == [row[place] for row in picked], name


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ANYTHING, min_size=1, max_size=6))
@example([{"n": 1.5}])
@example([{"n": 2**31}])
@example([{"n": 1e300}])
@example([{"n": "7"}])
@example([{"s": 7}])
@example([{"isBot": "yes"}])
@example([{"occurredAt": "yesterday"}])
@example([{"occurredAt": "2026-11-21T10:00:00.1234567Z"}])
def test_what_is_stored_in_another_way_is_refused_and_never_guessed(
    connection: psycopg.Connection, documents: list[dict[str, Any]]
) -> None:
    try:
        stored, picked = pick(connection, documents)
    except psycopg.DataError:  # then PostgreSQL refuses the row, and with it the segment
        (stored,) = zip(
            *connection.execute(
                "SELECT d::bytea FROM unnest(%s::jsonb[]) AS t (d)",
                ([json.dumps(d) for d in documents],),
            ).fetchall(),
            strict=True,
        )
        with pytest.raises(Unreadable):
            read(stored, KINDS)
        return
    try:
        columns = read(stored, KINDS)
    except Unreadable:
        return
    for place, column in enumerate(columns.values()):
        assert column.to_pylist() == [row[place] for row in picked]


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_bytes_that_are_no_documents_are_refused(documents: list[bytes]) -> None:
    try:
        columns = read(documents, {"s": ColumnType.STRING})
    except Unreadable:
        return
    assert all(len(column) == len(documents) for column in columns.values())


ODD = [
    an_event(eventId="plain", properties={"price": 1.10, "n": 12345678901234567890, "e": 'é\n"\\'}),
    an_event(eventId="offset", occurredAt="2026-01-02T03:04:05.678901+05:30"),
    an_event(eventId="sparse", properties=None, title="", isBot=True),
    an_event(eventId="version", eventVersion=32_767, screenWidth=2**31 - 1, screenHeight=0),
    an_event(eventId="deep", title="a\u0001b", properties={"deep": {"er": [1, {"x": "\u0001"}]}}),
]


def rows_of(database_url: str, is_duplicate: Marks = NO_MARKS) -> pa.Table:
    with stream.stream_rows(database_url, 1, is_duplicate) as batches:
        return pa.Table.from_batches(batches, schema=ROW_SCHEMA)


def picked_rows_of(database_url: str) -> pa.Table:
    picked = f"{stream._PICKED_ROWS} FROM events_log_1"
    with stream._stream(database_url, picked) as batches:
        return pa.Table.from_batches(batch.cast(ROW_SCHEMA) for batch in batches)


def test_a_segment_is_streamed_as_postgresql_picks_it(database_url: str) -> None:
    write_now(database_url, *ODD)
    # As a body may say it, and as no JSON library of ours would.
    query(
        database_url,
        "UPDATE events_log SET payload = jsonb_set(payload, '{properties}',"
        ' \'{"big": 1e400, "long": 12345678901234567890.10, "small": 1E-20}\')'
        " WHERE payload->>'eventId' = 'plain'",
    )
    rows = rows_of(database_url)
    assert rows.equals(picked_rows_of(database_url))
    found = dict(zip(rows["event_id"].to_pylist(), rows["properties"].to_pylist(), strict=True))
    assert json.loads(found["plain"], parse_float=str)["long"] == "12345678901234567890.10"
    assert found["plain"].count("0") > 400 and not math.isinf(1e300)


def test_a_row_stored_in_another_way_is_picked_by_postgresql_and_so_is_the_rest(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_BATCH_BYTES", 1)  # a row a batch
    write_now(database_url, *ODD)
    write_now(database_url, *(an_event(eventId=f"more-{n}") for n in range(20)))
    query(
        database_url,
        'UPDATE events_log SET payload = payload || \'{"screenWidth": "77", "title": 5}\''
        " WHERE payload->>'eventId' = 'more-3'",
    )
    rows = rows_of(database_url)
    assert rows.num_rows == 25
    assert rows.equals(picked_rows_of(database_url))
    assert 77 in rows["screen_width"].to_pylist()


def test_without_the_cast_postgresql_picks_every_row(database_url: str) -> None:
    write_now(database_url, *ODD)
    before = rows_of(database_url)
    query(database_url, "DROP CAST (jsonb AS bytea)")
    assert rows_of(database_url).equals(before)


def test_text_far_longer_than_what_is_stored_is_left_to_postgresql(
    connection: psycopg.Connection,
) -> None:
    numbers = ", ".join(["5e-324"] * 4_000)
    stored, _ = pick(connection, [json.loads(f'{{"properties": {{"n": [{numbers}]}}}}')])
    (document,) = stored
    column = read([document] * 3, KINDS)["properties"]
    assert len(column[2].as_py()) > 4_000 * 326
    with pytest.raises(Unreadable, match="so many digits"):
        read([document] * 200, KINDS)


def test_a_compiled_part_of_another_release_is_not_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "rows.so"
    source = tmp_path / "other.c"
    monkeypatch.setattr(native, "LIBRARY", other)
    for text in ("const int native_interface = 7;", "int something_else;"):
        source.write_text(text)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", other, source], check=True)
        native.load_native.cache_clear()
        assert not native.is_compiled()
        other.unlink()
    monkeypatch.undo()
    native.load_native.cache_clear()
    assert native.is_compiled()


@pytest.mark.parametrize("is_compiled", [True, False])
def test_duplicates_are_left_out_wherever_they_stand(
    database_url: str, monkeypatch: pytest.MonkeyPatch, is_compiled: bool
) -> None:
    monkeypatch.setattr(stream, "_BATCH_BYTES", 4_000)  # a few rows a batch
    monkeypatch.setattr(stream, "is_compiled", lambda: is_compiled)
    write_now(database_url, *(an_event(eventId=f"n-{n}") for n in range(30)))
    every = rows_of(database_url)
    for duplicates in ([0], [29], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 14, 15], list(range(30))):
        marks = mark_rows([duplicates])
        kept = [row for row in range(30) if row not in duplicates]
        assert rows_of(database_url, marks).equals(every.take(pa.array(kept, pa.int64())))


def test_every_column_that_is_stored_is_read() -> None:
    stored = {c.name for c in COLUMNS if c.payload_name} | stream._TABLE_COLUMNS
    assert {*stream._DOCUMENT_FIELDS, *stream._BESIDE_DOCUMENTS} == stored


@pytest.mark.parametrize("instant", ["infinity", "-infinity"])
def test_a_time_without_end_is_refused(database_url: str, instant: str) -> None:
    write_now(database_url, an_event())
    query(database_url, f"UPDATE events_log SET occurred_at = '{instant}'")
    with (
        stream._copy(
            database_url, f"{stream._STORED_ROWS} FROM events_log_1", (None, 8, 8)
        ) as rows,
        pytest.raises(Unreadable, match="without end"),
    ):
        list(stream._read_stored(rows, NO_MARKS))
