"""A group commit with a spool, while PostgreSQL is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from msgspec import structs

from api.collector import probe
from api.collector.acceptance import Acceptance
from api.collector.async_spool import AsyncSpool
from api.collector.group_commit import BufferUnavailable, GroupCommit
from api.collector.intake_of import intake_of
from api.collector.recent_ids import RecentIds
from api.collector.spool import InDoubt, Spool, StoredEntry
from database.intake_batch import Intake, decode_intake
from tests.unit.fake_buffer import FakeBuffer, FakeConnection
from tests.unit.test_group_commit import clicks, sending, until_held

GONE = psycopg.OperationalError("gone")


class Outage:
    """A buffer that can be away, a spool, and a group commit between them."""

    def __init__(self, folder: Path, *, max_bytes: int = 100_000_000) -> None:
        self.buffer = FakeBuffer()
        self.is_away = False
        self.folder = folder
        self.spool = AsyncSpool(
            lambda: Spool.open(folder, max_bytes=max_bytes, min_free_bytes=self.min_free_bytes)
        )
        self.min_free_bytes = 0

    async def connect(self) -> FakeConnection:
        if self.is_away:
            raise psycopg.OperationalError("connection refused")
        return await self.buffer.connect()

    @asynccontextmanager
    async def running(self, *, timeout_seconds: float = 30) -> AsyncIterator[GroupCommit]:
        group_commit = GroupCommit(
            self.connect,
            max_queue_bytes=10_000_000,
            max_commit_bytes=10_000_000,
            commit_timeout_seconds=timeout_seconds,
            spool=self.spool,
            recent_ids=RecentIds(),
        )
        group_commit.start()
        try:
            yield group_commit
        finally:
            self.buffer.release()
            await group_commit.close()
            await self.spool.close()

    async def go_away(self, group_commit: GroupCommit) -> None:
        """As an outage is met: by a group that fails."""
        self.is_away = True
        self.buffer.failures.append(GONE)
        await group_commit.commit(clicks(1))

    async def spooled(self) -> list[StoredEntry]:
        return await self.spool.run(lambda spool: spool.first(max_bytes=10**9))


@pytest.fixture
def outage(tmp_path: Path) -> Outage:
    return Outage(tmp_path / "spool")


async def until(is_true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not is_true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "failure",
    [
        GONE,
        psycopg.errors.ReadOnlySqlTransaction("cannot execute COPY in a read-only transaction"),
        psycopg.errors.DiskFull("could not extend file"),
        psycopg.errors.QueryCanceled("canceling statement due to statement timeout"),
        psycopg.ProgrammingError("no table"),
        OSError(),
    ],
)
async def test_a_group_that_fails_is_in_the_spool_when_it_is_answered(
    outage: Outage, failure: Exception
) -> None:
    async with outage.running() as group_commit:
        await group_commit.commit(clicks(1))
        outage.buffer.failures.append(failure)
        sent = clicks(3)
        await group_commit.commit(sent)
        (stored,) = await outage.spooled()
    assert decode_intake(stored.entry.body) == intake_of([sent])
    assert stored.entry.events == 3
    assert outage.buffer.commits[:1] == [1]


async def test_the_entry_names_the_transaction_that_nobody_knows_the_outcome_of(
    outage: Outage,
) -> None:
    async with outage.running() as group_commit:
        outage.buffer.lost_answers.append(GONE)
        await group_commit.commit(clicks(2))
        (stored,) = await outage.spooled()
    assert stored.entry.in_doubt == InDoubt(writer_id=1, transaction_id=1)
    assert outage.buffer.outcomes[1, 1], "it was committed, in fact"


async def test_every_repeat_is_spooled_and_none_is_known_for_it(outage: Outage) -> None:
    """Until it is replayed the first may be lost, or its site refused."""
    async with outage.running() as group_commit:
        await group_commit.commit(repeated := clicks(2))
        await outage.go_away(group_commit)
        for _ in range(2):
            await group_commit.commit(repeated)
        _, *spooled = await outage.spooled()
        assert [decode_intake(stored.entry.body) for stored in spooled] == [
            intake_of([repeated]),
            intake_of([repeated]),
        ]
        outage.is_away = False
        await until(lambda: group_commit.failing is None)
        await group_commit.commit(repeated)
    assert outage.buffer.commits[-1] == 2


async def test_an_entry_is_not_in_doubt_when_there_was_no_transaction(outage: Outage) -> None:
    outage.is_away = True
    async with outage.running() as group_commit:
        await group_commit.commit(clicks(1))
        await group_commit.commit(clicks(1))
        assert [s.entry.in_doubt for s in await outage.spooled()] == [None, None]


async def test_the_transaction_of_the_group_before_is_not_taken_for_that_of_one_that_had_none(
    outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with outage.running() as group_commit:
        await group_commit.commit(clicks(1))
        judged, calls = group_commit._judged, iter([RuntimeError("can't start new thread")])

        async def fail_once(
            group: list[Acceptance], **named: RecentIds | None
        ) -> tuple[Intake, int | None]:
            if (failure := next(calls, None)) is not None:
                raise failure
            return await judged(group, **named)

        monkeypatch.setattr(group_commit, "_judged", fail_once)
        await group_commit.commit(clicks(2))
        (stored,) = await outage.spooled()
    assert stored.entry.in_doubt is None, "or the replay would find it written, and drop it"


async def test_while_it_is_away_nobody_waits_for_a_connection(outage: Outage) -> None:
    async with outage.running() as group_commit:
        await outage.go_away(group_commit)
        outage.buffer.hold()  # whoever asks PostgreSQL now hangs
        outage.is_away = False
        async with asyncio.timeout(5):
            for _ in range(20):
                await group_commit.commit(clicks(1))
        assert len(await outage.spooled()) == 21


async def test_all_who_wait_share_one_entry(outage: Outage) -> None:
    async with outage.running() as group_commit:
        outage.buffer.hold()
        first = sending(group_commit, clicks(1))
        await until_held(outage.buffer)
        others = sending(group_commit, *[clicks(2) for _ in range(10)])
        await asyncio.sleep(0)
        outage.is_away = True
        outage.buffer.failures.append(GONE)
        outage.buffer.release()
        await asyncio.gather(*first, *others)
        assert [s.entry.events for s in await outage.spooled()] == [1, 20]
    assert outage.buffer.rows == []


async def test_the_rest_of_a_split_group_follows_into_the_spool(outage: Outage) -> None:
    async with outage.running() as group_commit:
        outage.buffer.hold()
        first = sending(group_commit, clicks(1))
        await until_held(outage.buffer)
        others = sending(group_commit, clicks(2), clicks(1, poison=(0,)), clicks(3))
        await asyncio.sleep(0)
        # The group's first try meets the poison, the first half of it the outage.
        outage.buffer.failures += [GONE]
        outage.is_away = True
        outage.buffer.release()
        await asyncio.gather(*first, *others)
        assert sum(s.entry.events for s in await outage.spooled()) == 7


async def test_groups_go_to_postgresql_again_when_it_takes_rows(outage: Outage) -> None:
    async with outage.running() as group_commit:
        await outage.go_away(group_commit)
        assert group_commit.failing is not None
        assert group_commit.refusing is None
        outage.is_away = False
        await until(lambda: group_commit.failing is None)
        await group_commit.commit(clicks(5))
        assert len(await outage.spooled()) == 1
    assert outage.buffer.commits[-1] == 5


async def test_a_server_that_answers_and_takes_no_row_is_away(outage: Outage) -> None:
    async with outage.running() as group_commit:
        outage.buffer.failures += [
            psycopg.errors.ReadOnlySqlTransaction("cannot execute COPY in a read-only transaction")
        ] * 3
        await group_commit.commit(clicks(1))
        await group_commit.commit(clicks(1))
        assert group_commit.failing is not None
        await until(lambda: group_commit.failing is None)
        assert outage.buffer.failures == []
        assert len(await outage.spooled()) == 2


async def test_a_server_that_hangs_costs_the_timeout_once(outage: Outage) -> None:
    async with outage.running(timeout_seconds=0.2) as group_commit:
        await group_commit.commit(clicks(1))
        outage.buffer.hold()
        first = sending(group_commit, clicks(1))
        await until_held(outage.buffer)
        others = sending(group_commit, clicks(1), clicks(1))
        async with asyncio.timeout(5):
            await asyncio.gather(*first, *others)
            await group_commit.commit(clicks(1))
        assert sum(s.entry.events for s in await outage.spooled()) == 4


async def test_a_full_spool_refuses_and_takes_in_again(tmp_path: Path) -> None:
    outage = Outage(tmp_path / "spool", max_bytes=10_000_000)
    large = clicks(1)
    large.accepted[0] = structs.replace(large.accepted[0], row=bytes(4_000_000))
    async with outage.running() as group_commit:
        await outage.go_away(group_commit)
        await group_commit.commit(large)
        with pytest.raises(BufferUnavailable):
            await group_commit.commit(large)
        assert group_commit.refusing is not None
        await group_commit.commit(clicks(1))
        assert group_commit.refusing is None


async def test_a_spool_that_cannot_be_opened_refuses_and_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"a file where the folder should be")
    outage = Outage(tmp_path / "spool")
    async with outage.running() as group_commit:
        outage.is_away = True
        with pytest.raises(BufferUnavailable):
            await group_commit.commit(clicks(1))
        (tmp_path / "spool").unlink()
        await group_commit.commit(clicks(1))
        assert len(await outage.spooled()) == 1


async def test_what_waits_at_the_end_is_spooled_and_answered(outage: Outage) -> None:
    async with outage.running() as group_commit:
        outage.buffer.hold()
        senders = sending(group_commit, clicks(1))
        await until_held(outage.buffer)
        senders += sending(group_commit, clicks(2), clicks(3))
        await asyncio.sleep(0)
        closing = asyncio.create_task(group_commit.close())
        outage.is_away = True
        outage.buffer.failures.append(GONE)
        outage.buffer.release()
        await asyncio.gather(closing, *senders)
        assert sum(s.entry.events for s in await outage.spooled()) == 6


async def test_poison_is_refused_alone_where_there_is_a_spool_too(outage: Outage) -> None:
    poisoned = clicks(10, poison=(3,))
    async with outage.running() as group_commit:
        await group_commit.commit(poisoned)
        assert await outage.spooled() == []
        assert group_commit.failing is None
    assert [r.index for r in poisoned.refused] == [3]
    assert outage.buffer.commits == [9]


async def test_what_a_probe_tries_is_a_row_and_a_commit(outage: Outage) -> None:
    connection = await outage.buffer.connect()
    await probe.check_writable(connection, timeout_seconds=1)
    assert outage.buffer.rows == []
    assert outage.buffer.commits == [0]
    outage.buffer.failures.append(psycopg.DataError("no such column"))
    with pytest.raises(psycopg.DataError):
        await probe.check_writable(connection, timeout_seconds=1)
