"""What a collector remembers of the ids it has stored, and what it leaves out for it."""

from __future__ import annotations

import multiprocessing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from api.collector.acceptance import Acceptance
from api.collector.group_commit import BufferUnavailable, GroupCommit
from api.collector.recent_ids import SLOTS, RecentIds, share_recent_ids
from core.event_id import make_event_id
from database.intake_batch import LedgerKey
from tests.conftest import a_batch, an_event
from tests.unit.accepting import accept
from tests.unit.fake_buffer import FakeBuffer

ACCEPTED = LedgerKey("shop.example", "click", "accepted")
REPEATED = LedgerKey("shop.example", "click", "duplicate")


def clicks(*event_ids: str) -> Acceptance:
    return accept(a_batch(*[an_event(eventType="click", eventId=one) for one in event_ids]))


def new_ids(number: int) -> list[str]:
    return [str(make_event_id()) for _ in range(number)]


def test_what_was_added_is_known_and_nothing_else() -> None:
    ids = RecentIds()
    added = [uuid4().bytes for _ in range(1_000)]
    ids.add(added)
    assert sum(ids.know(added)) >= 990  # a few share a place
    assert not any(ids.know(uuid4().bytes for _ in range(1_000)))
    ids.forget()
    assert not any(ids.know(added))


def test_an_empty_place_is_no_id() -> None:
    assert RecentIds().know([bytes(16)]) == [False]


def test_of_more_ids_than_there_is_room_for_older_ones_are_forgotten() -> None:
    ids = RecentIds()
    older, newer = ([uuid4().bytes for _ in range(SLOTS)] for _ in range(2))
    ids.add(older)
    ids.add(newer)
    # Each of the newer ones takes a place at random: 1/e of the places is left as it was.
    assert sum(ids.know(older)) < SLOTS / 3
    assert sum(ids.know(newer)) > SLOTS / 2
    assert ids.know(newer[-1:]) == [True]


def test_ids_of_one_shape_have_places_of_their_own() -> None:
    """Of a UUIDv1 the end is the same in all that one machine makes."""
    ids, end = RecentIds(), uuid4().bytes[8:]
    added = [number.to_bytes(8, "big") + end for number in range(1, 1_000)]
    ids.add(added)
    assert sum(ids.know(added)) >= 980


def _add_in_another_process(event_id: bytes) -> None:
    RecentIds.of_stack().add([event_id])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc here to share by")
def test_processes_of_one_supervisor_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_RECENT_IDS", "")  # and so put back as it was
    event_id = uuid4().bytes
    assert RecentIds.of_stack().know([event_id]) == [False]
    share_recent_ids()
    process = multiprocessing.get_context("spawn").Process(
        target=_add_in_another_process, args=(event_id,)
    )
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert RecentIds.of_stack().know([event_id]) == [True]


def test_a_supervisor_that_is_gone_leaves_each_process_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLUICE_RECENT_IDS", "/proc/1/fd/987654")
    assert RecentIds.of_stack().know([uuid4().bytes]) == [False]


@asynccontextmanager
async def running(
    buffer: FakeBuffer, *, ids: RecentIds | None = None
) -> AsyncIterator[GroupCommit]:
    group_commit = GroupCommit(
        buffer.connect,
        max_queue_bytes=10_000_000,
        max_commit_bytes=10_000_000,
        commit_timeout_seconds=30,
        recent_ids=ids or RecentIds(),
    )
    group_commit.start()
    try:
        yield group_commit
    finally:
        await group_commit.close()


async def test_a_repeat_is_counted_and_takes_no_row() -> None:
    buffer, (first, second, third) = FakeBuffer(), new_ids(3)
    repeat = clicks(first, second, third)
    async with running(buffer) as group_commit:
        await group_commit.commit(clicks(first, second))
        await group_commit.commit(repeat)
    assert buffer.commits == [2, 1]
    assert buffer.counts == {ACCEPTED: 5, REPEATED: 2}
    assert len(repeat.accepted) == 3, "the sender is told what it would be told otherwise"


async def test_nothing_is_known_before_it_is_committed() -> None:
    buffer, (first, second) = FakeBuffer(), new_ids(2)
    async with running(buffer) as group_commit:
        await group_commit.commit(clicks(first))
        buffer.failures = [psycopg.DataError("a row of it")]  # which does not end the connection
        with pytest.raises(BufferUnavailable):
            await group_commit.commit(clicks(second))
        await group_commit.commit(clicks(second))
    assert buffer.counts == {ACCEPTED: 2}


async def test_a_new_connection_may_find_an_older_state() -> None:
    buffer, ids, (first, second) = FakeBuffer(), RecentIds(), new_ids(2)
    async with running(buffer, ids=ids) as group_commit:
        await group_commit.commit(clicks(first))
        buffer.failures = [psycopg.OperationalError("away")]
        with pytest.raises(BufferUnavailable):
            await group_commit.commit(clicks(second))
        await group_commit.commit(clicks(first))
    assert buffer.counts == {ACCEPTED: 2}


async def test_a_process_that_comes_later_knows_what_the_others_stored() -> None:
    buffer, ids, (first,) = FakeBuffer(), RecentIds(), new_ids(1)
    async with running(buffer, ids=ids) as group_commit:
        await group_commit.commit(clicks(first))
    async with running(buffer, ids=ids) as another_process:
        await another_process.commit(clicks(first))
    assert buffer.counts == {ACCEPTED: 2, REPEATED: 1}


async def test_another_postgresql_has_not_stored_what_this_one_did() -> None:
    """Or the same one, begun again from a backup."""
    buffer, another, ids, (first,) = (
        FakeBuffer(),
        FakeBuffer(incarnation=2),
        RecentIds(),
        new_ids(1),
    )
    async with running(buffer, ids=ids) as group_commit:
        await group_commit.commit(clicks(first))
    for expected in (1, 2):
        async with running(another, ids=ids) as group_commit:
            await group_commit.commit(clicks(first))
        assert another.counts[ACCEPTED] == expected
    assert another.counts[REPEATED] == 1
