"""Circuits, pauses, orphans, and how they are shown."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from database.deliveries import (
    PendingDelivery,
    mark_delivered,
    mark_failed,
    resume_deliveries,
)
from database.embedded import EmbeddedServer
from database.engine import sync_engine
from database.migrate import migrate
from database.segments import mark_exported
from exporter.sinks.sink import Bucket, SinkRefused, SinkUnavailable
from tests.conftest import an_event, with_database
from tests.integration.building import Exporting, query, serving, write_now


class Moody:
    """A bucket that fails for as long as it is told to."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.error: Exception | None = None
        self.delete_error: Exception | None = None
        self.calls = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            error = self.delete_error if name == "delete" else self.error
            if error is not None:
                raise error
            return getattr(self._bucket, name)(*arguments, **named)

        return call


@pytest.fixture
def moody(database_url: str, engine: Engine, tmp_path: Path) -> tuple[Exporting, Moody]:
    found: list[Moody] = []

    def wrap(bucket: Bucket, name: str) -> Any:
        if name != "client":
            return bucket
        found.append(Moody(bucket))
        return found[-1]

    exporting = Exporting(database_url, engine, tmp_path / "buckets", wrap=wrap)
    return exporting, found[-1]


def circuit_of(database_url: str, sink: str = "client") -> str:
    return str(query(database_url, "SELECT circuit FROM sinks WHERE sink = %s", sink)[0][0])


def wait_is_over(database_url: str) -> None:
    query(database_url, "UPDATE deliveries SET next_attempt_at = now()")


def test_ten_failures_in_fifty_attempts_open_the_circuit_and_a_probe_closes_it(
    moody: tuple[Exporting, Moody],
) -> None:
    exporting, bucket = moody
    write_now(exporting.database_url, an_event(eventId="a"))
    bucket.error = SinkUnavailable("503 SlowDown")
    exporting.seal()
    for attempt in range(1, 11):
        assert circuit_of(exporting.database_url) == "closed"
        wait_is_over(exporting.database_url)
        exporting.exporter.deliver(exporting.client)
        assert exporting.delivery(1, "client")["attempts"] == attempt
    assert circuit_of(exporting.database_url) == "open"
    calls = bucket.calls
    wait_is_over(exporting.database_url)
    exporting.exporter.deliver(exporting.client)
    assert bucket.calls == calls, "only a probe is let through"
    # The other sink goes on.
    exporting.deliver(exporting.metering)
    assert exporting.committed_ids(exporting.metering) == Counter("a")
    # A probe that fails leaves it open, one that succeeds closes it.
    exporting.deliver(exporting.client)
    assert bucket.calls > calls
    assert circuit_of(exporting.database_url) == "open"
    bucket.error = None
    exporting.deliver(exporting.client)
    assert circuit_of(exporting.database_url) == "closed"
    assert exporting.committed_ids(exporting.client) == Counter("a")
    # What was before is forgiven: one more failure opens nothing.
    bucket.error = SinkUnavailable("503 SlowDown")
    exporting.run()
    assert circuit_of(exporting.database_url) == "closed"


def test_failures_between_successes_open_it_too(moody: tuple[Exporting, Moody]) -> None:
    exporting, bucket = moody
    for failures in range(1, 11):
        exporting.seal()
        bucket.error = SinkUnavailable("reset")
        exporting.deliver(exporting.client)
        if failures < 10:
            bucket.error = None
            exporting.deliver(exporting.client)
            assert circuit_of(exporting.database_url) == "closed"
    assert circuit_of(exporting.database_url) == "open"


def test_what_somebody_has_to_mend_opens_it_at_once(moody: tuple[Exporting, Moody]) -> None:
    exporting, bucket = moody
    bucket.error = SinkRefused("AccessDenied. Grant it.")
    exporting.run()
    row = query(
        exporting.database_url,
        "SELECT circuit, reason, probe_at - now() FROM sinks WHERE sink = 'client'",
    )[0]
    assert row[:2] == ("open", "AccessDenied. Grant it.")
    assert timedelta(minutes=4) < row[2] <= timedelta(minutes=5)
    exporting.restart()  # somebody may have mended it: it is tried at once
    bucket.error = None
    exporting.exporter.deliver(exporting.client)
    assert circuit_of(exporting.database_url) == "closed"
    assert exporting.delivery(1, "client")["state"] == "delivered"


async def test_a_paused_sink_gets_nothing_until_it_is_resumed(
    moody: tuple[Exporting, Moody],
) -> None:
    exporting, _ = moody
    url = exporting.database_url
    await asyncio.to_thread(exporting.exporter.say_state)
    async with serving(url) as http:
        assert (await http.post("/export/sinks/nobody/pause")).status_code == 404
        answer = await http.post(
            "/export/sinks/client/pause", json={"reason": "their bucket moves"}
        )
        assert (answer.status_code, answer.json()["circuit"]) == (200, "paused")
        await asyncio.to_thread(write_now, url, an_event(eventId="a"))
        await asyncio.to_thread(exporting.run)
        await asyncio.to_thread(exporting.restart)
        await asyncio.to_thread(exporting.deliver)
        assert not exporting.committed_ids(exporting.client)
        assert exporting.committed_ids(exporting.metering) == Counter("a")
        status = (await http.get("/export/status")).json()
        client = status["sinks"][0]
        assert (status["state"], client["state"], client["circuit"]) == ("paused",) * 3
        assert client["circuit_reason"] == "their bucket moves"
        assert (client["pending"], client["pending_segments"], client["next_run_at"]) == (
            1, 2, None,
        )  # fmt: skip
        assert client["pending_bytes"] > 100
        health = await http.get("/health")
        assert health.status_code == 200
        assert "paused" in health.json()["problems"][0]
        assert (await http.post("/export/sinks/client/resume")).json()["circuit"] == "closed"
        await asyncio.to_thread(exporting.exporter.deliver, exporting.client)
        assert exporting.committed_ids(exporting.client) == Counter("a")
        assert (await http.get("/export/status")).json()["state"] == "ok"


async def test_a_resumed_sink_is_tried_at_once(moody: tuple[Exporting, Moody]) -> None:
    exporting, bucket = moody
    bucket.error = SinkRefused("NoSuchBucket. Create it.")
    await asyncio.to_thread(exporting.run)
    async with serving(exporting.database_url) as http:
        health = await http.get("/health")
        assert "resume" in health.json()["problems"][0]
        bucket.error = None
        await http.post("/export/sinks/client/resume")
    await asyncio.to_thread(exporting.exporter.deliver, exporting.client)
    assert exporting.delivery(1, "client")["state"] == "delivered"


# --- what no manifest lists ----------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here."""


def test_objects_of_an_attempt_that_was_cut_differently_are_removed(
    moody: tuple[Exporting, Moody],
) -> None:
    exporting, _ = moody
    write_now(exporting.database_url, an_event(eventId="a"))
    exporting.seal()
    # An older version wrote two parts where this one writes one, and was killed.
    received = query(exporting.database_url, "SELECT received_at FROM events_log")[0][0]
    hour = f"{received.astimezone(UTC):year=%Y/month=%m/day=%d/hour=%H}"
    folder = f"analytics/events/site_id=shop.example/{hour}"
    old = [f"{folder}/000000000001-000{part}.parquet" for part in (0, 1)]
    for key in old:
        exporting.client.bucket.put(key, b"half of it")
        query(
            exporting.database_url,
            "INSERT INTO planned_objects (sink, segment_id, key) VALUES ('client', 1, %s)",
            key,
        )
    exporting.exporter.sweep(exporting.client)
    assert exporting.client.bucket.get(old[1]), "it may still become part of a manifest"
    exporting.deliver()
    exporting.exporter.sweep(exporting.client)
    events = list(exporting.client.bucket.list_keys("analytics/events/"))
    assert events == [old[0]]
    assert exporting.committed_ids(exporting.client) == Counter("a")
    assert query(exporting.database_url, "SELECT count(*) FROM planned_objects") == [(0,)]


def test_what_a_manifest_below_another_prefix_lists_is_never_removed(
    moody: tuple[Exporting, Moody],
) -> None:
    exporting, bucket = moody
    write_now(exporting.database_url, an_event(eventId="a"))
    exporting.seal()

    committed = bucket.put_if_absent

    def commit(*arguments: Any, **named: Any) -> bool:
        stood = bool(committed(*arguments, **named))
        if "/manifests/" in arguments[0]:
            raise Crash
        return stood

    bucket.put_if_absent = commit  # type: ignore[attr-defined]
    with pytest.raises(Crash):
        exporting.deliver(exporting.client)
    elsewhere = Exporting(
        exporting.database_url, exporting.engine, exporting.folder,
        variables={"CLIENT_PREFIX": "moved"},
    )  # fmt: skip
    elsewhere.deliver()
    elsewhere.exporter.sweep(elsewhere.client)
    assert len(list(elsewhere.client.bucket.list_keys("analytics/events/"))) == 1
    assert len(list(elsewhere.client.bucket.list_keys("moved/events/"))) == 1
    assert query(exporting.database_url, "SELECT count(*) FROM planned_objects") == [(0,)]


def test_nothing_is_swept_below_a_prefix_of_another_stack(
    moody: tuple[Exporting, Moody],
) -> None:
    exporting, _ = moody
    exporting.client.bucket.put("analytics/_sluice/owner.json", b'{"stack_id": "another"}')
    folder = exporting.client_root / "analytics" / "events"
    folder.mkdir(parents=True)
    theirs = folder / ".x.0.partial"
    theirs.write_bytes(b"half")
    os.utime(theirs, (0, 0))
    exporting.exporter.sweep(exporting.client)
    assert theirs.exists()


def test_a_probe_that_fails_otherwise_does_not_hide_what_has_to_be_mended(
    moody: tuple[Exporting, Moody],
) -> None:
    exporting, bucket = moody
    bucket.error = SinkRefused("AccessDenied. Grant it.")
    exporting.run()
    bucket.error = SinkUnavailable("timeout")
    exporting.deliver(exporting.client)
    found = query(exporting.database_url, "SELECT circuit, reason FROM sinks ORDER BY sink")
    assert found[0] == ("open", "AccessDenied. Grant it.")


async def test_an_orphan_that_may_not_be_removed_is_told_and_tried_after_a_restart(
    moody: tuple[Exporting, Moody],
) -> None:
    exporting, bucket = moody
    await asyncio.to_thread(exporting.run)
    query(
        exporting.database_url,
        "INSERT INTO planned_objects (sink, segment_id, key) VALUES ('client', 1, 'analytics/x')",
    )
    bucket.delete_error = SinkRefused("AccessDenied")
    await asyncio.to_thread(exporting.exporter.sweep, exporting.client)
    async with serving(exporting.database_url) as http:
        sinks = (await http.get("/export/status")).json()["sinks"]
        assert [sink["orphans"] for sink in sinks] == [1, 0]
        calls = bucket.calls
        await asyncio.to_thread(exporting.exporter.sweep, exporting.client)
        assert bucket.calls == calls + 1, "whose the prefix is, and no more"
        bucket.delete_error = None
        await asyncio.to_thread(exporting.restart)
        await asyncio.to_thread(exporting.exporter.sweep, exporting.client)
        sinks = (await http.get("/export/status")).json()["sinks"]
        assert [sink["orphans"] for sink in sinks] == [0, 0]


def test_an_orphan_waits_while_the_manifest_cannot_be_read(
    moody: tuple[Exporting, Moody],
) -> None:
    exporting, _ = moody
    segment = exporting.run()
    bucket, prefix = exporting.client.bucket, exporting.client.prefix
    orphan = f"{prefix}/events/orphan.parquet"
    bucket.put(orphan, b"rows")
    query(
        exporting.database_url,
        "INSERT INTO planned_objects (sink, segment_id, key) VALUES"
        f" ('client', {segment.segment_id}, '{orphan}')",
    )
    manifest = f"{prefix}/_sluice/manifests/{segment.segment_id:012d}.json"
    body = bucket.get(manifest)
    assert body is not None
    bucket.put(manifest, body[:-20])
    exporting.exporter.sweep(exporting.client)
    assert bucket.get(orphan) == b"rows"
    bucket.put(manifest, body)
    exporting.restart()
    exporting.exporter.sweep(exporting.client)
    assert bucket.get(orphan) is None
    assert query(exporting.database_url, "SELECT FROM planned_objects") == []


def test_keys_are_noted_before_anything_is_put(moody: tuple[Exporting, Moody]) -> None:
    exporting, bucket = moody
    write_now(exporting.database_url, an_event(eventId="a"))
    exporting.seal()

    def crash(*_: Any, **__: Any) -> None:
        raise Crash

    bucket.put_file = crash  # type: ignore[attr-defined]
    with pytest.raises(Crash):
        exporting.deliver(exporting.client)
    planned = query(exporting.database_url, "SELECT key FROM planned_objects")
    assert len(planned) == 1
    assert planned[0][0].endswith("/000000000001-0000.parquet")


def test_what_a_killed_process_left_half_written_is_removed(
    moody: tuple[Exporting, Moody],
) -> None:
    exporting, _ = moody
    folder = exporting.client_root / "analytics" / "events"
    folder.mkdir(parents=True)
    exporting.run()  # the prefix is ours
    left, young = folder / ".x.0.partial", folder / ".y.1.partial"
    for path in (left, young):
        path.write_bytes(b"half")
    old = datetime.now(UTC).timestamp() - 3_600
    os.utime(left, (old, old))
    late = datetime.now(UTC).timestamp() + 3_600
    os.utime(young, (late, late))
    exporting.exporter.sweep(exporting.client)
    assert not left.exists()
    assert young.exists(), "it may be this process's own"


# --- runs and progress ---------------------------------------------------------------------------


async def test_runs_are_paged_and_shown_sink_by_sink(moody: tuple[Exporting, Moody]) -> None:
    exporting, bucket = moody
    for _ in range(5):
        await asyncio.to_thread(exporting.run)
    bucket.error = SinkRefused("AccessDenied. Grant it.")
    await asyncio.to_thread(exporting.run)
    async with serving(exporting.database_url) as http:
        seen: list[int] = []
        before: dict[str, str] = {}
        while True:
            page = (await http.get("/export/runs", params={"limit": "4"} | before)).json()
            seen += [run["segment_id"] for run in page["runs"]]
            if page["next"] is None:
                break
            before = {"before": page["next"]}
        assert seen == [6, 5, 4, 3, 2, 1]
        newest = (await http.get("/export/runs")).json()["runs"][0]
        assert (newest["state"], newest["last_error"]) == ("stopped", "AccessDenied. Grant it.")
        detail = (await http.get(f"/export/runs/{newest['run_id']}")).json()
        by_sink = {d["sink"]: d for d in detail["deliveries"]}
        assert by_sink["client"]["state"] == "stopped"
        assert by_sink["metering"]["manifest_key"].endswith("000000000006.json")
        assert (await http.get("/export/runs?limit=0")).status_code == 422
        unknown = "019aa1b2-7c1e-7a50-9d3e-3f1b8c2a4d5e"
        assert (await http.get(f"/export/runs?before={unknown}")).status_code == 404


async def test_a_request_joins_the_run_under_way_unless_something_came_in(
    moody: tuple[Exporting, Moody],
) -> None:
    exporting, _ = moody
    async with serving(exporting.database_url) as http:

        async def ask() -> str:
            return str((await http.post("/export/run")).json()["run_id"])

        first = await ask()
        await asyncio.to_thread(exporting.exporter.seal_if_due)
        assert await ask() == first, "it delivers all there is"
        await asyncio.to_thread(write_now, exporting.database_url, an_event())
        second = await ask()
        assert second != first
        assert await ask() == second


async def test_the_delivery_under_way_is_shown(moody: tuple[Exporting, Moody]) -> None:
    exporting, bucket = moody
    url = exporting.database_url
    await asyncio.to_thread(write_now, url, an_event(), an_event(siteId="b.example"))
    await asyncio.to_thread(exporting.seal)
    seen: list[Any] = []
    async with serving(url) as http:
        put, loop = bucket.put_file, asyncio.get_running_loop()

        def look(*arguments: Any, **named: Any) -> None:
            exporting.exporter.say_state()
            asked = asyncio.run_coroutine_threadsafe(http.get("/export/status"), loop)
            seen.append(asked.result(10).json())
            put(*arguments, **named)

        bucket.put_file = look  # type: ignore[method-assign]
        await asyncio.to_thread(exporting.deliver, exporting.client)
        await asyncio.to_thread(exporting.exporter.say_state)
        after = (await http.get("/export/status")).json()
    shown = [status["sinks"][0]["current_run"] for status in seen]
    assert [(s["stage"], s["rows"], s["of_rows"]) for s in shown] == [("uploading", 2, 2)] * 2
    assert [(s["objects"], s["of_objects"]) for s in shown] == [(0, 2), (1, 2)]
    assert shown[0]["estimated_seconds_left"] is None
    assert shown[1]["estimated_seconds_left"] > 0
    assert after["sinks"][0]["current_run"] is None
    assert 0 < after["disk"]["free_bytes"] < after["disk"]["total_bytes"]


async def test_a_failure_is_shown_while_it_is_tried_again(moody: tuple[Exporting, Moody]) -> None:
    exporting, bucket = moody
    url = exporting.database_url
    bucket.error = SinkRefused("AccessDenied. Grant it.")
    await asyncio.to_thread(exporting.run)
    bucket.error = None
    seen: list[Any] = []
    async with serving(url) as http:
        put, loop = bucket.put, asyncio.get_running_loop()

        def look(*arguments: Any, **named: Any) -> None:
            asked = asyncio.run_coroutine_threadsafe(http.get("/export/status"), loop)
            seen.append(asked.result(10).json()["sinks"][0])
            put(*arguments, **named)

        bucket.put = look  # type: ignore[attr-defined]
        # Somebody asks for an export, and what has stopped is tried at once.
        assert (await http.post("/export/run")).status_code == 202
        await asyncio.to_thread(exporting.exporter.seal_if_due)
        await asyncio.to_thread(exporting.exporter.deliver, exporting.client)
        after = (await http.get("/export/status")).json()["sinks"][0]
    assert exporting.delivery(1, "client")["attempts"] == 2
    assert (seen[0]["state"], seen[0]["last_error"]) == ("stopped", "AccessDenied. Grant it.")
    assert (after["state"], after["last_error"]) == ("ok", None)


def test_a_commit_whose_answer_was_lost_is_no_failure(
    database_url: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporting = Exporting(database_url, engine, tmp_path / "buckets")

    def lose_the_answer(connection: Connection, pending: PendingDelivery, **named: Any) -> None:
        mark_delivered(connection, pending, **named)
        with engine.connect() as other:  # the job of the other sink does so each second
            mark_exported(other)
        raise ConnectionError("the answer to COMMIT was lost")

    monkeypatch.setattr("exporter.delivery.mark_delivered", lose_the_answer)
    for _ in range(2):
        write_now(database_url, an_event())
        exporting.run()
    states = "SELECT DISTINCT d.state, s.state FROM deliveries d JOIN segments s USING (segment_id)"
    assert query(database_url, states) == [("delivered", "exported")]
    assert query(database_url, "SELECT count(*) FROM deliveries") == [(4,)]


def test_a_failure_and_a_resume_at_once_wait_for_each_other(
    moody: tuple[Exporting, Moody], engine: Engine
) -> None:
    exporting, bucket = moody
    bucket.error = SinkRefused("AccessDenied. Grant it.")
    segment_id = exporting.run().segment_id
    now = datetime.now(UTC)
    failed = PendingDelivery(segment_id, "client", now, now, 1, None)

    def fail() -> None:
        with engine.connect() as connection:
            mark_failed(
                connection,
                failed,
                error="no",
                retry_in=timedelta(seconds=1),
                probe_in=timedelta(seconds=1),
                stopped=True,
            )

    with engine.connect() as resuming, ThreadPoolExecutor(1) as other:
        with resuming.begin():
            resuming.execute(text("UPDATE sinks SET probe_at = now() WHERE sink = 'client'"))
            failing = other.submit(fail)
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while query(exporting.database_url, waits) == [(0,)]:
                assert not failing.done()
            resuming.execute(text("UPDATE deliveries SET next_attempt_at = now()"))
        failing.result()


def test_a_resume_has_the_sinks_before_their_deliveries(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    """As the other resume has, by the API: each would take the deliveries in its own order."""
    exporting = Exporting(database_url, engine, tmp_path / "buckets")
    write_now(database_url, an_event())
    exporting.seal()

    def resume() -> None:
        with engine.connect() as connection:
            resume_deliveries(connection, interrupted=False)

    with engine.connect() as by_hand, ThreadPoolExecutor(1) as other:
        with by_hand.begin():
            by_hand.execute(text("UPDATE sinks SET since = now() WHERE sink = 'client'"))
            resuming = other.submit(resume)
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while query(database_url, waits) == [(0,)]:
                assert not resuming.done()
            by_hand.execute(text("SET LOCAL lock_timeout = '1ms'"))
            by_hand.execute(text("UPDATE deliveries SET next_attempt_at = now()"))
        resuming.result()


def test_an_upgrade_mends_what_a_lost_answer_left_behind(postgres: EmbeddedServer) -> None:
    query(postgres.url, "CREATE DATABASE lost_answers")
    url = with_database(postgres.url, "lost_answers")
    engine = sync_engine(url, application_name="tests")
    migrate(engine, revision="0010")
    query(
        url,
        "INSERT INTO segments (segment_id, state, opened_at, sealed_at, exported_at)"
        " OVERRIDING SYSTEM VALUE VALUES"
        " (10, 'exported', now(), now(), now()), (11, 'deduplicated', now(), now(), NULL)",
    )
    query(
        url,
        "INSERT INTO deliveries (segment_id, sink, state, rows, last_error)"
        " SELECT n, sink, 'pending', 1, 'no answer'"
        " FROM unnest(ARRAY[10, 11]) AS n, unnest(ARRAY['client', 'metering']) AS sink",
    )
    query(url, "UPDATE deliveries SET state = 'delivered' WHERE sink = 'metering'")
    migrate(engine)
    engine.dispose()
    states = "SELECT segment_id, sink, state FROM deliveries ORDER BY 1, 2"
    assert query(url, states) == [
        (10, "client", "delivered"),
        (10, "metering", "delivered"),
        (11, "client", "pending"),
        (11, "metering", "delivered"),
    ]
