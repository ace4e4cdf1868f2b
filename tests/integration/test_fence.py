"""The proof of the fence: what timestamps and ids lose, sealed segments do not."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from threading import Thread
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from database.fence import FENCE_KEY
from database.intake import IntakeConnection
from database.segments import FenceBusy, Segment, end_stale_writers
from tests.conftest import a_batch, an_event
from tests.integration.building import (
    commit,
    event_ids,
    ledger_of,
    open_transaction,
    query,
    seal,
    write,
    write_now,
)
from tests.unit.accepting import accept

# One writer of the protocol, taken apart so that a test can stop between its steps.
BEGIN_WRITING = f"SELECT pg_advisory_xact_lock_shared({FENCE_KEY})"
INSERT = """
INSERT INTO events_log
  (segment_id, received_at, event_id, event_type, site_id, occurred_at, payload)
SELECT segment_id, clock_timestamp(), gen_random_uuid(), 'click', 'a', now(),
  jsonb_build_object('eventId', %(name)s::text)
FROM segments WHERE state = 'open'
"""
COUNT = """
INSERT INTO ledger
SELECT segment_id, nextval('writer_ids'), 'a', date_trunc('hour', now(), 'UTC'), 'click',
  'accepted', 1, 1
FROM segments WHERE state = 'open'
"""


def start_writing(connection: psycopg.Connection, name: str) -> None:
    """A writer that has written and not yet committed."""
    connection.execute(BEGIN_WRITING)
    connection.execute(INSERT, {"name": name})
    connection.execute(COUNT)


class NaiveExporter:
    """What the fence is there to avoid: exports everything above a watermark that it keeps."""

    def __init__(self, database_url: str, column: str) -> None:
        self._url, self._column = database_url, column
        self._watermark: Any = None
        self.exported: list[str] = []

    def export(self) -> None:
        rows = query(
            self._url,
            f"SELECT name, {self._column} FROM naive"
            f" WHERE %s::text IS NULL OR {self._column}::text > %s ORDER BY {self._column}",
            self._watermark, self._watermark,
        )  # fmt: skip
        self.exported += [name for name, _ in rows]
        if rows:
            self._watermark = str(max(value for _, value in rows))


@pytest.mark.parametrize("column", ["id", "received_at"])
def test_a_watermark_loses_the_row_that_commits_late(database_url: str, column: str) -> None:
    """The interleaving below, against what a timestamp or an id can tell: one row is lost."""
    query(
        database_url,
        "CREATE TABLE naive (id bigint GENERATED ALWAYS AS IDENTITY (START 1000),"
        " received_at timestamptz DEFAULT clock_timestamp(), name text)",
    )
    exporter = NaiveExporter(database_url, column)
    with open_transaction(database_url) as slow, open_transaction(database_url) as quick:
        slow.execute("INSERT INTO naive (name) VALUES ('slow')")
        quick.execute("INSERT INTO naive (name) VALUES ('quick')")
        quick.commit()
        exporter.export()
        slow.commit()
    exporter.export()
    assert exporter.exported == ["quick"], "the slow row is never exported"


def test_sealing_waits_for_the_row_that_commits_late(database_url: str, engine: Engine) -> None:
    """The same interleaving with the fence: both rows are in the sealed segment."""
    sealed: list[Segment] = []
    with open_transaction(database_url) as slow, open_transaction(database_url) as quick:
        start_writing(slow, "slow")
        start_writing(quick, "quick")
        quick.commit()
        sealing = Thread(
            target=lambda: sealed.append(seal(engine, wait=timedelta(seconds=30))), daemon=True
        )
        sealing.start()
        until_somebody_waits_for_the_fence(database_url)
        assert sealed == []
        slow.commit()
        sealing.join(30)
    assert sorted(event_ids(database_url, f"events_log_{sealed[0].segment_id}")) == [
        "quick",
        "slow",
    ]
    assert ledger_of(database_url) == {"accepted": 2}


def test_a_fence_that_is_held_too_long_leaves_everything_as_it_was(
    database_url: str, engine: Engine
) -> None:
    with open_transaction(database_url) as slow:
        start_writing(slow, "slow")
        with pytest.raises(FenceBusy):
            seal(engine, wait=timedelta(milliseconds=50))
        assert query(database_url, "SELECT segment_id, state FROM segments") == [(1, "open")]
        assert query(database_url, "SELECT 1 FROM deliveries") == []
        slow.commit()
    write_now(database_url, an_event(eventId="after"))
    sealed = seal(engine)
    assert event_ids(database_url, f"events_log_{sealed.segment_id}") == ["slow", "after"]


def test_a_collector_that_is_stuck_in_its_transaction_is_ended(
    database_url: str, engine: Engine
) -> None:
    stuck_url = f"{database_url}&application_name=sluice%20collector"
    with open_transaction(stuck_url) as stuck, open_transaction(database_url) as other:
        start_writing(stuck, "never acknowledged")
        start_writing(other, "not a collector's")
        with engine.connect() as connection:
            assert end_stale_writers(connection, older_than=timedelta(seconds=30)) == 0
            assert end_stale_writers(connection, older_than=timedelta(0)) == 1
        other.commit()
        assert seal(engine).segment_id == 1
        stuck.close()
    assert event_ids(database_url) == ["not a collector's"]


def test_who_begins_to_write_while_sealing_waits_writes_into_the_next_segment(
    database_url: str, engine: Engine
) -> None:
    sealed: list[Segment] = []
    landed: list[int] = []
    with open_transaction(database_url) as slow:
        start_writing(slow, "slow")
        sealing = Thread(
            target=lambda: sealed.append(seal(engine, wait=timedelta(seconds=30))), daemon=True
        )
        sealing.start()
        until_somebody_waits_for_the_fence(database_url)
        writing = Thread(
            target=lambda: landed.append(write_now(database_url, an_event()).segment_id),
            daemon=True,
        )
        writing.start()
        until_somebody_waits_for_the_fence(database_url, many=2)
        slow.commit()
        sealing.join(30)
        writing.join(30)
    assert landed != [sealed[0].segment_id]
    assert event_ids(database_url, f"events_log_{sealed[0].segment_id}") == ["slow"]


def until_somebody_waits_for_the_fence(database_url: str, *, many: int = 1) -> None:
    deadline = time.monotonic() + 20
    while (
        len(
            query(
                database_url, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            )
        )
        < many
    ):
        assert time.monotonic() < deadline, "nobody waits for the fence"
        time.sleep(0.005)


async def test_under_load_every_row_is_in_the_one_segment_whose_window_it_fits(
    database_url: str, engine: Engine
) -> None:
    committed: list[str] = []
    until = asyncio.get_running_loop().time() + 2

    async def keep_writing(writer: int) -> None:
        connection = await IntakeConnection.open(database_url, commit_timeout_seconds=30)
        number = 0
        while asyncio.get_running_loop().time() < until:
            names = [f"{writer}-{number}-{n}" for n in range(1 + number % 5)]
            await commit(connection, accept(a_batch(*[an_event(eventId=name) for name in names])))
            committed.extend(names)
            number += 1
        await connection.close()

    async def keep_sealing() -> list[Segment]:
        sealed = []
        while asyncio.get_running_loop().time() < until:
            sealed.append(await asyncio.to_thread(seal, engine))
            await asyncio.sleep(0.003)
        return sealed

    *_, sealed = await asyncio.gather(*[keep_writing(n) for n in range(4)], keep_sealing())
    sealed.append(seal(engine))
    assert len(sealed) > 10
    found: list[str] = []
    for before, segment in zip([None, *sealed], sealed, strict=False):
        assert before is None or segment.opened_at == before.sealed_at
        found += event_ids(database_url, f"events_log_{segment.segment_id}")
    assert len(committed) > 100
    assert sorted(found) == sorted(committed)
    assert query(
        database_url,
        "SELECT count(*) FROM events_log JOIN segments USING (segment_id)"
        " WHERE received_at < opened_at OR received_at >= sealed_at",
    ) == [(0,)]
    per_segment = query(
        database_url,
        "SELECT count(*) FROM (SELECT segment_id, count(*) AS n FROM events_log GROUP BY 1) AS r"
        " FULL JOIN (SELECT segment_id, sum(events) AS n FROM ledger GROUP BY 1) AS l"
        " USING (segment_id) WHERE r.n IS DISTINCT FROM l.n",
    )
    assert per_segment == [(0,)], "the ledger says of each segment what it holds"


def test_an_empty_segment_is_sealed_too(database_url: str, engine: Engine) -> None:
    first, second = seal(engine), seal(engine)
    assert first.segment_id < second.segment_id
    assert first.opened_at < first.sealed_at == second.opened_at
    assert query(database_url, "SELECT count(*) FROM deliveries") == [(4,)]
    assert query(database_url, "SELECT count(*) FROM segments WHERE state = 'open'") == [(1,)]


async def test_rows_and_ledger_are_rolled_back_together(database_url: str) -> None:
    connection = await IntakeConnection.open(database_url, commit_timeout_seconds=30)
    query(
        database_url, "ALTER TABLE ledger ADD CONSTRAINT none CHECK (event_type <> 'uncountable')"
    )
    with pytest.raises(psycopg.IntegrityError):
        await commit(connection, accept(a_batch(an_event(), an_event(eventType="uncountable"))))
    assert event_ids(database_url) == []
    assert ledger_of(database_url) == {}
    await commit(connection, accept(an_event()))
    await connection.close()
    assert ledger_of(database_url) == {"accepted": 1}
    assert len(event_ids(database_url)) == 1


async def test_a_commit_says_where_and_when_it_landed(database_url: str) -> None:
    committed = await write(database_url, an_event(), an_event())
    rows = query(database_url, "SELECT segment_id, received_at FROM events_log")
    assert rows == [(committed.segment_id, committed.received_at)] * 2


async def test_a_database_that_was_never_migrated_is_no_open_segment(database_url: str) -> None:
    from database.intake import NoOpenSegment

    connection = await IntakeConnection.open(database_url, commit_timeout_seconds=30)
    query(database_url, "DELETE FROM segments")
    with pytest.raises(NoOpenSegment):
        await commit(connection, accept(an_event()))
    await connection.close()
