from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from msgspec import structs

from api.collector.acceptance import Acceptance, Policy
from api.collector.async_spool import AsyncSpool
from api.collector.intake_of import intake_of
from api.collector.rules import RuleBook
from api.collector.spool import InDoubt, Spool, SpoolEntry, SpoolStatus
from api.collector.spool_replay import SpoolReplay
from database.intake_batch import LedgerKey
from database.row import encode_row
from tests.unit.accepting import LIMITS
from tests.unit.fake_buffer import FakeBuffer, FakeConnection
from tests.unit.test_group_commit import CLICKS, clicks
from tests.unit.test_outage import GONE, until

UNSTORABLE = LedgerKey("shop.example", "", "unstorable")


class Leftovers:
    """A spool that something was left in, and the buffer that it is for."""

    def __init__(self, folder: Path) -> None:
        self.buffer = FakeBuffer()
        self.folder = folder
        self.is_away = False
        self.is_failing = False

    def open(self) -> Spool:
        return Spool.open(self.folder, max_bytes=100_000_000, min_free_bytes=0)

    def leave(self, *entries: SpoolEntry | Acceptance) -> None:
        spool = self.open()
        spool.append([e if isinstance(e, SpoolEntry) else entry(e) for e in entries])
        spool.close()

    async def connect(self) -> FakeConnection:
        if self.is_away:
            raise psycopg.OperationalError("connection refused")
        return await self.buffer.connect()

    @asynccontextmanager
    async def replaying(self, *, timeout_seconds: float = 30) -> AsyncIterator[SpoolReplay]:
        spool = AsyncSpool(self.open)
        replay = SpoolReplay(
            spool,
            self.connect,
            rule_book=RuleBook(Policy(limits=LIMITS)),
            timeout_seconds=timeout_seconds,
            is_failing=lambda: self.is_failing,
            is_busy=lambda: False,
        )
        replay.start()
        try:
            yield replay
        finally:
            self.buffer.release()
            await replay.close()
            await spool.close()

    async def replay_all(self) -> None:
        async with self.replaying():
            await until(lambda: self.status().entries == 0)

    def numbers(self) -> list[int]:
        spool = self.open()
        try:
            return [stored.number for stored in spool.first(max_bytes=10**9)]
        finally:
            spool.close()

    def status(self) -> SpoolStatus:
        spool = self.open()
        try:
            return spool.status()
        finally:
            spool.close()

    @property
    def rows(self) -> list[bytes]:
        return self.buffer.rows


def entry(acceptance: Acceptance, in_doubt: InDoubt | None = None) -> SpoolEntry:
    return SpoolEntry(intake_of([acceptance]).encode(), len(acceptance.accepted), in_doubt)


def a_large_click(size: int) -> Acceptance:
    """One event whose row is about so many bytes."""
    request = clicks(1)
    row = encode_row(
        event_id=uuid4().bytes,
        event_type="click",
        site_id="shop.example",
        visitor_id=None,
        session_id=None,
        user_id=None,
        occurred_at_us=0,
        payload=b'{"x":"%s"}' % bytes(size).replace(b"\0", b"x"),
    )
    request.accepted[0] = structs.replace(request.accepted[0], row=row)
    return request


def rows_of(*acceptances: Acceptance) -> list[bytes]:
    return [event.row for acceptance in acceptances for event in acceptance.accepted]


@pytest.fixture
def leftovers(tmp_path: Path) -> Leftovers:
    return Leftovers(tmp_path / "spool")


async def test_what_was_left_is_written_in_order_and_forgotten(leftovers: Leftovers) -> None:
    left = [clicks(n) for n in range(1, 6)]
    leftovers.leave(*left)
    last = leftovers.numbers()[-1]
    await leftovers.replay_all()
    assert leftovers.rows == rows_of(*left)
    assert leftovers.buffer.counts[CLICKS] == 15
    assert leftovers.buffer.commits == [15], "small entries share a transaction"
    assert list(leftovers.buffer.positions.values()) == [last]


async def test_a_transaction_is_no_larger_than_it_should_be(leftovers: Leftovers) -> None:
    leftovers.leave(*[a_large_click(300_000) for _ in range(10)])
    await leftovers.replay_all()
    assert leftovers.buffer.commits == [3, 3, 3, 1]


async def test_what_is_appended_meanwhile_follows(leftovers: Leftovers) -> None:
    leftovers.leave(clicks(1))
    async with leftovers.replaying():
        await until(lambda: leftovers.rows)
        leftovers.leave(clicks(2))
        await until(lambda: leftovers.status().entries == 0)
    assert len(leftovers.rows) == 3


async def test_what_was_written_before_a_crash_is_forgotten_unwritten(leftovers: Leftovers) -> None:
    leftovers.leave(clicks(1), clicks(2))
    spool = leftovers.open()
    # The process died between the commit and the forgetting.
    leftovers.buffer.positions[spool.spool_id] = leftovers.numbers()[1]
    spool.close()
    leftovers.leave(clicks(3))
    await leftovers.replay_all()
    assert leftovers.buffer.commits == [3]


async def test_a_commit_whose_answer_was_lost_is_not_repeated(leftovers: Leftovers) -> None:
    leftovers.leave(clicks(1), clicks(2))
    leftovers.buffer.lost_answers.append(GONE)
    await leftovers.replay_all()
    assert leftovers.buffer.commits == [3]


async def test_breaking_off_at_any_moment_loses_and_repeats_nothing(leftovers: Leftovers) -> None:
    left = [a_large_click(200_000) for _ in range(40)]
    leftovers.leave(*left)
    for step in range(12):
        async with leftovers.replaying():
            await asyncio.sleep(0.003 * step)
    await leftovers.replay_all()
    assert leftovers.rows == rows_of(*left)


async def test_postgresql_is_asked_about_a_transaction_in_doubt(leftovers: Leftovers) -> None:
    written, lost, after = clicks(1), clicks(2), clicks(3)
    leftovers.leave(entry(written, InDoubt(7, 70)), entry(lost, InDoubt(8, 80)), entry(after))
    leftovers.buffer.outcomes[7, 70] = True
    await leftovers.replay_all()
    assert leftovers.rows == rows_of(lost, after)


async def test_a_transaction_that_is_still_under_way_is_waited_for(leftovers: Leftovers) -> None:
    in_doubt, after = clicks(1), clicks(2)
    leftovers.leave(entry(in_doubt, InDoubt(7, 70)), entry(after))
    leftovers.buffer.outcomes[7, 70] = None
    async with leftovers.replaying() as replay:
        await until(lambda: replay.error)
        assert leftovers.rows == []
        leftovers.buffer.outcomes[7, 70] = False
        await until(lambda: leftovers.status().entries == 0)
    assert leftovers.rows == rows_of(in_doubt, after)


async def test_a_row_that_postgresql_refuses_becomes_a_dead_letter(leftovers: Leftovers) -> None:
    leftovers.leave(clicks(2), poisoned(3), clicks(4))
    await leftovers.replay_all()
    assert len(leftovers.rows) == 8
    assert leftovers.buffer.counts[CLICKS] == 8, "accepted, but for the one"
    assert leftovers.buffer.counts[UNSTORABLE] == 1
    (letter,) = leftovers.buffer.letters
    assert (letter.site_id, letter.event_type, letter.reason) == (
        "shop.example",
        "click",
        "unstorable",
    )
    assert letter.payload == '{"no json'
    assert leftovers.status().set_aside_entries == 0


def poisoned(number: int) -> Acceptance:
    """Some clicks, the second of them with a payload that PostgreSQL refuses."""
    request = clicks(number)
    event = request.accepted[1]
    start = len(event.row) - event.payload_bytes
    payload = b'{"no json'
    # The payload's length, its own version byte included, stands before that byte.
    head = event.row[: start - 5] + (len(payload) + 1).to_bytes(4, "big") + b"\x01"
    request.accepted[1] = structs.replace(event, row=head + payload, payload_bytes=len(payload))
    return request


async def test_what_cannot_be_read_is_set_aside_and_holds_up_nothing(leftovers: Leftovers) -> None:
    before, after = clicks(1), clicks(2)
    leftovers.leave(entry(before), SpoolEntry(b"no intake", 9), entry(after))
    await leftovers.replay_all()
    assert leftovers.rows == rows_of(before, after)
    assert leftovers.status().set_aside_entries == 1


async def test_an_entry_that_only_it_is_to_blame_for_is_set_aside_and_tried_again_at_the_next_start(
    leftovers: Leftovers,
) -> None:
    leftovers.leave(clicks(1))
    refused = psycopg.DataError("PostgreSQL text fields cannot contain NUL")
    leftovers.buffer.failures.append(refused)  # and takes the probe's row
    await leftovers.replay_all()
    assert leftovers.rows == []
    assert leftovers.status().set_aside_entries == 1
    async with leftovers.replaying():
        await until(lambda: leftovers.rows)
    assert leftovers.status().set_aside_entries == 0


async def test_when_no_row_is_taken_the_entry_is_not_to_blame(leftovers: Leftovers) -> None:
    leftovers.leave(clicks(1))
    misfit = psycopg.DataError("COPY file has too many fields")
    leftovers.buffer.failures += [misfit, misfit]  # the entry, then the probe's row
    async with leftovers.replaying() as replay:
        await until(lambda: replay.error)
        assert leftovers.status().set_aside_entries == 0
        await until(lambda: leftovers.status().entries == 0)
    assert len(leftovers.rows) == 1


@pytest.mark.parametrize(
    "failure",
    [
        GONE,
        psycopg.errors.ReadOnlySqlTransaction("read-only"),
        psycopg.errors.UndefinedColumn("a migration is still to come"),
        OSError(),
    ],
)
async def test_a_failure_is_waited_out(leftovers: Leftovers, failure: Exception) -> None:
    leftovers.leave(clicks(1), clicks(2))
    leftovers.buffer.failures.append(failure)
    async with leftovers.replaying() as replay:
        await until(lambda: replay.error)
        assert leftovers.status().entries == 2
        await until(lambda: leftovers.status().entries == 0)
        await until(lambda: replay.error is None)
    assert leftovers.buffer.commits == [3]


async def test_a_server_that_hangs_is_left_and_tried_again(leftovers: Leftovers) -> None:
    leftovers.leave(clicks(1))
    leftovers.buffer.hold()
    async with leftovers.replaying(timeout_seconds=0.1) as replay:
        await until(lambda: replay.error)
        leftovers.buffer.release()
        await until(lambda: leftovers.status().entries == 0)
    assert len(leftovers.rows) == 1


async def test_it_waits_while_live_intake_fails(leftovers: Leftovers) -> None:
    leftovers.leave(clicks(1))
    leftovers.is_failing = True
    async with leftovers.replaying():
        await asyncio.sleep(0.3)
        assert leftovers.buffer.opened == 0
        leftovers.is_failing = False
        await until(lambda: leftovers.status().entries == 0)


async def test_one_process_at_a_time_replays_and_another_takes_over(leftovers: Leftovers) -> None:
    leftovers.leave(clicks(1))
    first = leftovers.open()
    assert first.try_lock_replay()
    async with leftovers.replaying():
        await asyncio.sleep(0.3)
        assert leftovers.rows == []
        first.close()
        await until(lambda: leftovers.rows)


async def test_it_keeps_no_connection_while_there_is_nothing_to_do(leftovers: Leftovers) -> None:
    async with leftovers.replaying():
        await asyncio.sleep(0.2)
    assert leftovers.buffer.opened == 0


async def test_what_can_be_read_of_a_damaged_spool_is_written_too(leftovers: Leftovers) -> None:
    before, after = clicks(2), clicks(3)
    leftovers.leave(before)
    spool = leftovers.open()
    spool._perform(lambda file: file.set_aside(OSError("as if it were damaged")))
    spool.close()
    leftovers.leave(after)
    async with leftovers.replaying():
        await until(lambda: len(leftovers.rows) == 5)
        await until(lambda: leftovers.status().damaged_files == 0)
    assert leftovers.rows == rows_of(after, before)
