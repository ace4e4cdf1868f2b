"""From a sealed segment to committed objects, exactly once, whatever happens in between."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from sqlalchemy import Engine

from core.event import FILE_COLUMNS, ColumnType
from core.manifest import decode_manifest, encode_json
from database.deliveries import store_deduplication
from database.embedded import EmbeddedServer
from database.engine import sync_engine
from exporter.objects import VerificationFailed
from exporter.seen_ids import IdFile, SeenIds
from exporter.sinks.sink import Bucket, ObjectDigest, SinkRefused, SinkUnavailable
from tests.conftest import NOON, HandClock, an_event, with_database
from tests.integration.building import (
    Exporting,
    event_ids,
    ledger_of,
    query,
    read_parquet,
    seal,
    write_now,
)


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets")


def manifest_of(exporting: Exporting, segment_id: int, *, sink: int = 0) -> dict[str, Any]:
    chosen = exporting.sinks[sink]
    body = chosen.bucket.get(f"{chosen.prefix}/_sluice/manifests/{segment_id:012d}.json")
    assert body is not None
    manifest: dict[str, Any] = json.loads(body)
    return manifest


# --- the happy path ----------------------------------------------------------------------------


def test_a_segment_is_read_back_typed_and_partitioned(exporting: Exporting) -> None:
    committed = write_now(
        exporting.database_url,
        an_event(
            eventId="one", siteId="b/ü.example", occurredAt="2026-01-02T03:04:05.678Z",
            url="https://shop.example/p/7?utm_source=news", screenWidth=1920,
            properties={"price": 12.5, "tags": ["a"]},
        ),
        an_event(eventId="two"),
    )  # fmt: skip
    sealed = exporting.run()
    root = exporting.client_root / "analytics" / "events"
    table = ds.dataset(root, partitioning="hive").to_table().sort_by("event_id")
    assert table.num_rows == 2
    first = table.to_pylist()[0]
    assert first["site_id"] == "b/ü.example"
    received = committed.received_at
    assert (first["year"], first["month"], first["day"], first["hour"]) == (
        received.year, received.month, received.day, received.hour,
    )  # fmt: skip
    assert first["received_at"] == received
    assert first["device_occurred_at"] == datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    assert first["occurred_at"] == first["device_occurred_at"]
    assert (first["path"], first["utm_source"], first["screen_width"]) == ("/p/7", "news", 1920)
    assert json.loads(first["properties"]) == {"price": 12.5, "tags": ["a"]}
    assert (first["event_version"], first["schema_version"]) == (1, 1)
    types = {
        ColumnType.INT32: pa.int32(),
        ColumnType.BOOLEAN: pa.bool_(),
        ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    }
    for column in FILE_COLUMNS:
        assert table.schema.field(column.name).type == types.get(column.type, pa.string())
    with_duckdb = duckdb.sql(
        f"SELECT event_id, site_id, year, typeof(received_at), typeof(screen_width)"
        f" FROM read_parquet('{root}/**/*.parquet', hive_partitioning = true) ORDER BY 1"
    ).fetchall()
    assert [row[:2] for row in with_duckdb] == [("one", "b/ü.example"), ("two", "shop.example")]
    assert with_duckdb[0][3:] == ("TIMESTAMP WITH TIME ZONE", "INTEGER")
    delivery = exporting.delivery(sealed.segment_id, "client")
    assert (delivery["state"], delivery["rows"], delivery["objects"]) == ("delivered", 2, 2)


def test_a_manifest_lists_what_can_be_verified_by_anybody(exporting: Exporting) -> None:
    write_now(exporting.database_url, an_event(), an_event(), an_event(title=3))
    first = exporting.run()
    write_now(exporting.database_url, an_event(siteId="b.example"))
    second = exporting.run()
    manifest = manifest_of(exporting, first.segment_id)
    assert manifest["counts"] == {
        "received": 3, "accepted": 2, "rejected": 1, "duplicates": 0, "exported": 2,
        "rejected_by_reason": {"invalid_event": 1},
    }  # fmt: skip
    assert datetime.fromisoformat(manifest["window"]["sealed_at"]) == first.sealed_at
    for listed in manifest["objects"]:
        content = (exporting.client_root / listed["key"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == listed["sha256"]
        assert len(content) == listed["bytes"]
        assert len(read_parquet(exporting.client, listed["key"])) == listed["rows"]
    assert manifest["previous"] is None
    assert manifest_of(exporting, second.segment_id)["previous"].endswith(
        f"{first.segment_id:012d}.json"
    )


def test_the_watermark_follows_the_newest_segment(exporting: Exporting) -> None:
    for _ in range(3):
        sealed = exporting.run()
        watermark = json.loads(
            exporting.client.bucket.get("analytics/_sluice/watermark.json") or b""
        )
        assert datetime.fromisoformat(watermark["watermark"]) == sealed.sealed_at
        assert watermark["manifest"] == f"analytics/_sluice/manifests/{sealed.segment_id:012d}.json"


def test_an_empty_window_has_a_manifest(exporting: Exporting) -> None:
    sealed = exporting.run()
    manifest = manifest_of(exporting, sealed.segment_id)
    assert manifest["objects"] == []
    assert manifest["counts"]["received"] == 0
    assert exporting.delivery(sealed.segment_id, "metering")["state"] == "delivered"


def test_usage_is_what_the_ledger_says(exporting: Exporting) -> None:
    write_now(
        exporting.database_url,
        an_event(eventId="a"), an_event(eventId="a"), an_event(eventType="click"),
        an_event(siteId="b.example"), an_event(title=3), 7,
    )  # fmt: skip
    sealed = exporting.run()
    objects = manifest_of(exporting, sealed.segment_id, sink=1)["objects"]
    (usage,) = [o for o in objects if o["dataset"] == "usage"]
    rows = read_parquet(exporting.metering, usage["key"])
    ledger = query(
        exporting.database_url,
        "SELECT 'demo', site_id, received_hour, event_type, outcome, sum(events)::int,"
        " sum(bytes)::int FROM ledger GROUP BY 1, 2, 3, 4, 5",
    )
    assert sorted(tuple(row.values()) for row in rows) == sorted(ledger)
    counted = Counter[str]()
    for row in rows:
        counted[row["outcome"]] += row["events"]
    assert counted == {"accepted": 4, "duplicate": 1, "invalid_event": 2}


def test_the_metering_bucket_gets_events_as_a_backup_only(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"METERING_MODE": "usage"})
    write_now(database_url, an_event())
    sealed = exporting.run()
    objects = manifest_of(exporting, sealed.segment_id, sink=1)["objects"]
    assert [o["dataset"] for o in objects] == ["usage"]
    assert exporting.delivery(sealed.segment_id, "metering")["rows"] == 1


def test_many_sites_and_odd_payloads_come_through(exporting: Exporting) -> None:
    sites = [f"site-{n}.example" for n in range(70)] + ["..", "%2F", "a=b", "ж" * 30, "x" * 190]
    events = [an_event(siteId=site, eventId=f"{site}-{n}") for site in sites for n in range(3)]
    odd = an_event(
        eventId="odd", occurredAt="0001-01-01T00:00:00Z", screenWidth=2**31 - 1, title="",
        properties={"": None, "big": 10**30, "float": 1e308, "l": [[]] * 5, "q": "\"'\\\n\u2028"},
    )  # fmt: skip
    write_now(exporting.database_url, *events, odd)
    exporting.run()
    rows = exporting.committed_rows(exporting.client)
    assert Counter(r["event_id"] for r in rows) == Counter(e["eventId"] for e in [*events, odd])
    stored = next(r for r in rows if r["event_id"] == "odd")
    assert stored["title"] == ""
    assert stored["occurred_at"].year == 1
    assert json.loads(stored["properties"])["q"] == "\"'\\\n\u2028"


# --- duplicates --------------------------------------------------------------------------------


def test_a_repeat_is_dropped_within_and_across_segments_in_every_sink(
    exporting: Exporting,
) -> None:
    write_now(
        exporting.database_url, an_event(eventId="a"), an_event(eventId="a"), an_event(eventId="b")
    )
    write_now(exporting.database_url, an_event(eventId="b"))
    exporting.run()
    write_now(exporting.database_url, an_event(eventId="b"), an_event(eventId="c"))
    exporting.run()
    exporting.restart()
    write_now(
        exporting.database_url, an_event(eventId="c"), an_event(eventId="a"), an_event(eventId="d")
    )
    exporting.run()
    for sink in exporting.sinks:
        assert exporting.committed_ids(sink) == Counter("abcd")
    assert ledger_of(exporting.database_url) == {"accepted": 9, "duplicate": 5}


def test_duplicates_are_counted_piece_by_piece(
    exporting: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.dedup.ROWS_IN_PIECE", 3)
    ids = "abcabdeebafgcabc"
    write_now(exporting.database_url, *(an_event(eventId=i) for i in ids))
    exporting.run()
    assert exporting.committed_ids(exporting.client) == Counter("abcdefg")
    assert ledger_of(exporting.database_url) == {"accepted": len(ids), "duplicate": len(ids) - 7}


def test_an_id_of_a_site_s_own_kind_repeats_on_that_site_only(exporting: Exporting) -> None:
    write_now(
        exporting.database_url,
        *[an_event(eventId="order-1", siteId=site) for site in ("a", "b", "a")],
    )
    exporting.run()
    sites = [row["event_id"] for row in exporting.committed_rows(exporting.client)]
    assert sites == ["order-1", "order-1"]


def test_sinks_agree_when_one_gets_a_segment_after_a_restart(exporting: Exporting) -> None:
    write_now(exporting.database_url, an_event(eventId="a"))
    exporting.seal()
    exporting.deliver(exporting.client)
    write_now(exporting.database_url, an_event(eventId="a"), an_event(eventId="b"))
    exporting.seal()
    exporting.restart()
    exporting.deliver(exporting.metering)
    exporting.deliver(exporting.client)
    for sink in exporting.sinks:
        assert exporting.committed_ids(sink) == Counter("ab")


def test_deciding_twice_about_a_segment_counts_its_duplicates_once(exporting: Exporting) -> None:
    write_now(exporting.database_url, an_event(eventId="a"), an_event(eventId="a"))
    exporting.seal()
    exporting.exporter.deduplicate_sealed()
    exporting.restart()
    exporting.exporter.deduplicate_sealed()
    exporting.deliver()
    assert ledger_of(exporting.database_url) == {"accepted": 2, "duplicate": 1}


def test_a_row_that_was_missed_is_noticed_before_anything_is_decided(exporting: Exporting) -> None:
    """It would shift the numbers of the rows behind it: others would be left out as duplicates."""
    write_now(exporting.database_url, an_event(), an_event(), an_event())
    segment_id = seal(exporting.engine).segment_id
    decided: dict[str, Any] = {"id_chunks": [], "duplicate_rows": [], "window": timedelta(hours=1)}
    with exporting.engine.connect() as connection:
        with pytest.raises(RuntimeError, match=r"2 rows of segment \d+ were read, 3 are there"):
            store_deduplication(connection, segment_id, rows=2, **decided)
        # A ledger that is wrong stops the sinks instead, when they see what they are to get.
        query(exporting.database_url, "UPDATE ledger SET events = events + 1")
        store_deduplication(connection, segment_id, rows=3, **decided)
    exporting.deliver()
    assert exporting.delivery(segment_id, "client")["state"] == "stopped"


class VanishingIds(SeenIds):
    """Whose folder somebody removes once, in the moment after a segment was decided."""

    is_due = True

    def add(self, segment_id: int, sealed_at: datetime, ids: IdFile) -> None:
        if self.is_due:
            self.is_due = False
            raise FileNotFoundError(ids.path)
        super().add(segment_id, sealed_at, ids)


def test_a_segment_that_is_decided_is_not_decided_anew_when_its_files_are_gone(
    exporting: Exporting,
) -> None:
    """Each of its events would be a repeat of its own, and none of its ids be known any more."""
    write_now(exporting.database_url, an_event(eventId="a"), an_event(eventId="b"))
    seal(exporting.engine)
    exporting.exporter.deduplicator.seen = VanishingIds(exporting.settings.dedup_window)
    exporting.exporter.deduplicate_sealed()
    write_now(exporting.database_url, an_event(eventId="a"), an_event(eventId="c"))
    exporting.seal()
    exporting.deliver()
    for sink in exporting.sinks:
        assert exporting.committed_ids(sink) == Counter("abc")


class IdsWithHook(SeenIds):
    """Runs something once, before the first segment is looked at or after it was added."""

    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None

    def forget_before(self, now: datetime) -> None:
        if self.before is not None:
            before, self.before = self.before, None
            before()
        super().forget_before(now)

    def add(self, segment_id: int, sealed_at: datetime, ids: IdFile) -> None:
        super().add(segment_id, sealed_at, ids)
        if self.after is not None:
            self.after()


def test_a_database_that_became_an_older_state_is_decided_anew(
    exporting: Exporting, database_url: str
) -> None:
    """A standby that took over lacks the last commits; the exporter still knows their ids."""
    for pair in ("ab", "cd"):
        write_now(database_url, *(an_event(eventId=event_id) for event_id in pair))
        seal(exporting.engine)
    exporting.exporter.deduplicate_sealed()
    for lost in (
        "DELETE FROM segment_event_ids",
        "DELETE FROM segment_duplicates",
        "DELETE FROM ledger WHERE writer_id = 0",
        "UPDATE segments SET state = 'sealed' WHERE state = 'deduplicated'",
    ):
        query(database_url, lost)
    exporting.exporter.deduplicate_sealed()
    exporting.deliver()
    assert exporting.committed_ids(exporting.client) == Counter("abcd")


def test_what_another_decided_meanwhile_is_known_to_the_next_segment(
    exporting: Exporting, engine: Engine
) -> None:
    """As by a commit of the process before that PostgreSQL ends only now."""
    for event_ids_of_segment in ("a", "ab"):
        write_now(exporting.database_url, *[an_event(eventId=e) for e in event_ids_of_segment])
        seal(exporting.engine)
    other = Exporting(exporting.database_url, engine, exporting.folder / "elsewhere").exporter
    other.deduplicator.seen = IdsWithHook(exporting.settings.dedup_window)
    other.deduplicator.seen.after = other.stopping.set  # after the first segment
    exporting.exporter.deduplicator.seen = IdsWithHook(exporting.settings.dedup_window)
    exporting.exporter.deduplicator.seen.before = other.deduplicate_sealed
    exporting.exporter.deduplicate_sealed()
    exporting.deliver()
    assert exporting.committed_ids(exporting.client) == Counter("ab")


def test_a_long_outage_forgets_no_id_that_the_window_covers(exporting: Exporting) -> None:
    """Both segments lie close together; the exporter was away for longer than the window."""
    write_now(exporting.database_url, an_event(eventId="a"))
    exporting.run()
    write_now(exporting.database_url, an_event(eventId="a"), an_event(eventId="b"))
    seal(exporting.engine)
    query(
        exporting.database_url,
        "UPDATE segments SET opened_at = opened_at - interval '100 h',"
        " sealed_at = sealed_at - interval '100 h' WHERE state <> 'open'",
    )
    exporting.restart()
    exporting.exporter.deduplicate_sealed()
    exporting.deliver()
    assert exporting.committed_ids(exporting.client) == Counter("ab")


# --- crashes -----------------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here, for all that its code can tell."""


class FailingBucket:
    """Raises at the n-th call, before it is carried out or after."""

    def __init__(
        self, bucket: Bucket, *, at: int, after: bool, exception: type[BaseException] = Crash
    ) -> None:
        self._bucket, self._after, self._exception = bucket, after, exception
        self.at = at
        self.calls = 0

    def _step(self, call: Callable[[], Any]) -> Any:
        self.calls += 1
        failing = self.calls == self.at
        if failing and not self._after:
            raise self._exception("before")
        result = call()
        if failing:
            raise self._exception("after")
        return result

    def put_file(self, key: str, path: Path, *, sha256: str) -> None:
        self._step(lambda: self._bucket.put_file(key, path, sha256=sha256))

    def put(self, key: str, body: bytes) -> None:
        self._step(lambda: self._bucket.put(key, body))

    def put_if_absent(self, key: str, body: bytes) -> bool:
        return bool(self._step(lambda: self._bucket.put_if_absent(key, body)))

    def get(self, key: str) -> bytes | None:
        found: bytes | None = self._step(lambda: self._bucket.get(key))
        return found

    def read_back(
        self, key: str, hand_to: Callable[[bytes], object] | None = None
    ) -> ObjectDigest | None:
        found: ObjectDigest | None = self._step(lambda: self._bucket.read_back(key, hand_to))
        return found

    def list_keys(self, prefix: str) -> Iterator[str]:
        return self._bucket.list_keys(prefix)

    def delete(self, key: str) -> None:
        self._bucket.delete(key)

    def abort_uploads(self, prefix: str, *, before: datetime) -> int:
        return self._bucket.abort_uploads(prefix, before=before)


# announce the key; get the manifest; two files, each put and read back; put the manifest and the
# watermark
STEPS = 11


FAILURES = [(at, after, Crash) for at in range(1, STEPS + 1) for after in (False, True)] + [
    (6, False, SinkUnavailable),
    (9, True, SinkRefused),
    (5, False, MemoryError),
]


@pytest.mark.parametrize(("at", "after", "exception"), FAILURES)
def test_a_failure_at_any_step_is_made_good_by_the_next_attempt(
    database_url: str,
    engine: Engine,
    tmp_path: Path,
    at: int,
    after: bool,
    exception: type[BaseException],
) -> None:
    failing: list[FailingBucket] = []

    def wrap(bucket: Bucket, name: str) -> Bucket:
        if name == "metering":
            return bucket
        failing.append(FailingBucket(bucket, at=at, after=after, exception=exception))
        return failing[0]

    exporting = Exporting(database_url, engine, tmp_path, wrap=wrap)
    write_now(database_url, an_event(eventId="a"), an_event(eventId="b", siteId="b.example"))
    sealed = exporting.seal()
    if exception is Crash:
        with pytest.raises(Crash):
            exporting.deliver(exporting.client)
    else:
        exporting.deliver(exporting.client)
    assert failing[0].calls == at, "the failure happened where it should"
    assert exporting.delivery(sealed.segment_id, "client")["state"] != "delivered"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    exporting.restart()
    exporting.deliver()
    assert exporting.delivery(sealed.segment_id, "client")["state"] == "delivered"
    for sink in exporting.sinks:
        assert exporting.committed_ids(sink) == Counter("ab")
    for path, written in before.items():
        if "manifests" in path.parts:
            assert path.stat().st_mtime_ns == written, "a manifest is never rewritten"
    exporting.run()
    assert exporting.committed_ids(exporting.client) == Counter("ab")
    assert query(database_url, "SELECT DISTINCT state FROM segments ORDER BY 1") == [
        ("exported",), ("open",),
    ]  # fmt: skip


def test_the_steps_are_as_many_as_the_crashes_that_are_tried(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    failing: list[FailingBucket] = []

    def wrap(bucket: Bucket, name: str) -> Bucket:
        failing.append(FailingBucket(bucket, at=0, after=False))
        return failing[-1]

    exporting = Exporting(database_url, engine, tmp_path, wrap=wrap)
    write_now(database_url, an_event(), an_event(siteId="b.example"))
    exporting.run()
    assert failing[0].calls == STEPS


def test_a_manifest_that_stands_is_adopted_and_nothing_is_written_again(
    exporting: Exporting,
) -> None:
    write_now(exporting.database_url, an_event(eventId="a"))
    sealed = exporting.run()
    before = {p: p.stat().st_mtime_ns for p in exporting.client_root.rglob("*.parquet")}
    query(
        exporting.database_url,
        "UPDATE deliveries SET state = 'running', rows = NULL;"
        " UPDATE segments SET state = 'deduplicated' WHERE state = 'exported'",
    )
    exporting.restart()
    exporting.deliver()
    assert exporting.delivery(sealed.segment_id, "client")["rows"] == 1
    assert {p: p.stat().st_mtime_ns for p in exporting.client_root.rglob("*.parquet")} == before


def test_a_new_database_over_an_old_bucket_overwrites_nothing(
    exporting: Exporting, postgres: EmbeddedServer, template_database: str, tmp_path: Path
) -> None:
    write_now(exporting.database_url, an_event(eventId="old"))
    exporting.run()
    before = {p: p.read_bytes() for p in exporting.client_root.rglob("*") if p.is_file()}
    new_url = with_database(postgres.url, "made_anew")
    query(postgres.url, f"CREATE DATABASE made_anew TEMPLATE {template_database}")
    # Every migrated database has a name of its own; a clone has to be given one.
    query(new_url, "UPDATE stack SET stack_id = gen_random_uuid()")
    engine = sync_engine(new_url, application_name="tests")
    new = Exporting(new_url, engine, exporting.folder)
    write_now(new_url, an_event(eventId="new"))
    sealed = new.run()
    delivery = new.delivery(sealed.segment_id, "client")
    engine.dispose()
    assert delivery["state"] == "stopped"
    assert "choose another prefix" in delivery["last_error"]
    assert {p: p.read_bytes() for p in exporting.client_root.rglob("*") if p.is_file()} == before
    assert event_ids(new_url) == ["new"]


def test_a_manifest_of_another_database_is_not_adopted(
    exporting: Exporting, engine: Engine
) -> None:
    """A new database over an old bucket starts at segment 1 again: nothing of it may be lost."""
    write_now(exporting.database_url, an_event(eventId="mine"))
    sealed = exporting.seal()
    other = Exporting(exporting.database_url, engine, exporting.folder / "elsewhere")
    other.deliver(other.client)
    manifest = decode_manifest(
        other.client.bucket.get(f"analytics/_sluice/manifests/{sealed.segment_id:012d}.json") or b""
    )
    query(exporting.database_url, "UPDATE deliveries SET state = 'pending'")
    import msgspec

    foreign = msgspec.structs.replace(
        manifest, objects=[],
        window=msgspec.structs.replace(manifest.window, sealed_at=NOON),
    )  # fmt: skip
    exporting.client.bucket.put(
        f"analytics/_sluice/manifests/{sealed.segment_id:012d}.json", encode_json(foreign)
    )
    exporting.deliver(exporting.client)
    delivery = exporting.delivery(sealed.segment_id, "client")
    assert delivery["state"] == "stopped"
    assert "not of this buffer" in delivery["last_error"]
    assert len(event_ids(exporting.database_url)) == 1


class RacedBucket(FailingBucket):
    """Just before a manifest is put, `standing` is there already; None: what we put ourselves."""

    standing: bytes | None = None

    def put_if_absent(self, key: str, body: bytes) -> bool:
        if "/manifests/" in key:
            self._bucket.put(key, body if self.standing is None else self.standing)
        return self._bucket.put_if_absent(key, body)


@pytest.mark.parametrize(("standing", "state"), [(None, "delivered"), (b"{}", "stopped")])
def test_a_manifest_that_comes_first_is_never_overwritten(
    database_url: str, engine: Engine, tmp_path: Path, standing: bytes | None, state: str
) -> None:
    """It is ours when the answer to our own put was lost and the request sent again."""
    raced: list[RacedBucket] = []

    def wrap(bucket: Bucket, name: str) -> Bucket:
        raced.append(RacedBucket(bucket, at=0, after=False))
        raced[-1].standing = standing
        return raced[-1]

    exporting = Exporting(database_url, engine, tmp_path, wrap=wrap)
    write_now(database_url, an_event(eventId="a"))
    sealed = exporting.seal()
    exporting.deliver(exporting.client)
    assert exporting.delivery(sealed.segment_id, "client")["state"] == state
    key = f"analytics/_sluice/manifests/{sealed.segment_id:012d}.json"
    if standing is not None:
        assert exporting.client.bucket.get(key) == standing
    else:
        assert exporting.committed_ids(exporting.client) == Counter("a")


def test_a_manifest_that_nobody_can_read_stops_the_sink(exporting: Exporting) -> None:
    write_now(exporting.database_url, an_event(eventId="a"))
    sealed = exporting.seal()
    key = f"analytics/_sluice/manifests/{sealed.segment_id:012d}.json"
    exporting.client.bucket.put(key, b"{}")
    exporting.deliver()
    assert exporting.delivery(sealed.segment_id, "client")["state"] == "stopped"
    assert exporting.client.bucket.get(key) == b"{}"
    exporting.client.bucket.delete(key)
    exporting.restart()  # a restart resumes what was stopped
    exporting.deliver()
    assert exporting.committed_ids(exporting.client) == Counter("a")


# --- what is noticed ---------------------------------------------------------------------------


class CorruptingBucket(FailingBucket):
    """Loses the last byte of the first file that is put."""

    def put_file(self, key: str, path: Path, *, sha256: str) -> None:
        self.calls += 1
        if self.calls == 1:
            path = path.with_suffix(".cut")
            path.write_bytes(path.with_suffix(".parquet").read_bytes()[:-1])
        self._bucket.put_file(key, path, sha256=sha256)

    def _step(self, call: Callable[[], Any]) -> Any:
        return call()


def test_a_corrupted_upload_is_noticed_and_written_again(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    def wrap(bucket: Bucket, name: str) -> Bucket:
        return CorruptingBucket(bucket, at=0, after=False) if name == "client" else bucket

    exporting = Exporting(database_url, engine, tmp_path, wrap=wrap)
    write_now(database_url, an_event(eventId="a"))
    sealed = exporting.run()
    delivery = exporting.delivery(sealed.segment_id, "client")
    assert delivery["state"] == "pending"
    assert delivery["last_error"].startswith(VerificationFailed.__name__)
    assert not list(exporting.client.bucket.list_keys("analytics/_sluice/manifests/"))
    exporting.deliver()
    assert exporting.committed_ids(exporting.client) == Counter("a")


def test_a_committed_object_that_was_lost_is_noticed_before_it_is_called_delivered(
    exporting: Exporting,
) -> None:
    write_now(exporting.database_url, an_event(eventId="a"))
    sealed = exporting.run()
    (path,) = exporting.client_root.rglob("*.parquet")
    path.unlink()
    query(exporting.database_url, "UPDATE deliveries SET state = 'running'")
    query(
        exporting.database_url,
        "UPDATE segments SET state = 'deduplicated' WHERE state = 'exported'",
    )
    exporting.deliver()
    delivery = exporting.delivery(sealed.segment_id, "client")
    assert delivery["state"] != "delivered"
    assert "it is not there" in delivery["last_error"]


@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE ledger SET events = events + 1 WHERE outcome = 'accepted'",
        "UPDATE ledger SET received_hour = received_hour - interval '1 h'",
        "DELETE FROM ledger",
        "DELETE FROM events_log WHERE payload->>'eventId' = 'a'",
    ],
)
def test_rows_that_the_ledger_does_not_count_stop_the_sink(
    exporting: Exporting, wrong: str
) -> None:
    write_now(exporting.database_url, an_event(eventId="a"), an_event(eventId="b"))
    sealed = exporting.seal()
    query(exporting.database_url, wrong)
    exporting.deliver(exporting.client)
    delivery = exporting.delivery(sealed.segment_id, "client")
    assert delivery["state"] == "stopped"
    assert "do not add up" in delivery["last_error"]
    assert list(exporting.client.bucket.list_keys("")) == [
        "analytics/_sluice/keys/0001.json",
        "analytics/_sluice/owner.json",
    ]


# --- one sink does not hold up the other -------------------------------------------------------


@pytest.mark.parametrize("exception", [SinkRefused, SinkUnavailable, OSError])
@pytest.mark.parametrize("broken", ["client", "metering"])
def test_one_sink_does_not_hold_up_the_other(
    database_url: str, engine: Engine, tmp_path: Path, broken: str, exception: type[Exception]
) -> None:
    failing: list[FailingBucket] = []

    def wrap(bucket: Bucket, name: str) -> Bucket:
        if name == broken:
            failing.append(FailingBucket(bucket, at=1, after=False, exception=exception))
            return failing[0]
        return bucket

    exporting = Exporting(database_url, engine, tmp_path, wrap=wrap)
    for name in "abc":
        write_now(database_url, an_event(eventId=name))
        exporting.seal()
    exporting.deliver()
    working = exporting.sinks[broken == "client"]
    stuck = exporting.sinks[broken == "metering"]
    assert exporting.committed_ids(working) == Counter("abc")
    assert exporting.committed_ids(stuck) == Counter()
    expected = "stopped" if exception is SinkRefused else "pending"
    assert exporting.delivery(1, broken)["state"] == expected
    assert exporting.delivery(2, broken)["attempts"] == 0, "strictly in order"
    assert query(database_url, "SELECT count(*) FROM segments WHERE state = 'exported'") == [(0,)]
    exporting.restart()
    exporting.deliver()
    assert exporting.committed_ids(stuck) == Counter("abc")


def test_a_failed_delivery_waits_before_it_is_tried_again(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    failing: list[FailingBucket] = []

    def wrap(bucket: Bucket, name: str) -> Bucket:
        failing.append(FailingBucket(bucket, at=1, after=False, exception=SinkUnavailable))
        return failing[-1]

    exporting = Exporting(database_url, engine, tmp_path, wrap=wrap)
    exporting.seal()
    exporting.exporter.deliver(exporting.client)
    exporting.exporter.deliver(exporting.client)
    assert failing[0].calls == 1
    delivery = exporting.delivery(1, "client")
    wait = delivery["next_attempt_at"] - delivery["started_at"]
    assert timedelta(seconds=22) < wait < timedelta(seconds=40)


# --- schedule and retention --------------------------------------------------------------------


def test_the_open_segment_is_sealed_when_its_time_has_come(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    opened_at = query(database_url, "SELECT opened_at FROM segments")[0][0]
    clock = HandClock(opened_at)
    exporting = Exporting(database_url, engine, tmp_path, clock=clock)
    exporting.exporter.seal_if_due()
    assert query(database_url, "SELECT count(*) FROM segments") == [(1,)]
    clock.turn(hours=1)
    exporting.exporter.seal_if_due()
    assert query(database_url, "SELECT trigger, segment_id FROM export_runs") == [("schedule", 1)]


def test_a_large_segment_is_sealed_before_its_time(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    opened_at = query(database_url, "SELECT opened_at FROM segments")[0][0]
    exporting = Exporting(
        database_url,
        engine,
        tmp_path,
        clock=HandClock(opened_at),
        variables={"SEGMENT_MAX_ROWS": "3"},
    )
    write_now(database_url, an_event(), an_event())
    exporting.exporter.seal_if_due()
    write_now(database_url, an_event())
    exporting.exporter.seal_if_due()
    assert query(database_url, "SELECT trigger, segment_id FROM export_runs") == [("size", 1)]


def test_a_segment_whose_object_grows_large_is_sealed_before_its_time(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    opened_at = query(database_url, "SELECT opened_at FROM segments")[0][0]
    now = [0.0]
    exporting = Exporting(
        database_url,
        engine,
        tmp_path,
        clock=HandClock(opened_at),
        variables={"TARGET_OBJECT_BYTES": "3000"},
    )
    exporting.exporter.monotonic = lambda: now[0]
    letters = random.Random(7).choices("abcdefghijklmnopqrstuvwxyz", k=9_000)
    large = {f"note_{n}": "".join(letters[n::10]) for n in range(10)}  # hardly to be compressed
    write_now(database_url, an_event(properties=large), an_event(siteId="b.example"))
    exporting.exporter.seal_if_due()
    assert query(database_url, "SELECT count(*) FROM segments") == [(1,)]  # a tenth, as is usual
    exporting.run()
    now[0] += 100  # what it became is told by now
    write_now(database_url, an_event(properties=large))
    exporting.exporter.seal_if_due()
    found = query(database_url, "SELECT trigger, segment_id FROM export_runs ORDER BY segment_id")
    assert found == [("manual", 1), ("size", 2)]


def test_a_writer_that_holds_the_fence_does_not_break_the_schedule(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    from database.fence import FENCE_KEY
    from tests.integration.building import open_transaction

    opened_at = query(database_url, "SELECT opened_at FROM segments")[0][0]
    clock = HandClock(opened_at + timedelta(hours=2))
    exporting = Exporting(database_url, engine, tmp_path, clock=clock)
    with open_transaction(database_url) as writer:
        writer.execute("SELECT pg_advisory_xact_lock_shared(%s)", (FENCE_KEY,))
        exporting.exporter.seal_if_due()
        assert query(database_url, "SELECT count(*) FROM segments") == [(1,)]
    exporting.exporter.seal_if_due()
    assert query(database_url, "SELECT count(*) FROM segments") == [(1,)], "it waits a while"
    exporting.exporter.monotonic = lambda: time.monotonic() + 3
    exporting.exporter.seal_if_due()
    assert query(database_url, "SELECT count(*) FROM segments WHERE state <> 'open'") == [(1,)]


def test_what_was_delivered_is_dropped_after_its_retention_and_counts_stay(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"BUFFER_RETENTION": "1h"})
    write_now(database_url, an_event(eventId="a"), an_event(eventId="a"), an_event(title=3))
    first = exporting.run()
    write_now(database_url, an_event(eventId="b"))
    exporting.run()
    before = ledger_of(database_url)
    exporting.exporter.drop_expired()
    assert len(event_ids(database_url)) == 3, "not yet"
    query(
        database_url,
        "UPDATE segments SET exported_at = now() - interval '61 min' WHERE segment_id = %s",
        first.segment_id,
    )
    exporting.exporter.drop_expired()
    exporting.exporter.drop_expired()
    assert event_ids(database_url) == ["b"]
    assert ledger_of(database_url) == before == {"accepted": 3, "duplicate": 1, "invalid_event": 1}
    assert query(database_url, "SELECT count(*) FROM ledger_totals") == [(3,)]
    # The ids outlive the rows: a repeat is still told.
    exporting.restart()
    write_now(database_url, an_event(eventId="a"))
    exporting.run()
    assert exporting.committed_ids(exporting.client) == Counter("ab")


def test_what_one_sink_has_not_got_is_never_dropped(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"BUFFER_RETENTION": "0"})
    write_now(database_url, an_event(eventId="a"))
    exporting.seal()
    exporting.deliver(exporting.client)
    exporting.exporter.drop_expired()
    assert event_ids(database_url) == ["a"]
    exporting.deliver(exporting.metering)
    exporting.exporter.drop_expired()
    assert event_ids(database_url) == []


def test_an_exporter_finds_its_work_after_a_crash_between_sealing_and_deduplication(
    exporting: Exporting,
) -> None:
    write_now(exporting.database_url, an_event(eventId="a"))
    seal(exporting.engine)
    exporting.deliver()
    assert exporting.committed_ids(exporting.client) == Counter()
    exporting.restart()
    exporting.exporter.deduplicate_sealed()
    exporting.deliver()
    assert exporting.committed_ids(exporting.client) == Counter("a")


def test_ids_are_kept_beside_the_staged_files_and_learnt_anew_by_a_start(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    staging = tmp_path / "staging"
    exporting = Exporting(
        database_url, engine, tmp_path / "buckets", variables={"STAGING_DIR": str(staging)}
    )
    write_now(database_url, an_event(eventId="again"))
    exporting.seal()
    assert [path.stat().st_size for path in staging.rglob("*.ids")] == [16]
    exporting.restart()
    assert [path.stat().st_size for path in staging.rglob("*.ids")] == [16]
    write_now(database_url, an_event(eventId="again"))
    exporting.run()
    assert ledger_of(database_url) == {"accepted": 2, "duplicate": 1}
