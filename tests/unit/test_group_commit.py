from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from api.collector.acceptance import Acceptance, AcceptedEvent, Policy, refuse_request
from api.collector.group_commit import BufferUnavailable, GroupCommit, QueueFull
from api.collector.rules import RuleBook, Rules
from api.collector.sites import SitePolicy, SiteRules
from core.refusal import RefusalReason, Refused
from core.suppression import digest_person
from database.intake import StaleRules
from database.intake_batch import Intake, LedgerKey
from database.intake_rules import StoredRules
from tests.conftest import a_batch, an_event
from tests.unit.accepting import LIMITS, accept
from tests.unit.fake_buffer import POISON, POISON_ROW, FakeBuffer, FakeConnection

CLICKS = LedgerKey("shop.example", "click", "accepted")


def clicks(number: int, *, poison: tuple[int, ...] = ()) -> Acceptance:
    """A request of some clicks, the numbered ones with a payload that PostgreSQL refuses."""
    acceptance = accept(a_batch(*[an_event(eventType="click") for _ in range(number)]))
    acceptance.accepted = [
        AcceptedEvent(e.place, POISON_ROW, e.site_id, e.event_type, e.payload_bytes)
        if e.place in poison
        else e
        for e in acceptance.accepted
    ]
    return acceptance


@pytest.fixture
def buffer() -> FakeBuffer:
    return FakeBuffer()


@asynccontextmanager
async def running(
    buffer: FakeBuffer, rule_book: RuleBook | None = None, **limits: float
) -> AsyncIterator[GroupCommit]:
    group_commit = GroupCommit(
        buffer.connect,
        max_queue_bytes=int(limits.get("max_queue_bytes", 10_000_000)),
        max_commit_bytes=int(limits.get("max_commit_bytes", 10_000_000)),
        commit_timeout_seconds=limits.get("commit_timeout_seconds", 30),
        rule_book=rule_book,
    )
    group_commit.start()
    try:
        yield group_commit
    finally:
        buffer.release()
        await group_commit.close()


async def until_held(buffer: FakeBuffer) -> None:
    await asyncio.wait_for(buffer.entered.wait(), 10)


def sending(group_commit: GroupCommit, *acceptances: Acceptance) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(group_commit.commit(a)) for a in acceptances]


async def test_all_who_wait_share_one_commit(buffer: FakeBuffer) -> None:
    async with running(buffer) as group_commit:
        buffer.hold()
        first = sending(group_commit, clicks(1))
        await until_held(buffer)
        others = sending(group_commit, *[clicks(2) for _ in range(10)])
        await asyncio.sleep(0)
        buffer.release()
        await asyncio.gather(*first, *others)
    assert buffer.commits == [1, 20]
    assert buffer.counts[CLICKS] == 21
    assert buffer.opened == 1


async def test_who_was_just_answered_is_waited_for(
    buffer: FakeBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.collector.group_commit._GATHER_SECONDS", 600)
    async with running(buffer) as group_commit:
        await asyncio.gather(*sending(group_commit, *[clicks(1) for _ in range(8)]))
        again = list[asyncio.Task[None]]()
        for _ in range(8):  # one after the other, with time for a commit between them
            again += sending(group_commit, clicks(1))
            for _ in range(20):
                await asyncio.sleep(0)
        await asyncio.gather(*again)
        late = sending(group_commit, clicks(1))
        await asyncio.sleep(0)
        assert not late[0].done()
    await late[0]  # closing waits for nobody
    assert buffer.commits == [8, 8, 1]


async def test_who_does_not_come_again_is_not_waited_for_long(buffer: FakeBuffer) -> None:
    async with running(buffer) as group_commit:
        await asyncio.gather(*sending(group_commit, *[clicks(1) for _ in range(8)]))
        await asyncio.wait_for(group_commit.commit(clicks(1)), 10)
    assert buffer.commits == [8, 1]


async def test_nobody_is_answered_before_the_commit(buffer: FakeBuffer) -> None:
    async with running(buffer) as group_commit:
        buffer.hold()
        (sender,) = sending(group_commit, clicks(1))
        await until_held(buffer)
        assert not sender.done()
        buffer.release()
        await sender
        assert buffer.commits == [1]


async def test_a_group_is_no_larger_than_the_limit(buffer: FakeBuffer) -> None:
    one = clicks(1).row_bytes
    async with running(buffer, max_commit_bytes=3 * one + 10) as group_commit:
        buffer.hold()
        first = sending(group_commit, clicks(1))
        await until_held(buffer)
        others = sending(group_commit, *[clicks(1) for _ in range(7)], clicks(5))
        await asyncio.sleep(0)
        buffer.release()
        await asyncio.gather(*first, *others)
    # A request that is larger than the limit goes alone.
    assert buffer.commits == [1, 3, 3, 1, 5]


@pytest.mark.parametrize("poison", [(0,), (3,), (9,), (0, 1), (2, 5, 9), tuple(range(10))])
async def test_poison_is_refused_alone(buffer: FakeBuffer, poison: tuple[int, ...]) -> None:
    async with running(buffer) as group_commit:
        buffer.hold()
        first = sending(group_commit, clicks(1))
        await until_held(buffer)
        poisoned, good = clicks(10, poison=poison), [clicks(3) for _ in range(4)]
        others = sending(group_commit, *good[:2], poisoned, *good[2:])
        await asyncio.sleep(0)
        buffer.release()
        await asyncio.gather(*first, *others)
    assert len(buffer.rows) == 1 + 12 + 10 - len(poison)
    assert buffer.counts[CLICKS] == len(buffer.rows)
    assert buffer.counts[LedgerKey("shop.example", "", "unstorable")] == len(poison)
    assert sorted(r.index or 0 for r in poisoned.refused) == sorted(poison)
    assert {r.reason for r in poisoned.refused} == {RefusalReason.UNSTORABLE}
    assert [letter.payload for letter in buffer.letters] == [POISON.decode()] * len(poison)
    assert {(letter.reason, letter.event_type) for letter in buffer.letters} == {
        ("unstorable", "click")
    }
    assert all(a.refused == [] and len(a.accepted) == 3 for a in good)


async def test_a_request_without_events_is_counted_too(buffer: FakeBuffer) -> None:
    refused = refuse_request(Refused(RefusalReason.INVALID_JSON, "no"), site_id="a.example")
    async with running(buffer) as group_commit:
        await group_commit.commit(refused)
    assert buffer.counts == {LedgerKey("a.example", "", "invalid_json"): 1}


@pytest.mark.parametrize(
    "failure",
    [
        psycopg.OperationalError("gone"),
        psycopg.ProgrammingError("no table"),
        OSError(),
        ValueError(),
    ],
)
async def test_a_failure_is_told_to_exactly_those_whom_it_concerns(
    buffer: FakeBuffer, failure: Exception
) -> None:
    async with running(buffer) as group_commit:
        await group_commit.commit(clicks(1))
        buffer.hold()
        affected = sending(group_commit, clicks(1))
        await until_held(buffer)
        later = sending(group_commit, clicks(1), clicks(1))
        await asyncio.sleep(0)
        buffer.failures.append(failure)
        buffer.release()
        with pytest.raises(BufferUnavailable):
            await affected[0]
        await asyncio.gather(*later)
    assert buffer.commits == [1, 2]
    assert buffer.opened == 2, "the connection that failed is not used again"


async def test_a_refusal_that_no_row_explains_is_a_failure(buffer: FakeBuffer) -> None:
    async with running(buffer) as group_commit:
        buffer.failures.append(psycopg.DataError("the schema does not fit"))
        with pytest.raises(BufferUnavailable):
            await group_commit.commit(clicks(3))
        await group_commit.commit(clicks(2))
    assert buffer.commits == [2]


async def test_intake_comes_back_when_connecting_works_again(buffer: FakeBuffer) -> None:
    async def connect() -> FakeConnection:
        if buffer.failures:
            raise buffer.failures.pop(0)
        return await buffer.connect()

    group_commit = GroupCommit(
        connect,
        max_queue_bytes=1_000_000, max_commit_bytes=1_000_000, commit_timeout_seconds=10,
    )  # fmt: skip
    buffer.failures = [psycopg.OperationalError("starting up")] * 2
    group_commit.start()
    for _ in range(2):
        with pytest.raises(BufferUnavailable):
            await group_commit.commit(clicks(1))
    await group_commit.commit(clicks(1))
    await group_commit.close()
    assert buffer.commits == [1]


async def test_a_fault_is_told_until_it_is_over_though_nobody_sends(buffer: FakeBuffer) -> None:
    async with running(buffer) as group_commit:
        assert group_commit.failing is None
        buffer.failures.append(psycopg.OperationalError("gone"))
        with pytest.raises(BufferUnavailable):
            await group_commit.commit(clicks(1))
        assert group_commit.failing is not None
        async with asyncio.timeout(20):
            while group_commit.failing:  # noqa: ASYNC110 - the fault tells nobody that it is over
                await asyncio.sleep(0.05)
    assert sum(buffer.commits) == 0


async def test_the_queue_is_bounded_and_takes_in_again_when_it_has_drained(
    buffer: FakeBuffer,
) -> None:
    one = clicks(1).row_bytes
    async with running(buffer, max_queue_bytes=2 * one + 10) as group_commit:
        buffer.hold()
        first = sending(group_commit, clicks(1))
        await until_held(buffer)
        fitting = sending(group_commit, clicks(1), clicks(1))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await group_commit.commit(clicks(1))
        buffer.release()
        await asyncio.gather(*first, *fitting)
        await group_commit.commit(clicks(1))
    assert sum(buffer.commits) == 4


async def test_refusals_that_wait_are_bounded_too(buffer: FakeBuffer) -> None:
    refused = refuse_request(Refused(RefusalReason.INVALID_JSON, "no"), site_id="a.example")
    async with running(buffer, max_queue_bytes=1_000) as group_commit:
        buffer.hold()
        first = sending(group_commit, clicks(1))
        await until_held(buffer)
        waiting = sending(group_commit, *[refused] * 20_000)
        await asyncio.sleep(0)
        full = [task for task in waiting if task.done() and task.exception()]
        buffer.release()
        await asyncio.gather(*first, *waiting, return_exceptions=True)
    assert full, "20,000 requests wait under a limit of 1,000 bytes"


async def test_closing_commits_what_waits_and_takes_nothing_more(buffer: FakeBuffer) -> None:
    async with running(buffer) as group_commit:
        buffer.hold()
        senders = sending(group_commit, clicks(1))
        await until_held(buffer)
        senders += sending(group_commit, clicks(2), clicks(3))
        await asyncio.sleep(0)
        closing = asyncio.create_task(group_commit.close())
        await asyncio.sleep(0)
        with pytest.raises(BufferUnavailable):
            await group_commit.commit(clicks(1))
        buffer.release()
        await asyncio.gather(closing, *senders)
    assert buffer.commits == [1, 5]


async def test_a_sender_that_hangs_up_holds_up_nobody(buffer: FakeBuffer) -> None:
    async with running(buffer) as group_commit:
        buffer.hold()
        first, gone = sending(group_commit, clicks(1), clicks(1))
        await until_held(buffer)
        gone.cancel()
        await asyncio.sleep(0)
        buffer.release()
        await first
        await group_commit.commit(clicks(1))
    assert sum(buffer.commits) == 3


async def test_a_server_that_hangs_is_abandoned_after_the_timeout(buffer: FakeBuffer) -> None:
    async with running(buffer, commit_timeout_seconds=0.05) as group_commit:
        buffer.hold()
        with pytest.raises(BufferUnavailable, match="did not answer in time"):
            await asyncio.wait_for(group_commit.commit(clicks(1)), 10)
        buffer.release()
        await group_commit.commit(clicks(2))
    assert buffer.commits == [2]


async def test_a_server_that_hangs_while_connecting_is_abandoned_too(buffer: FakeBuffer) -> None:
    async def connect() -> FakeConnection:
        if buffer.held:
            await buffer.released.wait()
        return await buffer.connect()

    group_commit = GroupCommit(
        connect,
        max_queue_bytes=1_000_000, max_commit_bytes=1_000_000, commit_timeout_seconds=0.05,
    )  # fmt: skip
    buffer.hold()
    group_commit.start()
    try:
        with pytest.raises(BufferUnavailable):
            await asyncio.wait_for(group_commit.commit(clicks(1)), 1)
    finally:
        buffer.release()
        await group_commit.close()


async def test_a_request_without_events_waits_for_nothing(buffer: FakeBuffer) -> None:
    async with running(buffer) as group_commit:
        buffer.hold()
        senders = sending(group_commit, clicks(1))
        await until_held(buffer)
        await asyncio.wait_for(group_commit.commit(Acceptance()), 1)
        buffer.release()
        await asyncio.gather(*senders)
    assert buffer.commits == [1]


async def test_a_request_without_events_hears_when_none_could_be_taken_in(
    buffer: FakeBuffer,
) -> None:
    async with running(buffer) as group_commit:
        buffer.failures.append(psycopg.OperationalError("away"))
        with pytest.raises(BufferUnavailable):
            await group_commit.commit(clicks(1))
        with pytest.raises(BufferUnavailable):
            await group_commit.commit(Acceptance())
        await group_commit.commit(clicks(1))
        await group_commit.commit(Acceptance())
    with pytest.raises(BufferUnavailable, match="shutting down"):
        await group_commit.commit(Acceptance())


# --- rules that change meanwhile ---------------------------------------------------------------


def a_rule_book(**policy: Any) -> RuleBook:
    rules = Rules(sites=SiteRules(SitePolicy(**policy)))
    return RuleBook(Policy(limits=LIMITS, rules=rules))


async def test_rules_are_learnt_by_the_first_commit(buffer: FakeBuffer) -> None:
    book = a_rule_book()
    async with running(buffer, book) as group_commit:
        await group_commit.commit(clicks(2))
        assert book.rules.version == 1
        await group_commit.commit(clicks(1))
        await group_commit.commit(accept(an_event(), rules=book.rules))
    assert [len(buffer.rows), sum(buffer.commits)] == [4, 4]
    assert buffer.rules.sites == {"shop.example": "accepted"}
    assert buffer.opened == 1


async def test_who_is_suppressed_while_a_group_waits_is_not_stored(buffer: FakeBuffer) -> None:
    book = a_rule_book()
    stack_id = buffer.rules.stack_id
    async with running(buffer, book) as group_commit:
        await group_commit.commit(clicks(1))
        buffer.hold()
        first = sending(group_commit, clicks(1))
        await until_held(buffer)
        gone, stays = accept(an_event(visitorId="v-gone")), accept(an_event(visitorId="v-stays"))
        others = sending(group_commit, gone, stays)
        await asyncio.sleep(0)
        digest = digest_person(stack_id, "visitor", "v-gone")
        buffer.rules = StoredRules(99, stack_id, buffer.rules.sites, frozenset({digest}))
        buffer.release()
        await asyncio.gather(*first, *others)
    assert book.rules.version == 99
    assert len(buffer.rows) == 3
    assert not any(b"v-gone" in row for row in buffer.rows)
    assert [str(r.reason) for r in gone.refused] == ["suppressed"]
    assert (gone.status, stays.refused) == (200, [])
    assert buffer.counts[LedgerKey("shop.example", "", "suppressed")] == 1


async def test_letters_are_looked_through_beside_the_event_loop(buffer: FakeBuffer) -> None:
    numbers = [number % 997 for number in range(2_000)]
    wrong = an_event(eventType=1, properties={"numbers": numbers})
    requests = [accept(a_batch(*[wrong] * 100)) for _ in range(3)]
    buffer.rules = StoredRules(2, buffer.rules.stack_id, {}, frozenset({bytes(32)}))
    book = a_rule_book()
    book.learn(buffer.rules)
    async with running(buffer, book) as group_commit:
        loop = asyncio.get_running_loop()
        began, longest = loop.time(), 0.0
        sent = asyncio.gather(*sending(group_commit, *requests))
        while not sent.done():
            before = loop.time()
            await asyncio.sleep(0.001)
            longest = max(longest, loop.time() - before)
    # On the loop it is nearly all of the time; a ratio, since the machine has other things to do.
    assert longest < (loop.time() - began) / 2
    assert len(buffer.letters) == 300


async def test_rules_that_change_all_the_time_are_a_failure_and_no_endless_loop(
    buffer: FakeBuffer,
) -> None:
    class Restless(FakeConnection):
        async def commit(self, intake: Intake, **how: Any) -> Any:
            raise StaleRules

    async def connect() -> FakeConnection:
        return Restless(buffer)

    group_commit = GroupCommit(
        connect,
        max_queue_bytes=1_000_000, max_commit_bytes=1_000_000, commit_timeout_seconds=10,
        rule_book=a_rule_book(),
    )  # fmt: skip
    group_commit.start()
    with pytest.raises(BufferUnavailable):
        await group_commit.commit(clicks(1))
    await group_commit.close()
    assert buffer.rows == []


async def test_a_group_names_no_more_sites_than_there_is_room_for(buffer: FakeBuffer) -> None:
    book = a_rule_book(max_sites=3)
    async with running(buffer, book) as group_commit:
        await group_commit.commit(clicks(1))
        names = [f"{n}.example" for n in range(40)]
        requests = [accept(an_event(siteId=name), rules=book.rules) for name in names]
        await asyncio.gather(*sending(group_commit, *requests))
    assert len(buffer.rules.sites) == 3
    assert sum(len(a.accepted) for a in requests) == 2
    assert buffer.counts[LedgerKey("(unknown)", "", "site_refused")] == 38
