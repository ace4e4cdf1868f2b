"""`replay/`: recordings from the request to the buckets, once, with an index and own counts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from core.keys import RecordingKey, parse_recording_key
from database.recording_lock import hold_recordings, lock_recordings
from database.segments import drop_segment
from exporter.reading import PullError, pull, read_table
from exporter.recordings import INDEX_SCHEMA
from exporter.sinks.open import Sink
from exporter.sinks.s3 import ObjectOptions, S3Bucket
from exporter.sinks.sink import Bucket, SinkUnavailable
from tests.conftest import an_event
from tests.integration.building import Exporting, query, read_parquet, serving, write_now
from tests.integration.receipting import problems
from tests.integration.recording import a_chunk, read_lines, record
from tests.integration.test_delivery import FailingBucket
from tests.integration.test_failed import listed, manifest_of


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets")


def test_a_segment_is_not_dropped_in_the_middle_of_an_erasure(exporting: Exporting) -> None:
    """The one has the chunks in hand and wants their counts, the other has them in hand."""
    record(exporting.database_url, a_chunk(0))
    segment_id = exporting.run().segment_id
    with exporting.engine.connect() as erasing, exporting.engine.connect() as dropping:
        lock_recordings(erasing, segment_id)
        with pytest.raises(OperationalError, match="lock timeout"):
            drop_segment(dropping, segment_id)
        assert counts(exporting.database_url)["stored"] == 1, "nobody has the counts"
        erasing.rollback()
        drop_segment(dropping, segment_id)
    assert query(exporting.database_url, "SELECT state FROM segments ORDER BY segment_id")[0] == (
        "dropped",
    )


def test_a_connection_that_was_lost_under_the_lock_is_usable_again(exporting: Exporting) -> None:
    me = text("SELECT pg_backend_pid()")
    with exporting.engine.connect() as connection:
        lost = connection.execute(me).scalar_one()
        with hold_recordings(connection, 1):
            query(exporting.database_url, "SELECT pg_terminate_backend(%s, 10000)", lost)
        assert connection.execute(me).scalar_one() != lost


def counts(database_url: str) -> dict[str, Any]:
    """What `/recordings/count` says."""

    async def ask() -> dict[str, Any]:
        async with serving(database_url) as http:
            found: dict[str, Any] = (await http.get("/recordings/count")).json()
            return found

    found = asyncio.run(ask())
    assert found["received"] == found["stored"] + found["repeated"] + found["refused"]
    assert found["stored"] == found["delivered"] + found["pending"] + found["erased"]
    return found


def erase(database_url: str, *visitors: str) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        async with serving(database_url) as http:
            answer = await http.post("/privacy/suppressions", json={"visitor_ids": visitors})
            answer.raise_for_status()
            told: dict[str, Any] = answer.json()
            return told

    return asyncio.run(ask())


def index_rows(sink: Sink, segment_id: int) -> list[dict[str, Any]]:
    return [
        row
        for one in listed(sink, segment_id, "replay_index")
        for row in read_parquet(sink, one["key"])
    ]


def sequences(sink: Sink, segment_id: int) -> list[int]:
    return [
        line["sequence"]
        for one in listed(sink, segment_id, "replay")
        for line in read_lines(sink, one["key"])
    ]


def test_a_session_is_one_object_with_its_chunks_in_order(exporting: Exporting) -> None:
    record(
        exporting.database_url,
        a_chunk(2, "third"),
        a_chunk(0, "first"),
        a_chunk(5, "last", userId="u-1"),
        a_chunk(0, "other", sessionId="s-2", visitorId="v-2"),
        a_chunk(0, "repeat"),
    )
    sealed = exporting.run()
    for sink in exporting.sinks:
        first, second = listed(sink, sealed.segment_id, "replay")
        assert (first["rows"], second["rows"], first["format"]) == (3, 1, "ndjson.gz")
        key = parse_recording_key(first["key"])
        assert isinstance(key, RecordingKey)
        assert (key.site_id, key.session_id) == ("shop.example", "s-1")
        assert (key.segment_id, key.day.date()) == (sealed.segment_id, sealed.opened_at.date())
        lines = read_lines(sink, first["key"])
        assert [line["sequence"] for line in lines] == [0, 2, 5]
        texts = [line["events"][0]["data"]["texts"][0]["value"] for line in lines]
        assert texts == ["first", "third", "last"]
        row, other = index_rows(sink, sealed.segment_id)
        assert (row["visitor_id"], row["user_id"], row["recording_id"]) == ("v-1", "u-1", "r-1")
        assert (row["first_sequence"], row["last_sequence"], row["chunks"]) == (0, 5, 3)
        assert (row["gaps"], row["events"]) == ("1,3-4", 3)
        assert (row["key"], row["sha256"]) == (first["key"], first["sha256"])
        assert row["started_at"] <= row["ended_at"]
        assert other["visitor_id"] == "v-2"
    manifest = manifest_of(exporting.client, sealed.segment_id)
    told = manifest["recordings"]
    assert told.pop("bytes") > 0
    assert told == {
        "received": 5, "stored": 4, "repeated": 1, "rejected": 0, "erased": 0, "delivered": 4,
    }  # fmt: skip
    found = counts(exporting.database_url)
    assert (found["stored"], found["repeated"], found["delivered"]) == (4, 1, 4)


def test_the_index_has_its_schema_and_nothing_is_null_that_is_never(exporting: Exporting) -> None:
    record(exporting.database_url, a_chunk(0))
    sealed = exporting.run()
    (one,) = listed(exporting.client, sealed.segment_id, "replay_index")
    assert pq.read_schema(exporting.client_root / one["key"]).equals(INDEX_SCHEMA)
    (row,) = index_rows(exporting.client, sealed.segment_id)
    never_null = [f.name for f in INDEX_SCHEMA if b"never_null" in f.metadata]
    assert [name for name in never_null if row[name] is None] == []
    assert row["gaps"] == ""


def test_without_recordings_there_is_no_file_and_no_count(exporting: Exporting) -> None:
    write_now(exporting.database_url, an_event())
    sealed = exporting.run()
    for dataset in ("replay", "replay_index"):
        assert listed(exporting.client, sealed.segment_id, dataset) == []
        assert list(exporting.client.bucket.list_keys(f"analytics/{dataset}/")) == []
    assert manifest_of(exporting.client, sealed.segment_id)["recordings"] is None


def test_the_vendor_gets_counts_and_no_copy_where_it_gets_no_events(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"METERING_MODE": "usage"})
    record(database_url, a_chunk(0))
    sealed = exporting.run()
    exporting.put_receipts()
    assert sequences(exporting.client, sealed.segment_id) == [0]
    told = manifest_of(exporting.metering, sealed.segment_id)
    assert [o for o in told["objects"] if o["dataset"].startswith("replay")] == []
    assert told["recordings"]["delivered"] == 1
    for sink in exporting.sinks:
        assert problems(sink) == []


def test_a_session_goes_on_in_the_next_window(exporting: Exporting) -> None:
    record(exporting.database_url, a_chunk(0), a_chunk(1))
    first = exporting.run()
    record(exporting.database_url, a_chunk(1), a_chunk(2))
    second = exporting.run()
    assert sequences(exporting.client, first.segment_id) == [0, 1]
    assert sequences(exporting.client, second.segment_id) == [2]
    (row,) = index_rows(exporting.client, second.segment_id)
    assert (row["first_sequence"], row["gaps"]) == (2, "")


@pytest.mark.parametrize("at", range(1, 10))
@pytest.mark.parametrize("after", [False, True])
def test_a_bucket_that_fails_anywhere_gets_them_once_all_the_same(
    database_url: str, engine: Engine, tmp_path: Path, at: int, after: bool
) -> None:
    def wrap(bucket: Bucket, name: str) -> Bucket:
        if name == "client":
            return FailingBucket(bucket, at=at, after=after, exception=SinkUnavailable)
        return bucket

    exporting = Exporting(database_url, engine, tmp_path, wrap=wrap)
    record(database_url, a_chunk(0), a_chunk(1), a_chunk(0, sessionId="s-2"))
    sealed = exporting.run()
    exporting.deliver()
    exporting.deliver()
    assert sequences(exporting.client, sealed.segment_id) == [0, 1, 0]
    keys = list(exporting.client.bucket.list_keys("analytics/replay/"))
    assert keys == [one["key"] for one in listed(exporting.client, sealed.segment_id, "replay")]
    assert counts(database_url)["delivered"] == 3


class AtManifest:
    """A bucket at which something happens before, or after, a manifest is put; then it is away."""

    def __init__(self, bucket: Bucket, run: Any, *, after: bool = False) -> None:
        self._bucket, self._run, self._after = bucket, run, after

    def put_if_absent(self, key: str, body: bytes) -> bool:
        if "/manifests/" not in key:
            return self._bucket.put_if_absent(key, body)
        if self._after:
            self._bucket.put_if_absent(key, body)
        self._run()
        raise SinkUnavailable("the exporter dies here", key=key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)


def with_bucket(sink: Sink, bucket: Any) -> Sink:
    return Sink(sink.name, bucket, sink.prefix, sink.datasets)


def test_what_is_erased_between_two_attempts_is_not_delivered(exporting: Exporting) -> None:
    url, client = exporting.database_url, exporting.client
    record(url, a_chunk(0), a_chunk(0, sessionId="s-2", visitorId="v-2"))
    sealed = exporting.seal()
    exporting.deliver(with_bucket(client, AtManifest(client.bucket, lambda: None)))
    assert len(list(client.bucket.list_keys("analytics/replay/"))) == 2
    assert erase(url, "v-2")["recording_chunks_erased"] == 1
    exporting.restart()
    exporting.deliver()
    exporting.put_receipts()
    exporting.exporter.sweep(client)
    assert [r["visitor_id"] for r in index_rows(client, sealed.segment_id)] == ["v-1"]
    (key,) = client.bucket.list_keys("analytics/replay/")
    assert "session_id=s-1" in key, "the object of the first attempt is swept"
    told = manifest_of(client, sealed.segment_id)["recordings"]
    assert (told["stored"], told["erased"], told["delivered"]) == (2, 1, 1)
    found = counts(url)
    assert (found["delivered"], found["erased"], found["pending"]) == (1, 1, 0)
    for sink in exporting.sinks:
        assert problems(sink) == []


def test_what_is_erased_after_the_manifest_was_put_counts_as_delivered(
    exporting: Exporting,
) -> None:
    """The exporter died between the manifest and the database; the next finds it standing."""
    url, client = exporting.database_url, exporting.client
    record(url, a_chunk(0), a_chunk(0, sessionId="s-2", visitorId="v-2"))
    sealed = exporting.seal()
    exporting.deliver(with_bucket(client, AtManifest(client.bucket, lambda: None, after=True)))
    assert erase(url, "v-2")["recording_chunks_erased"] == 1
    exporting.restart()
    exporting.deliver()
    exporting.put_receipts()
    assert {r["visitor_id"] for r in index_rows(client, sealed.segment_id)} == {"v-1", "v-2"}
    assert {r["visitor_id"] for r in index_rows(exporting.metering, sealed.segment_id)} == {"v-1"}
    found = counts(url)
    assert (found["delivered"], found["erased"], found["removed"]) == (2, 0, 1)
    for sink in exporting.sinks:
        assert problems(sink) == []


def test_an_erasure_while_objects_are_put_ends_the_attempt(exporting: Exporting) -> None:
    url, client = exporting.database_url, exporting.client
    record(url, a_chunk(0), a_chunk(0, sessionId="s-2", visitorId="v-2"))
    sealed = exporting.seal()

    class ErasingBucket(AtManifest):
        def put_file(self, key: str, path: Path, *, sha256: str) -> None:
            self._bucket.put_file(key, path, sha256=sha256)
            if "/replay_index/" in key:
                assert erase(url, "v-2")["recording_chunks_erased"] == 1

    def never() -> None:
        raise AssertionError("a manifest that lists what is erased")

    exporting.deliver(with_bucket(client, ErasingBucket(client.bucket, never)))
    failed = exporting.delivery(sealed.segment_id, "client")
    assert (failed["state"], "RecordingsErased" in failed["last_error"]) == ("pending", True)
    exporting.deliver()
    assert [r["visitor_id"] for r in index_rows(client, sealed.segment_id)] == ["v-1"]
    assert counts(url)["erased"] == 1


def test_an_erasure_waits_while_a_delivery_is_committed(exporting: Exporting) -> None:
    url, client = exporting.database_url, exporting.client
    record(url, a_chunk(0))
    sealed = exporting.seal()

    def try_to_erase() -> None:
        with pytest.raises(Exception, match="503"):
            erase(url, "v-1")

    waiting = AtManifest(client.bucket, try_to_erase)
    exporting.deliver(with_bucket(client, waiting))
    assert erase(url, "v-1")["recording_chunks_erased"] == 1, "asked again, it is done"
    exporting.deliver()
    assert listed(client, sealed.segment_id, "replay") == []


def test_chunks_that_are_missing_stop_the_delivery(exporting: Exporting) -> None:
    record(exporting.database_url, a_chunk(0), a_chunk(1))
    sealed = exporting.seal()
    query(exporting.database_url, "DELETE FROM recording_chunks WHERE sequence = 1")
    exporting.deliver()
    stopped = exporting.delivery(sealed.segment_id, "client")
    assert stopped["state"] == "stopped"
    assert "2 chunks of recordings are due, 1 were found" in stopped["last_error"]


def test_verify_finds_who_tampers_with_them(exporting: Exporting) -> None:
    record(exporting.database_url, a_chunk(0))
    write_now(exporting.database_url, an_event())
    sealed = exporting.run()
    exporting.put_receipts()
    for sink in exporting.sinks:
        assert problems(sink) == []
    for dataset in ("replay", "replay_index"):
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


def test_chunks_go_with_their_segment_and_their_counts_stay(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"BUFFER_RETENTION": "0s"})
    record(database_url, a_chunk(0))
    exporting.run()
    record(database_url, a_chunk(1))
    second = exporting.seal()
    exporting.exporter.drop_expired()
    assert query(database_url, "SELECT segment_id FROM recording_chunks") == [(second.segment_id,)]
    assert query(database_url, "SELECT DISTINCT segment_id FROM recording_ledger") == [
        (second.segment_id,)
    ]
    found = counts(database_url)
    assert (found["stored"], found["delivered"], found["pending"]) == (2, 1, 1)
    assert record(database_url, a_chunk(0))[0]["repeated"], "a repeat is known after its segment"


def test_what_repeats_are_told_by_is_forgotten_in_time(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"DEDUP_WINDOW": "1h"})
    record(database_url, a_chunk(0), a_chunk(0, recordingId="r-2"))
    query(
        database_url,
        "UPDATE recordings SET last_chunk_at = now() - interval '2h' WHERE recording_id = 'r-2'",
    )
    exporting.exporter.forget_recordings()
    assert query(database_url, "SELECT recording_id FROM recordings") == [("r-1",)]


def test_thousands_of_chunks_are_read_a_few_at_a_time(
    exporting: Exporting, database_url: str
) -> None:
    record(database_url, a_chunk(0))
    query(
        database_url,
        "INSERT INTO recording_chunks SELECT segment_id, received_at, site_id, visitor_id, user_id,"
        " 's-' || n % 30, recording_id, n / 30, started_at, ended_at, events, body"
        " FROM recording_chunks, generate_series(60, 3059) AS n",
    )
    query(database_url, "UPDATE recording_ledger SET chunks = 3001 WHERE outcome = 'stored'")
    sealed = exporting.run()
    objects = listed(exporting.client, sealed.segment_id, "replay")
    assert (len(objects), sum(o["rows"] for o in objects)) == (30, 3_001)
    assert counts(database_url)["delivered"] == 3_001
    (key,) = [o["key"] for o in objects if "session_id=s-7/" in o["key"]]
    assert len(read_lines(exporting.client, key)) == 100


def test_duckdb_reads_chunks_and_index(exporting: Exporting) -> None:
    record(exporting.database_url, a_chunk(0, "one"), a_chunk(1, "two"))
    exporting.run()
    root = exporting.client_root
    found = duckdb.sql(
        "SELECT session_id, sequence, len(events) FROM read_json("
        f"'{root}/analytics/replay/**/*.ndjson.gz', format = 'newline_delimited',"
        " hive_partitioning = true) ORDER BY sequence"
    ).fetchall()
    assert found == [("s-1", 0, 1), ("s-1", 1, 1)]
    ((key,),) = duckdb.sql(
        f"SELECT key FROM read_parquet('{root}/analytics/replay_index/**/*.parquet')"
        " WHERE visitor_id = 'v-1'"
    ).fetchall()
    assert len(read_lines(exporting.client, key)) == 2


def test_they_reach_a_bucket_that_speaks_s3(
    database_url: str, engine: Engine, tmp_path: Path, s3_client: Any, s3_bucket: str
) -> None:
    def wrap(bucket: Bucket, name: str) -> Bucket:
        return S3Bucket(s3_client, s3_bucket, ObjectOptions()) if name == "client" else bucket

    exporting = Exporting(database_url, engine, tmp_path, wrap=wrap)
    record(database_url, a_chunk(0), a_chunk(1, sessionId="a.b~c_d-e"))
    sealed = exporting.run()
    exporting.put_receipts()
    assert sequences(exporting.client, sealed.segment_id) == [1, 0]
    assert problems(exporting.client) == []


def test_they_are_pulled_like_every_dataset(exporting: Exporting, tmp_path: Path) -> None:
    record(exporting.database_url, a_chunk(0), a_chunk(0, siteId="b.example"))
    exporting.run()
    folder = tmp_path / "pulled"
    pull(
        exporting.client_root.as_uri(),
        folder,
        prefix="analytics",
        datasets=["replay", "replay_index"],
        sites=["b.example"],
    )
    (pulled,) = folder.glob("replay/**/*.ndjson.gz")
    assert "site_id=b.example" in str(pulled)
    index = read_table(folder, dataset="replay_index")
    assert sorted(index["site_id"].to_pylist()) == ["b.example", "shop.example"]
    with pytest.raises(PullError, match="no Parquet"):
        read_table(folder, dataset="replay")


@pytest.mark.parametrize("knows_recordings", [True, False])
def test_a_segment_whose_chunks_reached_no_bucket_is_not_dropped(
    exporting: Exporting, knows_recordings: bool
) -> None:
    url, client = exporting.database_url, exporting.client
    record(url, a_chunk(0))
    write_now(url, an_event())
    exporting.seal()
    if not knows_recordings:  # an exporter of the release before delivers the events alone
        without = client.datasets - {"replay", "replay_index"}
        exporting.deliver(Sink(client.name, client.bucket, client.prefix, without))
    exporting.deliver()
    query(
        url, "UPDATE segments SET exported_at = now() - interval '1 year' WHERE state = 'exported'"
    )
    exporting.exporter.drop_expired()
    assert query(url, "SELECT count(*) FROM recording_chunks") == [(not knows_recordings,)]
    assert counts(url)["pending"] == (not knows_recordings)


def test_an_erasure_of_names_that_no_chunk_can_have_is_answered(exporting: Exporting) -> None:
    record(exporting.database_url, a_chunk(0, visitorId="v-1"))
    told = erase(exporting.database_url, "a\0b", "v-1")
    assert told["recording_chunks_erased"] == 1
