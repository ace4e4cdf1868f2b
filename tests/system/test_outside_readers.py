"""Readers that know nothing of us count what senders were told over HTTP, in every format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

from tests.system.load import Load
from tests.system.running_stack import RunningStack, wait_until

Read = Callable[[Path], list[str]]


def by_duckdb(source: str) -> Read:
    def read(bucket: Path) -> list[str]:
        query = f"SELECT event_id::varchar FROM {source.format(bucket=bucket)}"
        return [event_id for (event_id,) in duckdb.execute(query).fetchall()]

    return read


def by_chdb(form: str, pattern: str) -> Read:
    def read(bucket: Path) -> list[str]:
        chdb = pytest.importorskip(
            "chdb", reason="chdb's wheel has 181 MB: `make readers` installs it"
        )
        source = f"file('{bucket}/{pattern}', '{form}')"
        return str(chdb.query(f"SELECT event_id FROM {source}", "TSV")).split()

    return read


def by_pandas(folder: str, pattern: str, read_file: Callable[[Path], pd.DataFrame]) -> Read:
    def read(bucket: Path) -> list[str]:
        frames = [read_file(path) for path in sorted((bucket / folder).rglob(pattern))]
        return list(pd.concat(frames)["event_id"])

    return read


def by_polars(scan: Callable[[Path], pl.LazyFrame]) -> Read:
    return lambda bucket: scan(bucket).select("event_id").collect()["event_id"].to_list()


READERS: dict[str, Read] = {
    "DuckDB, Parquet": by_duckdb("read_parquet('{bucket}/events/**/*.parquet')"),
    "DuckDB, CSV": by_duckdb(
        "read_csv('{bucket}/events_csv/**/*.csv.gz', allow_quoted_nulls = false)"
    ),
    "DuckDB, JSON": by_duckdb("read_json('{bucket}/events_json/**/*.json.gz')"),
    "Polars, Parquet": by_polars(lambda bucket: pl.scan_parquet(bucket / "events/**/*.parquet")),
    "Polars, CSV": by_polars(
        lambda bucket: pl.scan_csv(bucket / "events_csv/**/*.csv.gz", infer_schema=False)
    ),
    "Polars, JSON": by_polars(lambda bucket: pl.scan_ndjson(bucket / "events_json/**/*.json.gz")),
    "pandas, Parquet": by_pandas("events", "*.parquet", pd.read_parquet),
    "pandas, CSV": by_pandas("events_csv", "*.csv.gz", pd.read_csv),
    "pandas, JSON": by_pandas(
        "events_json", "*.json.gz", lambda path: pd.read_json(path, lines=True)
    ),
    "chdb, Parquet": by_chdb("Parquet", "events/**/*.parquet"),
    "chdb, CSV": by_chdb("CSVWithNames", "events_csv/**/*.csv.gz"),
    "chdb, JSON": by_chdb("JSONEachRow", "events_json/**/*.json.gz"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """A bucket that is settled, and the ids that senders were answered 200 for; some said twice."""
    stack = RunningStack(
        tmp_path_factory.mktemp("readers") / "data",
        settings={"EXPORT_INTERVAL": "2s", "CLIENT_FORMATS": "parquet,csv,json"},
    )
    stack.start()
    load = Load(stack)
    load.start()
    wait_until(
        lambda: stack.get("/export/status")["sinks"][0]["exported"] > 500,
        seconds=60,
        what="a window to be delivered while the next fills",
    )
    load.finish()
    again = [{"eventId": i, "eventType": "click"} for i in sorted(load.told)[:20]]
    stack.post("/collect", {"eventType": "batch", "siteId": "shop.example", "events": again})
    stack.wait_until_delivered()
    stack.stop()
    return stack.bucket("client"), load.told


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_counts_what_senders_were_told(told: tuple[Path, set[str]], reader: str) -> None:
    bucket, ids = told
    assert len(ids) > 100
    found = Counter(READERS[reader](bucket))
    assert set(found) == ids
    assert max(found.values()) == 1
