"""The collector while PostgreSQL is away, read-only, frozen or crashed."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from database.async_engine import async_engine
from database.embedded import EmbeddedServer
from database.engine import sync_engine
from database.intake import IntakeConnection, PositionMoved
from database.migrate import migrate
from database.rule_changes import suppress as suppress_persons
from tests.conftest import a_batch, an_event
from tests.integration.building import (
    collect,
    event_ids,
    ledger_of,
    open_transaction,
    query,
    serving,
)
from tests.integration.test_buffer_connection import SPOOL, an_intake

AN_HOUR = timedelta(hours=1)


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """A server of the test's own, to be stopped and killed."""
    # Processes are killed here, no power fails; and whoever is killed may write to the last.
    with tempfile.TemporaryDirectory(prefix="sluice-away-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        memory = {"shared_buffers": "32MB", "max_wal_size": "1GB", "fsync": "off"}
        server = EmbeddedServer(folder=Path(folder) / "postgres", memory=memory)
        server.start()
        engine = sync_engine(server.url, application_name="tests")
        migrate(engine)
        engine.dispose()
        try:
            yield server
        finally:
            server.stop()


@asynccontextmanager
async def collecting(url: str, folder: Path, **variables: str) -> AsyncIterator[httpx.AsyncClient]:
    variables = {"SPOOL_DIR": str(folder / "spool"), "COMMIT_TIMEOUT": "2s"} | variables
    async with serving(url, **variables) as http:
        yield http


class Sender:
    """Sends batches, and knows what it was told is taken in."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.told: list[str] = []

    async def send(self, *, batches: int = 1, events: int = 20, **different: Any) -> None:
        for _ in range(batches):
            batch = [an_event(**different) for _ in range(events)]
            answer = await collect(self._http, a_batch(*batch))
            assert answer.status_code == 200, answer.text
            assert answer.json() == {"accepted": events, "rejected": 0}
            self.told += [event["eventId"] for event in batch]


async def health_of(http: httpx.AsyncClient) -> tuple[int, dict[str, Any]]:
    answer = await http.get("/health")
    return answer.status_code, answer.json()


async def until_empty(http: httpx.AsyncClient) -> None:
    await until(
        lambda: health_of(http), lambda h: h[1]["database"] == "up" and not h[1]["spool"]["events"]
    )


async def until_true(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def until(ask: Callable[[], Any], is_it: Callable[[Any], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_it(await ask()):  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.1)


def say_exporter_is_up(url: str) -> None:
    query(
        url,
        "INSERT INTO exporter_state (started_at, last_seen_at, config)"
        """ VALUES (now(), now(), '{"export_interval_seconds": "1"}')""",
    )


def disconnect_collectors(url: str) -> None:
    query(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'sluice collector' AND datname = current_database()",
    )


async def test_what_is_sent_while_it_is_stopped_is_written_when_it_is_back(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    async with collecting(server.url, tmp_path) as http:
        sender = Sender(http)
        await sender.send(batches=3)
        await asyncio.to_thread(server.stop)
        await sender.send(batches=5)

        status, health = await health_of(http)
        assert (status, health["status"], health["database"]) == (200, "degraded", "down")
        assert health["spool"]["events"] == 100
        assert health["spool"]["bytes"] > 20_000
        assert health["spool"]["oldest_seconds"] >= 0
        assert health["spool"]["room_bytes"] > 1_000_000_000
        assert health["spool"]["seconds_until_full"] > 0
        assert "they go to the spool" in health["problems"][0]
        assert "100 events" in health["problems"][1]

        await asyncio.to_thread(server.start)
        await until_empty(http)
        await sender.send(batches=2)
        assert Counter(event_ids(server.url)) == Counter(sender.told)
        assert ledger_of(server.url) == {"accepted": 200}


async def test_what_an_earlier_process_left_is_written_by_the_next(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    await asyncio.to_thread(server.stop)
    async with collecting(server.url, tmp_path) as http:
        earlier = Sender(http)
        await earlier.send(batches=4)
    await asyncio.to_thread(server.start)
    async with collecting(server.url, tmp_path) as http:
        await until_empty(http)
    assert event_ids(server.url) == earlier.told, "in the order in which they came"


async def test_whoever_was_erased_meanwhile_does_not_come_out_of_the_spool(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    await asyncio.to_thread(server.stop)
    async with collecting(server.url, tmp_path) as http:
        sender = Sender(http)
        await sender.send(events=3, visitorId="v-gone")
        erased = set(sender.told)
        await sender.send(events=5, visitorId="v-stays")
    await asyncio.to_thread(server.start)
    management = async_engine(server.url, application_name="tests")
    await suppress_persons(management, [("visitor", "v-gone")])
    await management.dispose()
    async with collecting(server.url, tmp_path) as http:
        await until_empty(http)
    assert set(event_ids(server.url)) == set(sender.told) - erased
    assert ledger_of(server.url) == {"accepted": 5, "suppressed": 3}


async def test_a_server_that_only_reads_is_as_good_as_away(
    database_url: str, tmp_path: Path
) -> None:
    name = query(database_url, "SELECT current_database()")[0][0]
    writable = database_url + "&options=-c%20default_transaction_read_only%3Doff"
    say_exporter_is_up(database_url)
    async with collecting(database_url, tmp_path) as http:
        sender = Sender(http)
        await sender.send()
        query(writable, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        disconnect_collectors(writable)
        await sender.send(batches=3)
        await until(lambda: health_of(http), lambda h: "read-only" in str(h[1]["problems"]))
        await sender.send(batches=3)
        status, health = await health_of(http)
        assert (status, health["status"]) == (200, "degraded")
        assert health["spool"]["events"] == 120
        query(writable, f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await until_empty(http)
    assert Counter(event_ids(database_url)) == Counter(sender.told)
    assert ledger_of(database_url) == {"accepted": 140}


async def test_a_frozen_backend_costs_the_timeout_once_and_loses_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with collecting(database_url, tmp_path, COMMIT_TIMEOUT="5s") as http:
        sender = Sender(http)
        await sender.send()
        ((pid,),) = query(
            database_url,
            "SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'sluice collector' AND datname = current_database()",
        )
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            await sender.send(batches=5)
            assert time.monotonic() - began < 4 * 5, "not once for each"
        finally:
            os.kill(pid, signal.SIGCONT)
        await until_empty(http)
    assert Counter(event_ids(database_url)) == Counter(sender.told)


async def test_a_commit_that_outlives_the_timeout_is_not_written_twice(
    database_url: str, tmp_path: Path
) -> None:
    async with collecting(database_url, tmp_path, COMMIT_TIMEOUT="1s") as http:
        sender = Sender(http)
        await sender.send()
        # The transaction has begun, and has its number, when it meets the lock. Its backend
        # is not told that the line was cut: only this lock's end wakes it.
        with open_transaction(database_url) as other:
            other.execute("LOCK TABLE events_log IN EXCLUSIVE MODE")
            await sender.send()
            assert (await health_of(http))[1]["spool"]["events"] == 20
        await until_empty(http)
        await sender.send()
    assert Counter(event_ids(database_url)) == Counter(sender.told)
    assert ledger_of(database_url) == {"accepted": 60}


async def test_poison_in_the_spool_is_refused_alone_and_the_ledger_stays_right(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    # No check of ours knows of this rule: only PostgreSQL refuses the row.
    query(server.url, "ALTER TABLE events_log_1 ADD CHECK (payload->>'title' <> 'poison')")
    await asyncio.to_thread(server.stop)
    async with collecting(server.url, tmp_path) as http:
        sender = Sender(http)
        await sender.send(batches=3, title="good")
        good = list(sender.told)
        await sender.send(events=1, title="poison")
        await asyncio.to_thread(server.start)
        await until_empty(http)
        assert (await health_of(http))[1]["spool"]["set_aside"] == 0
    assert Counter(event_ids(server.url)) == Counter(good)
    assert ledger_of(server.url) == {"accepted": 60, "unstorable": 1}
    ((site, reason, payload, type_),) = query(
        server.url, "SELECT site_id, reason, payload, event_type FROM dead_letters"
    )
    assert (site, reason, type_) == ("shop.example", "unstorable", "page_view")
    assert '"title":"poison"' in payload


async def test_without_a_spool_nothing_is_acknowledged(server: EmbeddedServer) -> None:
    async with serving(server.url) as http:
        await asyncio.to_thread(server.stop)
        answer = await collect(http, an_event())
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        status, health = await health_of(http)
        assert (status, health["status"], health["spool"]) == (503, "failing", None)


async def test_a_full_spool_is_told_and_nothing_is_acknowledged_that_does_not_fit(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    await asyncio.to_thread(server.stop)
    async with collecting(server.url, tmp_path, SPOOL_MAX_BYTES="10_000_000") as http:
        sender = Sender(http)
        filler = {"x": "y" * 10_000, "z": "y" * 10_000}
        with pytest.raises(AssertionError, match="buffer_unavailable"):
            await sender.send(batches=1_000, properties=filler)
        status, health = await health_of(http)
        assert (status, health["status"]) == (503, "failing")
        assert "refused with 503" in health["problems"][0]
        await asyncio.to_thread(server.start)
        await until_empty(http)
        await sender.send()
    assert Counter(event_ids(server.url)) == Counter(sender.told)


async def test_health_is_red_when_what_waits_in_the_spool_is_older_than_promised(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    say_exporter_is_up(server.url)
    async with collecting(server.url, tmp_path) as http:
        assert (await health_of(http))[1]["promised_seconds"] == 121
        await asyncio.to_thread(server.stop)
        await Sender(http).send()
        assert (await health_of(http))[0] == 200
        app = http._transport.app  # type: ignore[attr-defined]
        clock = app.management.state.clock
        app.management.state.clock = lambda: clock() + AN_HOUR
        status, health = await health_of(http)
        assert (status, health["status"]) == (503, "degraded")
        assert "has waited for 36" in health["problems"][0]


# --- what the database says of a transaction in doubt --------------------------------------------


async def test_a_number_that_was_given_out_again_after_a_crash_is_not_taken_for_ours(
    server: EmbeddedServer,
) -> None:
    lost = await IntakeConnection.open(server.url, commit_timeout_seconds=30)
    with psycopg.connect(server.url) as blocker:
        blocker.execute("LOCK TABLE events_log IN EXCLUSIVE MODE")  # before its COPY
        call = asyncio.create_task(lost.commit(an_intake(1)))
        await until_true(lambda: lost.transaction_id is not None)
        # Nothing of it is on the disk: after the crash nobody knows that there was such a number.
        server.process.kill()
        with pytest.raises(psycopg.OperationalError):
            await call
        with suppress(psycopg.OperationalError):
            blocker.rollback()
    number = lost.transaction_id
    assert number is not None
    await asyncio.to_thread(server.process.wait)
    await asyncio.to_thread(server.start)
    other = await IntakeConnection.open(server.url, commit_timeout_seconds=30)
    await other.commit(an_intake(1))
    assert other.transaction_id is not None
    assert other.transaction_id >= number
    told = query(server.url, "SELECT pg_xact_status(%s::text::xid8)", str(number))
    assert told == [("committed",)], "PostgreSQL takes another one for ours"
    assert await other.was_committed(writer_id=lost.writer_id, transaction_id=number) is False
    doubt = {"writer_id": other.writer_id, "transaction_id": other.transaction_id}
    assert await other.was_committed(**doubt) is True
    await other.close()


async def test_a_replay_waits_for_one_that_was_cut_off_in_the_middle(database_url: str) -> None:
    first = await IntakeConnection.open(database_url, commit_timeout_seconds=30)
    second = await IntakeConnection.open(database_url, commit_timeout_seconds=30)
    step = {"spool_id": SPOOL, "after": 0, "number": 2}
    with open_transaction(database_url) as other:
        other.execute("LOCK TABLE events_log IN EXCLUSIVE MODE")
        calls = [asyncio.create_task(first.commit_replayed(an_intake(1, 2), **step))]
        await until_true(lambda: first.transaction_id is not None)
        calls.append(asyncio.create_task(second.commit_replayed(an_intake(1, 2), **step)))
        await asyncio.sleep(0.3)
        assert not any(call.done() for call in calls)
        other.rollback()
        done = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(outcome, PositionMoved) for outcome in done) == 1
    assert query(database_url, "SELECT count(*) FROM events_log") == [(2,)]
    await first.close()
    await second.close()
