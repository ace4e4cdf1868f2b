"""Folders by a template, cut by either time: read by others, billed as ever."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as ds
import pytest
from sqlalchemy import Engine

from core.manifest import decode_owner, encode_json
from core.receipt import decode_receipt
from core.settings import SettingsError, read_settings
from database.file_counts import FileCount, count_files
from exporter.describe import describe_bucket
from exporter.file_watch import files_a_day
from exporter.settings import ExporterSettings
from tests.conftest import an_event
from tests.integration.building import Exporting, query, write_now
from tests.integration.test_formats import manifest_of, problems

TYPES = {"PARTITION_TEMPLATE": "site_id/type/year/month/day"}
LONG = "t" * 150


def an_exporting(database_url: str, engine: Engine, tmp_path: Path, **variables: str) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets", variables=variables)


def some_events(exporting: Exporting) -> None:
    write_now(
        exporting.database_url,
        an_event(eventId="a", eventType="click"), an_event(eventId="a", eventType="click"),
        an_event(eventId="b", eventType="page view", siteId="b.example"),
        an_event(eventId="c", eventType=LONG), {"eventType": ""},
    )  # fmt: skip


def test_types_get_folders_of_their_own_and_stay_in_the_files(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = an_exporting(database_url, engine, tmp_path, **TYPES)
    some_events(exporting)
    exporting.run()
    exporting.put_receipts()
    root = exporting.client_root / "analytics/events"
    folders = {
        str(path.relative_to(root).parent.parent.parent.parent) for path in root.rglob("*.parquet")
    }
    assert folders == {
        "site_id=shop.example/type=click", "site_id=b.example/type=page%20view",
        "site_id=shop.example/type=%28other%29",
    }  # fmt: skip
    expected = [("a", "click", "click"), ("b", "page view", "page view"), ("c", LONG, "(other)")]
    by_duckdb = duckdb.sql(
        "SELECT event_id, event_type, type"
        f" FROM read_parquet('{root}/**/*.parquet', hive_partitioning = true) ORDER BY 1"
    )
    assert by_duckdb.fetchall() == expected
    table = ds.dataset(root, partitioning="hive").to_table(["event_id", "event_type", "type"])
    assert sorted(tuple(row.values()) for row in table.to_pylist()) == expected
    for sink in exporting.sinks:
        assert problems(sink) == []
        assert exporting.committed_ids(sink) == Counter("abc")


def test_the_bucket_describes_the_folders_that_it_has(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = an_exporting(database_url, engine, tmp_path, **TYPES)
    some_events(exporting)
    exporting.run()
    owner = decode_owner(exporting.client.bucket.get("analytics/_sluice/owner.json") or b"")
    assert describe_bucket(exporting.client, owner, exporting.settings)
    told = exporting.client.bucket.get("analytics/_sluice/schema/v1/duckdb.sql") or b""
    connection = duckdb.connect()
    of_events, found, _ = told.decode().partition('CREATE OR REPLACE VIEW "identities"')
    assert found, "which stands behind it, and has no files here"
    connection.execute(of_events)
    rows = connection.execute("SELECT event_id, type, site_id FROM events ORDER BY 1").fetchall()
    assert rows == [
        ("a", "click", "shop.example"), ("b", "page view", "b.example"),
        ("c", "(other)", "shop.example"),
    ]  # fmt: skip


def test_a_changed_template_holds_for_what_comes_after(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = an_exporting(database_url, engine, tmp_path)
    write_now(database_url, an_event(eventId="a"))
    exporting.run()
    exporting = an_exporting(database_url, engine, tmp_path, **TYPES)
    write_now(database_url, an_event(eventId="b"))
    exporting.run()
    exporting.put_receipts()
    assert exporting.committed_ids(exporting.client) == Counter("ab")
    assert problems(exporting.client) == problems(exporting.metering) == []
    root = exporting.client_root / "analytics/events"
    dataset = ds.dataset(
        root, partitioning=ds.partitioning(flavor="hive"), exclude_invalid_files=False
    )
    assert sorted(dataset.to_table(["event_id"]).column(0).to_pylist()) == ["a", "b"]
    found = duckdb.sql(
        f"SELECT event_id, regexp_extract(filename, 'site_id=([^/]*)', 1)"
        f" FROM read_parquet('{root}/**/*.parquet', hive_partitioning = false, filename = true)"
        " ORDER BY 1"
    ).fetchall()
    assert found == [("a", "shop.example"), ("b", "shop.example")]


def test_cut_by_when_it_happened_events_are_billed_by_when_they_came(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = an_exporting(
        database_url, engine, tmp_path, PARTITION_BY="occurred_at", LATENESS="2d",
        PARTITION_TEMPLATE="site_id/year/month/day",
    )  # fmt: skip
    names = {"just now": "0 h", "yesterday": "24 h", "long ago": "9 d", "tomorrow": "-24 h"}
    committed = write_now(database_url, *[an_event(eventId=name) for name in names])
    for name, ago in names.items():
        query(
            database_url,
            "UPDATE events_log SET occurred_at = received_at - CAST(%s AS interval)"
            " WHERE payload->>'eventId' = %s",
            ago,
            name,
        )
    sealed = exporting.run()
    exporting.put_receipts()
    root = exporting.client_root / "analytics/events"
    found = duckdb.sql(
        # DuckDB takes what begins with a zero for text.
        "SELECT event_id, make_date(year::BIGINT, month::BIGINT, day::BIGINT)"
        f" FROM read_parquet('{root}/**/*.parquet', hive_partitioning = true)"
    ).fetchall()
    day = committed.received_at.date()
    assert dict(found) == {
        "just now": day, "yesterday": day - timedelta(days=1), "long ago": day, "tomorrow": day,
    }  # fmt: skip
    (key,) = exporting.client.bucket.list_keys("analytics/_sluice/receipts/")
    receipt = decode_receipt(exporting.client.bucket.get(key) or b"")
    assert [(d.day, d.events) for d in receipt.billed_by_day] == [(day, 4)]
    assert receipt.partitioned_by == "occurred_at"
    assert manifest_of(exporting.client, sealed.segment_id).partitioned_by == "occurred_at"
    assert problems(exporting.client) == problems(exporting.metering) == []


def test_a_receipt_that_hides_a_site_is_found_whichever_time_cuts(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = an_exporting(database_url, engine, tmp_path, PARTITION_BY="occurred_at")
    some_events(exporting)
    exporting.run()
    exporting.put_receipts()
    import msgspec

    (key,) = exporting.client.bucket.list_keys("analytics/_sluice/receipts/")
    receipt = decode_receipt(exporting.client.bucket.get(key) or b"")
    moved = [msgspec.structs.replace(day, site_id="c.example") for day in receipt.billed_by_day]
    forged = msgspec.structs.replace(receipt, billed_by_day=moved)
    exporting.client.bucket.put(key, exporting.exporter.keys[-1].sign(forged))
    assert any("billed by site is not" in problem for problem in problems(exporting.client))


def test_a_manifest_from_before_there_was_a_choice_is_cut_by_receipt(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = an_exporting(database_url, engine, tmp_path)
    sealed = exporting.run()
    manifest = manifest_of(exporting.client, sealed.segment_id)
    old = encode_json(manifest).replace(b',\n  "partitioned_by": "received_at"', b"")
    assert b"partitioned_by" not in old
    exporting.client.bucket.put(f"analytics/_sluice/manifests/{sealed.segment_id:012d}.json", old)
    assert manifest_of(exporting.client, sealed.segment_id) == manifest


# --- the guard ---------------------------------------------------------------------------------


def test_files_are_counted_as_each_template_would_make_them(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = an_exporting(database_url, engine, tmp_path)
    for _ in range(2):
        some_events(exporting)
        exporting.run()
    query(
        database_url,
        "UPDATE ledger SET received_hour = received_hour - interval '2 h'"
        " WHERE event_type = 'click'",
    )
    query(
        database_url,
        "UPDATE segments SET opened_at = sealed_at - interval '6 h' WHERE segment_id = 1",
    )
    with engine.connect() as connection:
        counted = {
            (hour, kind): count_files(connection, has_hour=hour, has_type=kind)
            for hour in (False, True)
            for kind in (False, True)
        }
    if datetime.now(UTC).hour >= 3:  # else the two hours lie on two days
        assert [c.files for c in counted.values()] == [4, 6, 6, 6]
    assert counted[True, True].events == 8
    assert 5.9 < counted[True, True].hours < 6.5


def test_too_many_files_are_told_before_they_are_many(
    database_url: str, engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    variables = TYPES | {"WARN_FILES_PER_DAY": "10", "CLIENT_FORMATS": "parquet,csv"}
    exporting = an_exporting(database_url, engine, tmp_path, **variables)
    exporting.exporter.watch_files()
    some_events(exporting)
    exporting.run()
    exporting.exporter.watch_files()
    assert not caplog.records, "of an instant nobody can tell a day"
    query(
        database_url,
        "UPDATE segments SET opened_at = sealed_at - interval '12 h' WHERE state <> 'open'",
    )
    exporting.exporter.watch_files()
    (record,) = caplog.records
    assert record.message.startswith("the partitions are too small")
    facts: dict[str, Any] = vars(record)
    assert (facts["files_per_day"], facts["events_per_file"]) == (12, 1)
    exporting.exporter.say_state()
    seen = query(database_url, "SELECT seen->'files_per_day' FROM exporter_state")
    assert seen == [(12,)]


def test_a_day_is_told_from_the_hours_that_are_known() -> None:
    assert files_a_day(FileCount(50, 500, 6.0), formats=2) == 400
    assert files_a_day(FileCount(50, 500, 24.0), formats=1) == 50
    assert files_a_day(FileCount(0, 0, 0.0), formats=1) is None


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PARTITION_TEMPLATE": "site_id/year/month"}, "PARTITION_TEMPLATE: day is missing"),
        ({"PARTITION_TEMPLATE": "site_id/year/month/day/{visitor_id}"}, "is no part of a key"),
        ({"PARTITION_BY": "sent_at"}, "PARTITION_BY"),
        ({"LATENESS": "soon"}, "LATENESS"),
    ],
)
def test_layouts_that_cannot_be_are_named_at_the_start(
    variables: dict[str, str], message: str
) -> None:
    given = {
        "DATABASE_URL": "postgresql://db/x", "CLIENT_S3_BUCKET": "c", "METERING_S3_BUCKET": "m",
    }  # fmt: skip
    with pytest.raises(SettingsError, match=message):
        read_settings(ExporterSettings, given | variables)
