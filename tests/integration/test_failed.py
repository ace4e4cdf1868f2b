"""`failed/`: what was refused, from the request to the bucket, once and with the first reason."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from core.keys import parse_day_key
from exporter.failed import FAILED_SCHEMA
from exporter.sinks.open import Sink
from exporter.sinks.sink import Bucket, SinkUnavailable
from tests.conftest import a_batch, an_event
from tests.integration.building import Exporting, collect, query, read_parquet, serving
from tests.integration.receipting import problems
from tests.integration.test_delivery import FailingBucket


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets")


def manifest_of(sink: Sink, segment_id: int) -> dict[str, Any]:
    body = sink.bucket.get(f"{sink.prefix}/_sluice/manifests/{segment_id:012d}.json")
    assert body is not None
    manifest: dict[str, Any] = json.loads(body)
    return manifest


def listed(sink: Sink, segment_id: int, dataset: str = "failed") -> list[dict[str, Any]]:
    return [o for o in manifest_of(sink, segment_id)["objects"] if o["dataset"] == dataset]


def failed_rows(sink: Sink, segment_id: int) -> list[dict[str, Any]]:
    return [row for one in listed(sink, segment_id) for row in read_parquet(sink, one["key"])]


def refuse(database_url: str, *bodies: Any, **variables: str) -> None:
    """Send what is refused, through the whole application."""

    async def send() -> None:
        async with serving(database_url, **variables) as http:
            for body in bodies:
                await collect(http, body, user_agent="Test/1.0")

    asyncio.run(send())


def test_what_was_refused_is_delivered_with_its_reason(exporting: Exporting) -> None:
    refuse(
        exporting.database_url,
        a_batch(an_event(), an_event(eventType="click", title=3)),
        b'{"eventType": "broken", "email": "somebody@shop.example"',
    )
    sealed = exporting.run()
    for sink in exporting.sinks:
        (one,) = listed(sink, sealed.segment_id)
        key = parse_day_key(one["key"])
        assert key is not None
        assert (key.dataset, key.segment_id) == ("failed", sealed.segment_id)
        assert key.day.date() == sealed.opened_at.date()
        assert one["rows"] == 2
        wrong_type, broken = read_parquet(sink, one["key"])
        assert (wrong_type["reason"], wrong_type["field"]) == ("invalid_event", "title")
        assert (wrong_type["event_type"], wrong_type["site_id"]) == ("click", "localhost")
        assert (wrong_type["segment_id"], wrong_type["is_cut"]) == (sealed.segment_id, False)
        assert wrong_type["user_agent"] == "Test/1.0"
        assert wrong_type["message"]
        assert sealed.opened_at <= wrong_type["received_at"] < sealed.sealed_at
        assert (broken["reason"], broken["request"]) == ("invalid_json", "POST /collect")
        assert broken["dialect"] is None
        assert "somebody" not in broken["payload"]
        assert manifest_of(sink, sealed.segment_id)["counts"]["rejected"] == 2


def test_the_file_has_the_schema_and_nothing_is_null_that_is_never(exporting: Exporting) -> None:
    refuse(exporting.database_url, b"", b"nonsense", {"eventType": ""})
    sealed = exporting.run()
    (one,) = listed(exporting.client, sealed.segment_id)
    assert pq.read_schema(exporting.client_root / one["key"]).equals(FAILED_SCHEMA)
    never_null = [f.name for f in FAILED_SCHEMA if b"never_null" in f.metadata]
    for row in failed_rows(exporting.client, sealed.segment_id):
        assert [name for name in never_null if row[name] is None] == []


def test_without_refusals_there_is_no_file(exporting: Exporting) -> None:
    sealed = exporting.run()
    assert listed(exporting.client, sealed.segment_id) == []
    assert list(exporting.client.bucket.list_keys("analytics/failed/")) == []


def test_the_vendor_gets_none_where_it_gets_no_events(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"METERING_MODE": "usage"})
    refuse(database_url, b"nonsense")
    sealed = exporting.run()
    assert len(failed_rows(exporting.client, sealed.segment_id)) == 1
    assert failed_rows(exporting.metering, sealed.segment_id) == []


def test_what_a_replay_says_later_changes_nothing_of_what_is_delivered(
    exporting: Exporting,
) -> None:
    """The client's bucket before the replay, the vendor's after it: the same bytes."""
    refuse(
        exporting.database_url,
        an_event(siteId="new.example"),
        an_event(siteId="other.example"),
        NEW_SITES="quarantine",
    )
    sealed = exporting.seal()
    exporting.deliver(exporting.client)

    async def replay(**variables: str) -> Any:
        async with serving(exporting.database_url, **variables) as http:
            await http.put("/sites/new.example", json={"state": "accepted"})
            return (await http.post("/events/rejected/replay", json={"filter": {}})).json()

    answer = asyncio.run(replay(ALLOWED_SITES="new.example"))
    assert len(answer["refused"]) == 1, answer
    asyncio.run(replay(ALLOWED_SITES="new.example", NEW_SITES="quarantine"))
    newest = query(exporting.database_url, "SELECT reason FROM dead_letters ORDER BY site_id")
    assert newest == [("site_quarantined",), ("site_refused",)], "the API tells the newest reason"
    exporting.deliver(exporting.metering)
    for sink in exporting.sinks:
        rows = failed_rows(sink, sealed.segment_id)
        assert [row["reason"] for row in rows] == ["site_quarantined"] * 2
        assert [row["field"] for row in rows] == [row["field"] for row in rows]
    client, metering = (listed(sink, sealed.segment_id)[0] for sink in exporting.sinks)
    assert client["sha256"] == metering["sha256"]


def test_what_is_refused_of_a_replay_is_no_second_letter_of_its_segment(
    exporting: Exporting,
) -> None:
    refuse(exporting.database_url, an_event(title=3))
    first = exporting.run()

    async def replay() -> None:
        async with serving(exporting.database_url) as http:
            await http.post("/events/rejected/replay", json={"filter": {}})

    asyncio.run(replay())
    second = exporting.run()
    assert len(failed_rows(exporting.client, first.segment_id)) == 1
    assert failed_rows(exporting.client, second.segment_id) == []


def test_letters_that_wait_for_a_bucket_are_spared_and_no_more_than_as_many_again(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"MAX_DEAD_LETTERS": "3"})
    refuse(database_url, *[b"nonsense"] * 5)
    waiting = exporting.seal()
    exporting.deliver(exporting.client)
    exporting.exporter.forget_letters()
    exporting.deliver(exporting.metering)
    for sink in exporting.sinks:
        assert len(failed_rows(sink, waiting.segment_id)) == 5, sink.name
    exporting.exporter.forget_letters()
    assert query(database_url, "SELECT count(*) FROM dead_letters") == [(3,)]

    refuse(database_url, *[b"nonsense"] * 20)
    exporting.seal()
    exporting.exporter.forget_letters()
    assert query(database_url, "SELECT count(*) FROM dead_letters") == [(6,)]


def test_letters_that_went_between_two_attempts_leave_a_bucket_that_holds(
    exporting: Exporting, database_url: str
) -> None:
    failing = FailingBucket(exporting.client.bucket, at=6, after=True, exception=SinkUnavailable)
    sink = Sink("client", failing, exporting.client.prefix, exporting.client.datasets)
    refuse(database_url, b"nonsense", b"more of it")
    sealed = exporting.seal()
    exporting.deliver(sink)
    assert exporting.delivery(sealed.segment_id, "client")["state"] != "delivered"
    query(
        database_url,
        "DELETE FROM dead_letters WHERE dead_letter_id ="
        " (SELECT dead_letter_id FROM dead_letters ORDER BY dead_letter_id LIMIT 1)",
    )
    exporting.deliver()
    exporting.put_receipts()
    for one in exporting.sinks:
        assert len(failed_rows(one, sealed.segment_id)) == 1
        assert manifest_of(one, sealed.segment_id)["counts"]["rejected"] == 2
        assert problems(one) == []


def test_a_file_whose_letters_all_went_before_its_manifest_is_swept(
    exporting: Exporting, database_url: str
) -> None:
    class NoManifest:
        def __init__(self, bucket: Bucket) -> None:
            self._bucket = bucket

        def put_if_absent(self, key: str, body: bytes) -> bool:
            if "/manifests/" in key:
                raise SinkUnavailable("away", key=key)
            return self._bucket.put_if_absent(key, body)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._bucket, name)

    client = exporting.client
    failing: Any = NoManifest(client.bucket)
    refuse(database_url, b"nonsense")
    sealed = exporting.seal()
    exporting.deliver(Sink("client", failing, client.prefix, client.datasets))
    assert len(list(client.bucket.list_keys("analytics/failed/"))) == 1
    query(database_url, "DELETE FROM dead_letters")
    exporting.deliver()
    exporting.put_receipts()
    exporting.exporter.sweep(client)
    assert listed(client, sealed.segment_id) == []
    assert list(client.bucket.list_keys("analytics/failed/")) == []
    assert problems(client) == []


@pytest.mark.parametrize("at", range(1, 9))
@pytest.mark.parametrize("after", [False, True])
def test_a_bucket_that_fails_anywhere_gets_them_once_all_the_same(
    database_url: str, engine: Engine, tmp_path: Path, at: int, after: bool
) -> None:
    def wrap(bucket: Bucket, name: str) -> Bucket:
        if name == "client":
            return FailingBucket(bucket, at=at, after=after, exception=SinkUnavailable)
        return bucket

    exporting = Exporting(database_url, engine, tmp_path, wrap=wrap)
    refuse(database_url, b"nonsense", an_event())
    sealed = exporting.run()
    exporting.deliver()
    exporting.deliver()
    (one,) = listed(exporting.client, sealed.segment_id)
    assert len(read_parquet(exporting.client, one["key"])) == 1
    assert list(exporting.client.bucket.list_keys("analytics/failed/")) == [one["key"]]


def test_verify_accepts_the_datasets_and_finds_who_tampers_with_them(exporting: Exporting) -> None:
    refuse(exporting.database_url, b"nonsense", an_event())
    sealed = exporting.run()
    exporting.put_receipts()
    for sink in exporting.sinks:
        assert problems(sink) == []
    for dataset in ("failed", "sites"):
        (one,) = listed(exporting.client, sealed.segment_id, dataset)
        path = exporting.client_root / one["key"]
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + b"X")
        assert [p for p in problems(exporting.client) if "was changed" in p], dataset
        path.unlink()
        assert [p for p in problems(exporting.client) if "is not there" in p], dataset
        path.write_bytes(whole)
        slipped_in = path.with_name(path.name.replace("-0000.", "-0001."))
        slipped_in.write_bytes(whole)
        assert [p for p in problems(exporting.client) if "named by no manifest" in p], dataset
        slipped_in.unlink()
    assert problems(exporting.client) == []


def test_letters_in_the_ten_thousands_stay_one_file_in_order(
    exporting: Exporting, database_url: str
) -> None:
    refuse(database_url, b"nonsense")
    query(
        database_url,
        "INSERT INTO dead_letters (dead_letter_id, segment_id, arrived_at, received_at, site_id,"
        " reason, message, event_type, dialect, request, payload, payload_bytes, is_cut, version)"
        " SELECT gen_random_uuid(), 1, now(), now(), 's', 'invalid_json', 'm', '', '', 'POST /x',"
        " repeat(md5(n::text), 64), 2048, false, 'v' FROM generate_series(1, 30000) AS n",
    )
    sealed = exporting.run()
    (one,) = listed(exporting.client, sealed.segment_id)
    assert one["rows"] == 30_001
    ids = pq.read_table(exporting.client_root / one["key"])["dead_letter_id"].to_pylist()
    assert ids == sorted(ids)
    assert len(set(ids)) == 30_001


def test_duckdb_counts_by_reason(exporting: Exporting) -> None:
    refuse(exporting.database_url, b"nonsense", an_event(title=3), an_event(title=4))
    exporting.run()
    refuse(exporting.database_url, an_event(title=5))
    exporting.run()
    counted = duckdb.sql(
        "SELECT reason, count(*) FROM read_parquet("
        f"'{exporting.client_root}/analytics/failed/**/*.parquet', hive_partitioning = true)"
        " GROUP BY reason ORDER BY reason"
    ).fetchall()
    assert counted == [("invalid_event", 3), ("invalid_json", 1)]
