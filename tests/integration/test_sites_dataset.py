"""`sites/`: every site that was new or decided, in the segment in which it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

from database.embedded import EmbeddedServer
from database.engine import sync_engine
from exporter.sinks.open import Sink
from exporter.sites import SITES_SCHEMA
from tests.conftest import ROOT, an_event, with_database
from tests.integration.building import Exporting, collect, query, read_parquet, serving
from tests.integration.test_failed import listed


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets")


def site_rows(sink: Sink, segment_id: int) -> list[dict[str, Any]]:
    return [
        row for one in listed(sink, segment_id, "sites") for row in read_parquet(sink, one["key"])
    ]


def use(database_url: str, *steps: Any, **variables: str) -> None:
    """Send events, or decide (site, state), through the whole application."""

    async def act() -> None:
        async with serving(database_url, **variables) as http:
            for step in steps:
                if isinstance(step, tuple):
                    site, state = step
                    answer = await http.put(f"/sites/{site}", json={"state": state})
                else:
                    answer = await collect(http, step)
                assert answer.status_code in (200, 403), answer.text

    asyncio.run(act())


def test_a_site_is_told_once_when_it_is_first_seen(exporting: Exporting) -> None:
    use(exporting.database_url, an_event(url="https://shop.example/p?q=secret"), an_event())
    first = exporting.run()
    use(exporting.database_url, an_event())
    second = exporting.run()
    for sink in exporting.sinks:
        (row,) = site_rows(sink, first.segment_id)
        assert (row["site_id"], row["state"]) == ("shop.example", "accepted")
        assert first.opened_at <= row["first_seen_at"] < first.sealed_at
        assert row["changed_at"] == row["first_seen_at"]
        assert row["first_url"] == "https://shop.example"
        assert (row["decided_at"], row["first_dialect"]) == (None, "native")
        assert row["segment_id"] == first.segment_id
        assert site_rows(sink, second.segment_id) == []


def test_the_vendor_gets_sites_in_any_mode(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"METERING_MODE": "usage"})
    use(database_url, an_event())
    sealed = exporting.run()
    assert [row["site_id"] for row in site_rows(exporting.metering, sealed.segment_id)] == [
        "shop.example"
    ]


def test_each_decision_stands_in_the_segment_in_which_it_was_taken(exporting: Exporting) -> None:
    """Also in a bucket that gets the segment when the site has been decided anew."""
    use(
        exporting.database_url,
        an_event(siteId="a.example"),
        ("a.example", "accepted"),
        ("b.example", "refused"),
        NEW_SITES="quarantine",
    )
    first = exporting.seal()
    exporting.deliver(exporting.client)
    use(exporting.database_url, ("a.example", "refused"))
    second = exporting.seal()
    exporting.deliver()
    for sink in exporting.sinks:
        told = [(row["site_id"], row["state"]) for row in site_rows(sink, first.segment_id)]
        assert told == [
            ("a.example", "quarantined"), ("a.example", "accepted"), ("b.example", "refused"),
        ]  # fmt: skip
        (row,) = site_rows(sink, second.segment_id)
        assert (row["site_id"], row["state"]) == ("a.example", "refused")
        assert second.opened_at <= row["changed_at"] < second.sealed_at
    for sealed in (first, second):
        client, metering = (listed(s, sealed.segment_id, "sites")[0] for s in exporting.sinks)
        assert client["sha256"] == metering["sha256"]


def test_the_newest_row_of_each_site_is_the_list_of_sites(exporting: Exporting) -> None:
    use(exporting.database_url, an_event(siteId="a.example"), an_event(siteId="b.example"))
    exporting.run()
    use(exporting.database_url, ("b.example", "refused"), ("b.example", "quarantined"))
    exporting.run()
    newest = duckdb.sql(
        "SELECT site_id, state FROM read_parquet("
        f"'{exporting.client_root}/analytics/sites/**/*.parquet')"
        " QUALIFY row_number() OVER (PARTITION BY site_id ORDER BY changed_at DESC) = 1 ORDER BY 1"
    ).fetchall()
    assert newest == query(
        exporting.database_url, "SELECT site_id, state FROM sites ORDER BY site_id"
    )
    assert newest == [("a.example", "accepted"), ("b.example", "quarantined")]


def test_the_file_has_the_schema(exporting: Exporting) -> None:
    use(exporting.database_url, an_event())
    sealed = exporting.run()
    (one,) = listed(exporting.client, sealed.segment_id, "sites")
    assert pq.read_schema(exporting.client_root / one["key"]).equals(SITES_SCHEMA)
    never_null = [f.name for f in SITES_SCHEMA if b"never_null" in f.metadata]
    (row,) = site_rows(exporting.client, sealed.segment_id)
    assert [name for name in never_null if row[name] is None] == []


def test_changes_go_with_their_segment(database_url: str, engine: Engine, tmp_path: Path) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"BUFFER_RETENTION": "0s"})
    use(database_url, an_event(siteId="a.example"))
    exporting.run()
    use(database_url, an_event(siteId="b.example"))
    waiting = exporting.seal()
    exporting.exporter.drop_expired()
    assert query(database_url, "SELECT segment_id, site_id FROM site_changes") == [
        (waiting.segment_id, "b.example")
    ]


def test_an_upgrade_tells_the_sites_that_are_known_already(postgres: EmbeddedServer) -> None:
    query(postgres.url, "CREATE DATABASE before_the_datasets")
    url = with_database(postgres.url, "before_the_datasets")
    engine = sync_engine(url, application_name="tests")
    config = Config()
    config.set_main_option("script_location", str(ROOT / "database" / "migrations"))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.commit()
        query(
            url,
            "INSERT INTO sites VALUES ('a.example', 'accepted', now(), 'native', NULL, NULL),"
            " ('b.example', 'refused', now(), 'native', NULL, now())",
        )
        command.upgrade(config, "head")
        connection.commit()
    engine.dispose()
    assert query(
        url,
        "SELECT site_id, c.state, segment_id FROM site_changes AS c JOIN segments USING"
        " (segment_id) WHERE segments.state = 'open' ORDER BY site_id",
    ) == [("a.example", "accepted", 1), ("b.example", "refused", 1)]
