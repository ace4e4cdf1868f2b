"""What stands in a bucket to describe it: put once it is ours, true, and read by an engine."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import Engine

from exporter.schemas.datasets import describe_datasets, parquet_datasets
from exporter.schemas.ddl import ENGINES, write_ddl
from exporter.schemas.location import Location
from exporter.sinks.sink import Bucket, SinkUnavailable
from tests.conftest import an_event
from tests.integration.building import Exporting, collect, query, read_parquet, serving
from tests.integration.recording import a_chunk, post
from tests.integration.test_delivery import FailingBucket
from tests.integration.test_failed import listed
from tests.integration.test_receipts import problems

SCHEMA = "_sluice/schema/v1"
DATASETS = {"events", "identities", "failed", "sites", "replay", "replay_index"}


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets")


def fill(exporting: Exporting) -> int:
    """Events of two sites, a link, refusals, a recording; returns the segment."""

    async def send() -> None:
        async with serving(exporting.database_url) as http:
            await collect(http, {"eventType": "bare"})
            await collect(http, an_event(siteId="b/ü.example", properties={"price": 3}))
            await collect(http, an_event(eventType="login", userId="u-1"))
            await collect(http, an_event(title=3))
            await collect(http, b"nonsense")
            await post(http, a_chunk(0))

    asyncio.run(send())
    return exporting.run().segment_id


def describe(exporting: Exporting) -> None:
    for sink in exporting.sinks:
        exporting.exporter.describe(sink)


def test_a_bucket_that_is_not_ours_yet_is_left_alone(exporting: Exporting) -> None:
    describe(exporting)
    assert list(exporting.client.bucket.list_keys("")) == []
    exporting.run()
    describe(exporting)
    keys = list(exporting.client.bucket.list_keys("analytics/_"))
    assert "analytics/_README.md" in keys
    exporting.client.bucket.put("analytics/_README.md", b"somebody's own")
    exporting.client.bucket.put("analytics/_sluice/owner.json", b"{}")
    exporting.restart()
    describe(exporting)
    assert exporting.client.bucket.get("analytics/_README.md") == b"somebody's own"


def test_each_bucket_is_told_of_what_it_gets(exporting: Exporting) -> None:
    fill(exporting)
    describe(exporting)
    for sink, names in (
        (exporting.client, DATASETS),
        (exporting.metering, DATASETS | {"usage"}),
    ):
        folder = f"{sink.prefix}/{SCHEMA}/"
        found = {key.removeprefix(folder) for key in sink.bucket.list_keys(folder)}
        ddl = {"glue.json", *(f"{e}.sql" for e in ENGINES if e != "glue")}
        assert found == ddl | {f"{name}.json" for name in names}
        readme = (sink.bucket.get(f"{sink.prefix}/_README.md") or b"").decode()
        for name in names:
            assert f"`{name}/`" in readme
    exporting.put_receipts()
    assert problems(exporting.client) == problems(exporting.metering) == []


def test_it_is_put_again_only_where_it_would_say_something_else(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    put: list[str] = []

    class Watched:
        def __init__(self, bucket: Bucket) -> None:
            self._bucket = bucket

        def put(self, key: str, body: bytes) -> None:
            put.append(key)
            self._bucket.put(key, body)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._bucket, name)

    exporting = Exporting(
        database_url,
        engine,
        tmp_path,
        wrap=lambda bucket, _: Watched(bucket),  # type: ignore[return-value]
    )
    exporting.run()
    describe(exporting)
    put.clear()
    exporting.restart()
    describe(exporting)
    assert put == []
    stale = f"analytics/{SCHEMA}/events.json"
    exporting.client.bucket.put(stale, b"of an older release")
    put.clear()
    describe(exporting)
    assert put == [], "once after each start"
    exporting.restart()
    describe(exporting)
    assert put == [stale]


@pytest.mark.parametrize("at", [1, 3, 8, 12])
def test_a_bucket_that_fails_in_between_is_described_the_next_time(
    database_url: str, engine: Engine, tmp_path: Path, at: int
) -> None:
    exporting = Exporting(database_url, engine, tmp_path)
    exporting.run()
    sink = exporting.client
    failing = FailingBucket(sink.bucket, at=at, after=False, exception=SinkUnavailable)
    exporting.sinks[0] = type(sink)(sink.name, failing, sink.prefix, sink.datasets)
    with pytest.raises(SinkUnavailable):
        exporting.exporter.describe(exporting.client)
    exporting.exporter.describe(exporting.client)
    assert len(list(sink.bucket.list_keys(f"analytics/{SCHEMA}/"))) == len(DATASETS) + len(ENGINES)


def test_the_columns_that_are_never_null_are_those(exporting: Exporting) -> None:
    segment_id = fill(exporting)
    for name, dataset in describe_datasets().items():
        if dataset.format != "parquet":
            continue
        rows = [
            row
            for one in listed(exporting.metering, segment_id, name)
            for row in read_parquet(exporting.metering, one["key"])
        ]
        assert rows, name
        assert set(rows[0]) == {c.name for c in dataset.columns}
        for row in rows:
            null = {column for column, value in row.items() if value is None}
            assert null <= {c.name for c in dataset.columns if c.nullable}, name
    (bare,) = [
        row
        for one in listed(exporting.client, segment_id, "events")
        for row in read_parquet(exporting.client, one["key"])
        if row["event_type"] == "bare"
    ]
    described = describe_datasets()["events"].columns
    of_the_request = {"ip", "user_agent", "bot_reason", "device_type"}
    said = {name for name, value in bare.items() if value is not None} - of_the_request
    assert said == {c.name for c in described if not c.nullable}, (
        "what a minimal event has is what every event has"
    )


def test_duckdb_reads_every_dataset_by_the_statements_in_the_bucket(exporting: Exporting) -> None:
    segment_id = fill(exporting)
    describe(exporting)
    connection = duckdb.connect()
    sink = exporting.metering
    connection.execute((sink.bucket.get(f"{sink.prefix}/{SCHEMA}/duckdb.sql") or b"").decode())
    for dataset in parquet_datasets(describe_datasets()):
        (counted,) = connection.execute(f'SELECT count(*) FROM "{dataset.name}"').fetchone() or ()
        assert counted == sum(o["rows"] for o in listed(sink, segment_id, dataset.name)) > 0
        names = [c.name for c in (*dataset.columns, *dataset.key_columns)]
        found = connection.execute(f'DESCRIBE "{dataset.name}"').fetchall()
        assert [row[0] for row in found] == names
    sites = connection.execute(
        "SELECT site_id, properties, day FROM events WHERE site_id = 'b/ü.example'"
    ).fetchall()
    assert [(s, json.loads(p)) for s, p, _ in sites] == [("b/ü.example", {"price": 3})]
    (by_reason,) = (
        connection.execute("SELECT list(reason ORDER BY reason) FROM failed").fetchone() or ()
    )
    assert by_reason == ["invalid_event", "invalid_json"]


def test_clickhouse_reads_every_dataset_by_the_statements_in_the_bucket(
    exporting: Exporting,
) -> None:
    if importlib.util.find_spec("chdb") is None:
        pytest.skip("chdb's wheel has 181 MB: `make readers` installs it")
    from chdb.session import Session

    segment_id = fill(exporting)
    describe(exporting)
    session, sink = Session(), exporting.metering
    statements = (sink.bucket.get(f"{sink.prefix}/{SCHEMA}/clickhouse.sql") or b"").decode()
    for statement in filter(str.strip, statements.split(";\n")):
        session.query(statement)
    for dataset in parquet_datasets(describe_datasets()):
        due = sum(o["rows"] for o in listed(sink, segment_id, dataset.name))
        counted = session.query(f"SELECT count() FROM {dataset.name} WHERE NOT ignore(*)", "CSV")
        assert int(str(counted)) == due > 0, dataset.name
    sites = session.query("SELECT site_id, year > 2000 FROM events ORDER BY site_id LIMIT 1", "CSV")
    assert str(sites).strip() == '"b/ü.example",1'
    session.close()


def test_a_view_has_the_columns_that_no_file_has_yet(exporting: Exporting) -> None:
    """As after an upgrade, before the first delivery with a new column."""
    fill(exporting)
    (old,) = list(exporting.client_root.glob("analytics/sites/*/*/*/*.parquet"))
    duckdb.sql(f"COPY (SELECT * EXCLUDE (first_url) FROM '{old}') TO '{old}.tmp' (FORMAT parquet)")
    Path(f"{old}.tmp").rename(old)
    connection = duckdb.connect()
    location = Location(exporting.client_root.as_uri(), "analytics")
    connection.execute(write_ddl("duckdb", parquet_datasets(["sites"]), location))
    rows = connection.execute("SELECT first_url FROM sites").fetchall()
    assert rows
    assert set(rows) == {(None,)}


def test_promoted_columns_are_described_where_they_are(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    variables = {"PROMOTE": "properties.price:double"}
    exporting = Exporting(database_url, engine, tmp_path, variables=variables)
    fill(exporting)
    describe(exporting)
    told = json.loads(exporting.client.bucket.get(f"analytics/{SCHEMA}/events.json") or b"")
    assert {c["name"]: c["type"] for c in told["columns"]}["p_price"] == "double"
    connection = duckdb.connect()
    statements = exporting.client.bucket.get(f"analytics/{SCHEMA}/duckdb.sql") or b""
    connection.execute(statements.decode())
    assert connection.execute("SELECT sum(p_price) FROM events").fetchall() == [(3.0,)]
    of_backup = exporting.metering.bucket.get(f"clients/demo/{SCHEMA}/events.json") or b""
    assert b"p_price" not in of_backup


def test_the_readmes_own_query_runs(exporting: Exporting) -> None:
    fill(exporting)
    describe(exporting)
    readme = (exporting.client.bucket.get("analytics/_README.md") or b"").decode()
    statement = readme.split("```sql\n")[1].split("```")[0]
    now = query(
        exporting.database_url,
        "SELECT extract(year FROM now() AT TIME ZONE 'UTC')::int,"
        " extract(month FROM now() AT TIME ZONE 'UTC')::int",
    )[0]
    statement = statement.replace("2026", str(now[0])).replace("month = 11", f"month = {now[1]}")
    assert duckdb.sql(statement).fetchall() == [("login", 1)]
