"""The behaviour that a group commit relies on: the real connection has it, and so has the fake."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pytest

from database.fence import FENCE_KEY
from database.intake import IntakeConnection, PositionMoved
from database.intake_batch import Intake, LedgerCount, LedgerKey
from database.row import encode_row
from tests.integration.building import event_ids, open_transaction, query
from tests.unit.fake_buffer import POISON, FakeBuffer

KEY = LedgerKey("a.example", "click", "accepted")


@dataclass
class Subject:
    """A buffer to test: how to connect, what it holds, how to make calls hang."""

    connect: Callable[[], Awaitable[Any]]
    rows: Callable[[], int]
    counts: Callable[[], Counter[LedgerKey]]
    hold: Callable[[], None]
    until_held: Callable[[], Awaitable[None]]
    release: Callable[[], None]


def fake_subject() -> Subject:
    buffer = FakeBuffer()
    return Subject(
        buffer.connect,
        lambda: len(buffer.rows),
        lambda: buffer.counts,
        buffer.hold,
        lambda: asyncio.wait_for(buffer.entered.wait(), 10),  # type: ignore[arg-type,return-value]
        buffer.release,
    )


@pytest.fixture(params=["real", "fake"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "fake":
        yield fake_subject()
        return
    url = request.getfixturevalue("database_url")

    def counts() -> Counter[LedgerKey]:
        found = query(url, "SELECT site_id, event_type, outcome, events FROM ledger")
        return Counter({LedgerKey(*row[:3]): row[3] for row in found})

    async def until_held() -> None:
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not query(url, waiting):  # noqa: ASYNC110 - PostgreSQL tells nobody who waits
            await asyncio.sleep(0.01)

    with open_transaction(url) as other:
        yield Subject(
            lambda: IntakeConnection.open(url, commit_timeout_seconds=30),
            lambda: len(event_ids(url)),
            counts,
            lambda: other.execute("SELECT pg_advisory_xact_lock(%s)", (FENCE_KEY,)) and None,
            until_held,
            other.rollback,
        )


def a_row(number: int, *, payload: bytes = b'{"eventType":"click"}') -> bytes:
    return encode_row(
        event_id=number.to_bytes(16, "big"), event_type="click", site_id="a.example",
        visitor_id=None, session_id="s", user_id=None, occurred_at_us=1_700_000_000_000_000,
        payload=payload,
    )  # fmt: skip


async def test_rows_and_counts_are_committed_together(subject: Subject) -> None:
    connection = await subject.connect()
    await connection.commit(Intake(rows=[a_row(1), a_row(2)], counts={KEY: LedgerCount(2, 40)}))
    await connection.commit(Intake(rows=[a_row(3)], counts={KEY: LedgerCount(1, 20)}))
    await connection.close()
    assert subject.rows() == 3
    assert subject.counts() == {KEY: 3}


async def test_counts_may_come_without_rows(subject: Subject) -> None:
    connection = await subject.connect()
    refused = LedgerKey("a.example", "", "invalid_json")
    await connection.commit(Intake(rows=[], counts={refused: LedgerCount(1, 0)}))
    await connection.close()
    assert subject.rows() == 0
    assert subject.counts() == {refused: 1}


async def test_a_refused_row_takes_its_transaction_along_and_nothing_else(subject: Subject) -> None:
    connection = await subject.connect()
    with pytest.raises(psycopg.DataError):
        await connection.commit(
            Intake(rows=[a_row(1), a_row(2, payload=POISON)], counts={KEY: LedgerCount(2, 40)})
        )
    assert subject.rows() == 0
    assert subject.counts() == {}
    await connection.commit(Intake(rows=[a_row(1)], counts={KEY: LedgerCount(1, 20)}))
    await connection.close()
    assert subject.rows() == 1
    assert subject.counts() == {KEY: 1}


async def test_trying_says_the_same_and_keeps_nothing(subject: Subject) -> None:
    connection = await subject.connect()
    await connection.try_rows([a_row(1)])
    with pytest.raises(psycopg.DataError):
        await connection.try_rows([a_row(1), a_row(2, payload=POISON)])
    await connection.try_rows([])
    await connection.close()
    assert subject.rows() == 0


async def test_a_call_that_hangs_fails_when_the_line_is_cut(subject: Subject) -> None:
    connection = await subject.connect()
    subject.hold()
    call = asyncio.create_task(
        connection.commit(Intake(rows=[a_row(1)], counts={KEY: LedgerCount(1, 20)}))
    )
    await asyncio.wait_for(subject.until_held(), 10)
    connection.abort()
    with pytest.raises(psycopg.OperationalError):
        await asyncio.wait_for(call, 10)
    subject.release()
    with pytest.raises(psycopg.Error):
        await connection.commit(Intake(rows=[a_row(1)], counts={KEY: LedgerCount(1, 20)}))
    await connection.close()
    assert subject.rows() == 0


async def test_a_call_that_hangs_goes_on_when_it_may(subject: Subject) -> None:
    connection = await subject.connect()
    subject.hold()
    call = asyncio.create_task(
        connection.commit(Intake(rows=[a_row(1)], counts={KEY: LedgerCount(1, 20)}))
    )
    await asyncio.wait_for(subject.until_held(), 10)
    subject.release()
    await asyncio.wait_for(call, 10)
    await connection.close()
    assert subject.rows() == 1


async def test_closing_twice_or_after_a_cut_is_harmless(subject: Subject) -> None:
    connection = await subject.connect()
    connection.abort()
    await connection.close()
    await connection.close()
    connection.abort()


# --- replay --------------------------------------------------------------------------------------

SPOOL = UUID("019aa1b2-7c1e-7a50-9d3e-3f1b8c2a4d5e")


def an_intake(*numbers: int) -> Intake:
    return Intake(rows=[a_row(n) for n in numbers], counts={KEY: LedgerCount(len(numbers), 20)})


async def test_a_replay_moves_the_position_with_what_it_writes(subject: Subject) -> None:
    connection = await subject.connect()
    assert await connection.replayed_through(SPOOL) == 0
    await connection.commit_replayed(an_intake(1, 2), spool_id=SPOOL, after=0, number=2)
    await connection.commit_replayed(an_intake(5), spool_id=SPOOL, after=2, number=5)
    assert await connection.replayed_through(SPOOL) == 5
    await connection.close()
    assert subject.rows() == 3
    assert subject.counts() == {KEY: 3}


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_what_was_replayed_is_not_written_again(subject: Subject, after: int) -> None:
    connection = await subject.connect()
    await connection.commit_replayed(an_intake(1, 2), spool_id=SPOOL, after=0, number=2)
    with pytest.raises(PositionMoved):
        await connection.commit_replayed(an_intake(1, 2), spool_id=SPOOL, after=after, number=4)
    assert await connection.replayed_through(SPOOL) == 2
    assert subject.rows() == 2
    await connection.close()


async def test_a_replay_that_is_refused_moves_nothing(subject: Subject) -> None:
    connection = await subject.connect()
    bad = Intake(rows=[a_row(1, payload=POISON)], counts={KEY: LedgerCount(1, 20)})
    with pytest.raises(psycopg.DataError):
        await connection.commit_replayed(bad, spool_id=SPOOL, after=0, number=1)
    assert await connection.replayed_through(SPOOL) == 0
    await connection.close()


async def test_a_commit_is_told_from_what_was_not(subject: Subject) -> None:
    connection, asking = await subject.connect(), await subject.connect()

    async def was_committed() -> bool | None:
        assert connection.transaction_id is not None
        return await asking.was_committed(  # type: ignore[no-any-return]
            writer_id=connection.writer_id, transaction_id=connection.transaction_id
        )

    await connection.commit(an_intake(1))
    assert await was_committed() is True
    await connection.try_rows([a_row(2)])
    assert await was_committed() is False
    with pytest.raises(psycopg.DataError):
        await connection.commit(Intake(rows=[a_row(3, payload=POISON)], counts={}))
    assert await was_committed() is False
    assert await asking.was_committed(writer_id=9_999, transaction_id=2**40) is False
    await connection.close()
    await asking.close()


async def test_a_transaction_that_has_not_begun_has_no_number(subject: Subject) -> None:
    connection = await subject.connect()
    assert connection.transaction_id is None
    await connection.commit(an_intake(1))
    subject.hold()
    call = asyncio.create_task(connection.commit(an_intake(2)))
    await asyncio.wait_for(subject.until_held(), 10)
    assert connection.transaction_id is None
    subject.release()
    await asyncio.wait_for(call, 10)
    await connection.close()


async def test_a_connection_goes_on_after_what_it_rolled_back(database_url: str) -> None:
    connection = await IntakeConnection.open(database_url, commit_timeout_seconds=30)
    step = {"spool_id": SPOOL, "after": 0, "number": 2}
    await connection.commit_replayed(an_intake(1), **step)
    for number in range(2, 9):  # psycopg may prepare what it has sent five times
        with pytest.raises(PositionMoved):
            await connection.commit_replayed(an_intake(number), **step)
        await connection.commit(an_intake(number))
    assert len(event_ids(database_url)) == 8
    await connection.close()


async def test_all_connections_to_one_database_say_the_same_of_it(subject: Subject) -> None:
    first, second = await subject.connect(), await subject.connect()
    assert first.incarnation == second.incarnation > 0
    await first.close()
    await second.close()
