"""Chosen properties become typed columns; what does not fit is null and counted."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.arrow_schema import FILE_SCHEMA
from exporter.encode import encode_events
from exporter.layout import Layout
from exporter.promote import Promotion, parse_promotions, promote_columns
from tests.unit.rows import a_row, row_batch
from tests.unit.test_formats import read_csv, read_json

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def promoted(promote: str, *properties: Any) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The promoted columns of some events, and what did not fit."""
    promotions = parse_promotions(promote)
    misfits: Counter[str] = Counter()
    rows = [
        a_row(properties=p if p is None or isinstance(p, str) else json.dumps(p))
        for p in properties
    ]
    (batch,) = promote_columns([row_batch(*rows)], promotions, misfits)
    return batch.select([p.column for p in promotions]).to_pylist(), misfits


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("double", 12.5, 12.5), ("double", 12, 12.0), ("double", "12.50", 12.5),
        ("double", "-1e3", -1000.0),
        ("int", 12, 12), ("int", 12.0, 12), ("int", "-12", -12), ("int", 2**63 - 1, 2**63 - 1),
        ("bool", True, True), ("bool", False, False), ("bool", "true", True),
        ("string", "", ""), ("string", "é\n", "é\n"), ("string", 12.5, "12.5"),
        ("string", True, "true"),
        ("timestamp", "2026-11-21T12:00:00Z", NOON),
        ("timestamp", "2026-11-21T13:00:00.000+01:00", NOON),
        ("timestamp", "2026-11-21 12:00", NOON), ("timestamp", "2026-11-21", NOON.replace(hour=0)),
        ("timestamp", NOON.timestamp(), NOON), ("timestamp", int(NOON.timestamp() * 1000), NOON),
    ],
)  # fmt: skip
def test_a_value_becomes_its_type(kind: str, value: Any, expected: Any) -> None:
    rows, misfits = promoted(f"properties.v:{kind}", {"v": value}, {"v": None}, {}, None)
    assert rows == [{"p_v": expected}, {"p_v": None}, {"p_v": None}, {"p_v": None}]
    assert not misfits, "what is absent is no misfit"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *[("double", v) for v in (True, "", " 1", "1,5", "12 €", "nan", "1e999", "0x1", "١", [1])],
        *[("int", v) for v in (True, 1.5, 2**63, 1e300, "1.0", "", {"a": 1}, 10**30)],
        *[("bool", v) for v in (0, 1, "yes", "True", [])],
        *[("string", v) for v in ({"a": 1}, [])],
        *[("timestamp", v) for v in ("today", "2026-13-01", "12:00", True, 1e300, "")],
        ("timestamp", "0001-01-01T00:00:00+12:00"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_null_and_counted(kind: str, value: Any) -> None:
    rows, misfits = promoted(f"properties.v:{kind}", {"v": value})
    assert rows == [{"p_v": None}]
    assert misfits == {"p_v": 1}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.just("2026-01-01"),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
EVERY = (
    "properties.a:int,properties.a:double as d,eventData.b.a:string,properties.b:bool,"
    "properties.c:timestamp"
)


@given(st.lists(st.none() | st.dictionaries(st.sampled_from(["a", "b", "c"]), JSON), max_size=5))
def test_no_properties_whatever_break_a_delivery(properties: list[Any]) -> None:
    if properties:
        rows, _ = promoted(EVERY, *properties)
        assert len(rows) == len(properties)


def test_properties_are_found_by_their_path() -> None:
    rows, misfits = promoted(
        "properties.cart.items.0:string,eventData.cart.total:double as total",
        {"cart": {"total": 3, "items": {"0": "x"}}},
        {"cart": 7},
        '{"cart.total": 9, "big": 1e999}',
    )
    assert rows[0] == {"p_cart_items_0": "x", "total": 3.0}
    assert rows[1:] == [{"p_cart_items_0": None, "total": None}] * 2
    assert not misfits


def test_promotions_are_read_from_a_setting() -> None:
    assert parse_promotions(
        "eventData.cart.totalPrice: double, properties.plan:string as plan"
    ) == (
        Promotion(("cart", "totalPrice"), "double", "p_cart_total_price"),
        Promotion(("plan",), "string", "plan"),
    )
    assert parse_promotions(None) == parse_promotions("") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("price:double", "is no promotion"), ("properties.:int", "is no promotion"),
        ("payload.a:int", "is no promotion"), ("properties.a", "is no promotion"),
        ("properties.a:int as A", "is no promotion"), ("properties.a:int,", "is no promotion"),
        ("properties.a:float", "'float' is no type"),
        ("properties.a:int as title", "the column title is there already"),
        ("properties.a:int as site_id", "the column site_id is there already"),
        ("properties.a:int as hour", "the column hour is there already"),
        ("properties.a:int,properties.A:string", "the column p_a is there already"),
        ("properties.цена:double", "give the column a name"),
        (",".join(f"properties.a{n}:int" for n in range(101)), "at most 100"),
    ],
)  # fmt: skip
def test_what_is_no_promotion_is_named_at_the_start(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_promotions(text)


def encode_days(folder: Path) -> None:
    """Three days: before anything was promoted, with a price, and with a plan as well."""
    promote = (None, "properties.price:double", "properties.price:double,properties.plan:string")
    for day, text in enumerate(promote):
        layout = Layout(promotions=parse_promotions(text))
        row = a_row(event_id=str(day), properties='{"price": 12.5, "plan": "pro"}')
        batches = promote_columns([row_batch(row)], layout.promotions, Counter())
        (file,) = encode_events(batches, segment_id=day, folder=folder, layout=layout)
        target = folder / f"events/day={day:02d}/file.parquet"
        target.parent.mkdir(parents=True)
        file.path.rename(target)


EVOLVED = [("0", None, None), ("1", 12.5, None), ("2", 12.5, "pro")]


def test_old_files_are_read_beside_new_ones_by_duckdb(tmp_path: Path) -> None:
    encode_days(tmp_path)
    found = duckdb.sql(
        f"SELECT event_id, p_price, p_plan FROM read_parquet('{tmp_path}/events/**/*.parquet',"
        " union_by_name = true, hive_partitioning = true) ORDER BY 1"
    )
    assert found.fetchall() == EVOLVED


def test_old_files_are_read_beside_new_ones_by_arrow(tmp_path: Path) -> None:
    encode_days(tmp_path)
    factory = ds.FileSystemDatasetFactory(
        pyarrow.fs.LocalFileSystem(),
        pyarrow.fs.FileSelector(str(tmp_path / "events"), recursive=True),
        ds.ParquetFileFormat(),
        ds.FileSystemFactoryOptions(
            partition_base_dir=str(tmp_path / "events"), partitioning=ds.HivePartitioning.discover()
        ),
    )
    dataset = factory.finish(factory.inspect())
    table = dataset.to_table(columns=["event_id", "p_price", "p_plan"]).sort_by("event_id")
    assert [tuple(row.values()) for row in table.to_pylist()] == EVOLVED
    assert dataset.schema.field("p_price").type == pa.float64()


def test_promoted_columns_are_in_every_format(tmp_path: Path) -> None:
    promotions = parse_promotions(
        "properties.d:double,properties.i:int,properties.b:bool,properties.t:timestamp,"
        "properties.s:string"
    )
    layout = Layout(formats=("parquet", "csv", "json"), promotions=promotions)
    values = {"d": 1, "i": 2**62, "b": False, "t": "0001-01-01", "s": 'a"\n'}
    rows = [a_row(properties=json.dumps(p)) for p in (values, {"d": 1e-300}, {})]
    batches = promote_columns([row_batch(*rows)], promotions, Counter())
    files = {
        file.key.format: file.path
        for file in encode_events(batches, segment_id=7, folder=tmp_path, layout=layout)
    }
    table = pq.read_table(files["parquet"], partitioning=None)
    assert table.schema.equals(layout.schema, check_metadata=True)
    assert table.schema.names[: len(FILE_SCHEMA)] == FILE_SCHEMA.names
    expected = table.to_pylist()
    assert [row["p_d"] for row in expected] == [1.0, 1e-300, None]
    assert read_csv(files["csv.gz"], layout.schema) == expected
    assert read_json(files["json.gz"], layout.schema) == expected
