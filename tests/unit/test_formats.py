"""Parquet, CSV and JSON hold the same rows, and the same rows give the same bytes."""

from __future__ import annotations

import csv
import gzip
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.arrow_schema import FILE_SCHEMA
from exporter.encode import EncodedFile, encode_events, finish_file
from exporter.layout import Layout, formats_among, parse_formats
from exporter.parquet_file import BLOOM_COLUMNS
from tests.unit.rows import HOUR, a_row, row_batch, split_at

ALL = Layout(formats=("parquet", "csv", "json"), row_group_rows=1_000)
ODD = [
    "",
    '"',
    "\\",
    '\\"',
    "a,b",
    "\r\n",
    "\n",
    "\u2028",
    "null",
    "NULL",
    "é😀",
    "\x01\x1f\x7f",
    " x ",
]
TEXT = st.one_of(
    st.none(),
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
)
FIRST, LAST = datetime(1, 1, 1), datetime.max  # noqa: DTZ001, DTZ901 - hypothesis adds the zone
TIMES = st.datetimes(FIRST, LAST, timezones=st.just(UTC))
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): TEXT,
    pa.int32(): st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
    pa.bool_(): st.one_of(st.none(), st.booleans()),
    pa.timestamp("us", tz="UTC"): st.one_of(st.none(), TIMES),
}
CHANGING = st.fixed_dictionaries(
    {},
    optional={
        field.name: VALUES[field.type]
        for field in FILE_SCHEMA
        if field.name not in ("received_at", "event_id")
    },
)


def encode_rows(
    rows: list[dict[str, Any]], folder: Path, *, layout: Layout = ALL, cuts: tuple[int, ...] = ()
) -> dict[str, EncodedFile]:
    """The files of one site's hour, by their format."""
    folder.mkdir(exist_ok=True)
    files = encode_events(
        split_at(row_batch(*rows), cuts), segment_id=7, folder=folder, layout=layout
    )
    return {file.key.format: file for file in files}


def read_csv(path: Path, schema: pa.Schema = FILE_SCHEMA) -> list[dict[str, Any]]:
    """As docs/formats.md has it for Arrow."""
    table = pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=schema, strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def read_json(path: Path, schema: pa.Schema = FILE_SCHEMA) -> list[dict[str, Any]]:
    """By a reader of plain JSON, its times read as ISO 8601."""
    compression = "zstd" if path.suffix == ".zst" else "gzip"
    text = pa.input_stream(path, compression=compression).read().decode()
    rows = [json.loads(line) for line in text.removesuffix("\n").split("\n")]
    for row in rows:
        assert None not in row.values(), "nulls are left out"
        for field in schema:
            if pa.types.is_timestamp(field.type) and field.name in row:
                row[field.name] = datetime.fromisoformat(row[field.name])
            row.setdefault(field.name)
    return rows


@settings(max_examples=60, deadline=None)
@given(st.lists(CHANGING, min_size=1, max_size=6))
def test_each_format_holds_the_same_rows(changes: list[dict[str, Any]]) -> None:
    rows = [a_row(**change) for change in changes]
    with tempfile.TemporaryDirectory() as folder:
        files = encode_rows(rows, Path(folder))
        expected = [{name: row.get(name) for name in FILE_SCHEMA.names} for row in rows]
        assert pq.read_table(files["parquet"].path, partitioning=None).to_pylist() == expected
        assert read_csv(files["csv.gz"].path) == expected
        assert read_json(files["json.gz"].path) == expected


def test_duckdb_reads_the_same_rows_from_each(tmp_path: Path) -> None:
    rows = [a_row(title=odd, user_id=None, screen_width=n) for n, odd in enumerate(ODD)]
    files = encode_rows(rows, tmp_path)
    columns = "{" + ", ".join(f"{f.name}: '{_sql_type(f.type)}'" for f in FILE_SCHEMA) + "}"
    wanted = "event_id, title, user_id, screen_width, is_bot, epoch_us(received_at)"
    found = [
        duckdb.sql(f"SELECT {wanted} FROM {source}").fetchall()
        for source in (
            f"read_parquet('{files['parquet'].path}')",
            f"read_csv('{files['csv.gz'].path}', allow_quoted_nulls = false,"
            f" header = true, columns = {columns})",
            f"read_json('{files['json.gz'].path}', format = 'newline_delimited',"
            f" columns = {columns})",
        )
    ]
    assert [row[1] for row in found[0]] == ODD
    assert found[0] == found[1] == found[2]


def _sql_type(kind: pa.DataType) -> str:
    names = {pa.string(): "VARCHAR", pa.int32(): "INTEGER", pa.bool_(): "BOOLEAN"}
    return names.get(kind, "TIMESTAMPTZ")


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_the_same_rows_give_the_same_bytes_in_each_format(tmp_path: Path, compression: str) -> None:
    layout = Layout(formats=ALL.formats, json_compression=compression, row_group_rows=70)  # type: ignore[arg-type]
    rows = [a_row(title=ODD[n % len(ODD)], event_id=str(n)) for n in range(300)]
    first = encode_rows(rows, tmp_path / "1", layout=layout, cuts=(50, 120))
    again = encode_rows(rows, tmp_path / "2", layout=layout, cuts=(50, 120))
    assert {f: (file.sha256, file.rows) for f, file in first.items()} == {
        f: (file.sha256, file.rows) for f, file in again.items()
    }
    ending = {"gzip": "json.gz", "zstd": "json.zst"}[compression]
    assert [f.key.under("p").partition("/site_id")[0] for f in first.values()] == [
        "p/events", "p/events_csv", "p/events_json",
    ]  # fmt: skip
    assert [row["event_id"] for row in read_json(first[ending].path)] == [
        str(n) for n in range(300)
    ]
    for file in first.values():
        if file.key.format.endswith(".gz"):
            header = file.path.read_bytes()[:10]
            assert header[3:8] == b"\0\0\0\0\0", "no name and no time"


def test_csv_is_what_its_documentation_says(tmp_path: Path) -> None:
    rows = [
        a_row(
            event_id="1", title='say "hi"\n', user_id="", is_bot=True, screen_width=1920,
            received_at=datetime(2026, 11, 21, 10, 15, 31, 204_000, tzinfo=UTC),
        )
    ]  # fmt: skip
    text = gzip.decompress(encode_rows(rows, tmp_path)["csv.gz"].path.read_bytes()).decode()
    header, _, line = text.partition("\r\n")
    assert header == ",".join(f'"{name}"' for name in FILE_SCHEMA.names)
    assert text.endswith("\r\n")
    assert line.startswith('"2026-11-21T10:15:31.204000Z","1","page_view",1,')
    assert ',"say ""hi""\n",' in line
    named = dict(zip(FILE_SCHEMA.names, next(csv.reader([line], strict=True)), strict=True))
    assert (named["is_bot"], named["screen_width"], named["app"]) == ("true", "1920", "")
    assert line.count('""') == 3, "of quotes and the empty text only"


def test_a_line_of_json_is_what_its_documentation_says(tmp_path: Path) -> None:
    rows = [a_row(event_id="1", properties='{"price": 12.50, "l": ["a\\n"]}', is_bot=False)]
    (line,) = gzip.decompress(encode_rows(rows, tmp_path)["json.gz"].path.read_bytes()).splitlines()
    assert line.decode() == (
        '{"received_at":"2026-11-21T10:00:00.000000Z","event_id":"1","event_type":"page_view",'
        '"event_version":1,"occurred_at":"2026-11-21T10:00:00.000000Z",'
        '"properties":"{\\"price\\": 12.50, \\"l\\": [\\"a\\\\n\\"]}","is_bot":false,'
        '"schema_version":1}'
    )


def test_parquet_has_statistics_dictionaries_page_index_and_bloom_filters(tmp_path: Path) -> None:
    rows = [
        a_row(event_id=str(n), visitor_id=f"visitor-{n // 4}", session_id=f"session-{n // 2}")
        for n in range(2_000)
    ]
    path = encode_rows(rows, tmp_path)["parquet"].path
    group = pq.read_metadata(path).row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    assert all(c.has_column_index and c.has_offset_index for c in columns.values())
    assert all(c.compression == "ZSTD" for c in columns.values())
    assert columns["received_at"].statistics.min == HOUR
    assert columns["event_type"].has_dictionary_page
    assert not columns["event_id"].has_dictionary_page
    for name in BLOOM_COLUMNS:
        assert 0 < columns[name].bloom_filter_length < 10_000
        probe = f"SELECT bloom_filter_excludes FROM parquet_bloom_probe('{path}', '{name}', '{{}}')"
        stem = name.removesuffix("_id")
        assert duckdb.sql(probe.format(f"{stem}-7")).fetchall() == [(False,)]
        absent = [duckdb.sql(probe.format(f"nobody-{n}")).fetchall()[0][0] for n in range(100)]
        assert sum(absent) > 90


def test_a_small_file_has_no_bloom_filter(tmp_path: Path) -> None:
    path = encode_rows([a_row(visitor_id="v")], tmp_path)["parquet"].path
    assert pq.read_metadata(path).row_group(0).column(0).bloom_filter_length is None


@pytest.mark.parametrize("form", ["csv.gz", "json.gz"])
def test_a_text_file_that_lacks_rows_is_noticed(tmp_path: Path, form: str) -> None:
    rows = [a_row(event_id=str(n), title="a\r\nb\n") for n in range(3)]
    file = encode_rows(rows, tmp_path)[form]
    assert finish_file(file.key, file.path, 3).rows == 3
    with pytest.raises(ValueError, match="counts 3 rows, 4 were written"):
        finish_file(file.key, file.path, 4)


def test_formats_are_named_in_any_order() -> None:
    assert parse_formats(" json, parquet") == ("parquet", "json")
    assert formats_among({"events_csv", "usage", "events"}) == ("parquet", "csv")
    for wrong in ("", "parquet,", "avro", "csv,csv", "Parquet"):
        with pytest.raises(ValueError, match="format"):
            parse_formats(wrong)
