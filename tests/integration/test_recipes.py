"""The recipes of docs/reading.md, word by word: each counts what the senders were told."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sqlalchemy import Engine

from exporter.reading import pull
from tests.conftest import ROOT, an_event
from tests.integration.building import Exporting, write_now

Counted = Counter[tuple[str, str]]

_BLOCK = re.compile(
    r"^<!-- runs on (?P<where>[a-z0-9 ,]+) -->\n```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.S | re.M,
)
BLOCKS = [match.groupdict() for match in _BLOCK.finditer((ROOT / "docs/reading.md").read_text())]
SITES = ("shop.example", "007", "b/ü.example")


def recipes(where: str) -> list[Any]:
    """Those that count something, each with its tool as the name."""
    chosen = [b for b in BLOCKS if b["where"].startswith(where) and "count" in b["code"]]
    return [pytest.param(b, id=name_of(b)) for b in chosen]


def name_of(block: dict[str, str]) -> str:
    found = re.findall(r"duckdb|chdb|polars|pandas|read_events|open_events|pyarrow", block["code"])
    return found[0] if found else "duckdb"


def needs_its_tool(block: dict[str, str]) -> None:
    if "chdb" in block["where"] and importlib.util.find_spec("chdb") is None:
        pytest.skip("chdb's wheel has 181 MB: `make readers` installs it")


@pytest.fixture
def told(database_url: str, engine: Engine, tmp_path: Path) -> tuple[Exporting, Counted]:
    """A bucket with repeats, refusals and odd sites, and what the senders were told of it.

    The last segment is being delivered: its objects are there, its manifest is not.
    """
    exporting = Exporting(database_url, engine, tmp_path / "buckets")
    counted: Counted = Counter()
    for n in range(3):
        events = [
            an_event(siteId=site, eventType=kind, eventId=f"{site}-{kind}-{n}-{m}")
            for site in SITES
            for kind in ("page_view", "click")
            for m in range(n + 1)
        ]
        counted.update((e["siteId"], e["eventType"]) for e in events)
        write_now(database_url, *events, events[0], {"eventType": ""})
        exporting.run()
    sluice = exporting.client_root / "analytics/_sluice"
    settled = (sluice / "watermark.json").read_bytes()
    write_now(database_url, an_event(eventType="click"), an_event(eventType="not_yet"))
    unsettled = exporting.run()
    (
        exporting.client_root / f"analytics/_sluice/manifests/{unsettled.segment_id:012d}.json"
    ).unlink()
    (exporting.client_root / "analytics/_sluice/watermark.json").write_bytes(settled)
    return exporting, counted


@pytest.mark.parametrize("block", recipes("a folder"))
def test_a_recipe_counts_in_a_pulled_folder(
    told: tuple[Exporting, Counted],
    block: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs_its_tool(block)
    exporting, counted = told
    pull(exporting.client.bucket, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert run(block, {}) == counted


@pytest.mark.parametrize("block", recipes("s3"))
def test_a_recipe_counts_in_a_bucket(
    told: tuple[Exporting, Counted],
    block: dict[str, str],
    s3_client: Any,
    s3_bucket: str,
    s3_endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs_its_tool(block)
    exporting, counted = told
    for path in exporting.client_root.rglob("*.*"):
        if path.is_file():
            key = path.relative_to(exporting.client_root).as_posix()
            s3_client.put_object(Bucket=s3_bucket, Key=key, Body=path.read_bytes())
    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    # What stands for Amazon's address and the reader's keys is exchanged, and nothing else.
    exchanged = {
        "https://acme-events.s3.eu-central-1.amazonaws.com": f"{s3_endpoint}/{s3_bucket}",
        "acme-events": s3_bucket,
        "S3FileSystem(": f"S3FileSystem(endpoint_override='{s3_endpoint}', ",
        "SECRET-ACCESS-KEY": "test-secret",
        "ACCESS-KEY-ID": "test-key",
    }
    names: dict[str, Any] = {}
    (watermark,) = [b for b in BLOCKS if "watermark =" in b["code"]]
    for part in (watermark, block):
        code = part["code"]
        for ours, here in exchanged.items():
            code = code.replace(ours, here)
        found = run(part | {"code": code}, names)
    assert found == counted


def run(block: dict[str, str], names: dict[str, Any]) -> Counted:
    """Execute a recipe; what it counted, by site and type."""
    if block["language"] == "sql":
        return Counter({(site, kind): n for site, kind, n in duckdb.sql(block["code"]).fetchall()})
    exec(block["code"], names)
    return Counter({(site, kind): int(n) for site, kind, n in rows_of(names.get("counts"))})


def rows_of(counts: Any) -> list[tuple[Any, ...]]:
    """Whatever a tool calls a table."""
    match counts:
        case None:
            return []
        case pd.Series():
            return [(*labels, n) for labels, n in counts.items()]
        case pl.DataFrame():
            return counts.rows()
        case pa.Table():
            return [tuple(row.values()) for row in counts.to_pylist()]
        case duckdb.DuckDBPyConnection():
            return counts.fetchall()
        case _:
            return [tuple(row) for row in csv.reader(io.StringIO(str(counts)))]


def test_every_tool_that_can_run_here_has_a_recipe() -> None:
    assert {p.id for p in recipes("a folder") + recipes("s3")} >= {
        "duckdb", "read_events", "pandas", "polars", "open_events", "pyarrow", "chdb"
    }  # fmt: skip


@pytest.mark.parametrize("suffix", ["parquet", "csv.gz", "json.gz"])
@pytest.mark.parametrize("reader", ["duckdb", "polars", "pandas", "chdb"])
def test_an_outside_reader_counts_what_senders_were_told_in_each_format(
    database_url: str, engine: Engine, tmp_path: Path, suffix: str, reader: str
) -> None:
    if reader == "chdb":
        needs_its_tool({"where": "chdb"})
    exporting = Exporting(
        database_url, engine, tmp_path, variables={"CLIENT_FORMATS": "parquet,csv,json"}
    )
    told: Counter[str] = Counter()
    for n in range(2):
        odd = an_event(eventType="odd", title='a "quoted",\r\nbroken line', properties={"n": n})
        events = [an_event(siteId="007"), odd, *(an_event(eventType="click") for _ in range(5))]
        told.update(e["eventType"] for e in events)
        write_now(database_url, *events, events[0], {"eventType": ""})
        exporting.run()
    folder = {"parquet": "events", "csv.gz": "events_csv", "json.gz": "events_json"}[suffix]
    counted = count_outside(reader, exporting.client_root / "analytics" / folder, suffix)
    assert counted == told
    law = json.loads(
        (exporting.client_root / f"analytics/_sluice/manifests/{1:012d}.json").read_text()
    )
    assert law["counts"]["exported"] == told.total() // 2


def count_outside(reader: str, folder: Path, suffix: str) -> Counter[str]:
    """Events by type, as somebody else's program finds them."""
    files = f"{folder}/**/*.{suffix}"
    match reader:
        case "duckdb":
            table = {
                "parquet": f"read_parquet('{files}')",
                "csv.gz": f"read_csv('{files}', allow_quoted_nulls = false)",
                "json.gz": f"read_json('{files}', union_by_name = true)",
            }[suffix]
            rows = duckdb.sql(f"SELECT event_type, count(*) FROM {table} GROUP BY 1").fetchall()
            return Counter(dict(rows))
        case "polars":
            scan = {
                "parquet": pl.scan_parquet,
                "csv.gz": lambda path: pl.scan_csv(path, infer_schema=False),
                "json.gz": lambda path: pl.scan_ndjson(path, infer_schema_length=None),
            }[suffix]
            counts = scan(files).group_by("event_type").len().collect()
            return Counter(dict(counts.rows()))
        case "pandas":
            read = {
                "parquet": pd.read_parquet,
                "csv.gz": pd.read_csv,
                "json.gz": lambda path: pd.read_json(path, lines=True),
            }[suffix]
            frames = [read(path) for path in folder.rglob(f"*.{suffix}")]
            return Counter(pd.concat(frames)["event_type"].tolist())
        case _:
            import chdb

            form = {"parquet": "Parquet", "csv.gz": "CSVWithNames", "json.gz": "JSONEachRow"}[
                suffix
            ]
            answer = chdb.query(
                f"SELECT event_type, count() FROM file('{files}', {form}) GROUP BY 1"
                " SETTINGS use_hive_partitioning = 0",
                "CSV",
            )
            return Counter({kind: int(n) for kind, n in csv.reader(io.StringIO(str(answer)))})
