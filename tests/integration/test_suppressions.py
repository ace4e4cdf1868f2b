"""Whoever is suppressed is refused from the moment of the answer on: the proof, and the routes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.collector.intake_of import intake_of
from api.collector.judge_again import judge_again
from database.async_engine import async_engine
from database.intake import IntakeConnection, StaleRules
from database.rule_changes import Patience, read_rules, suppress
from database.segments import FenceBusy
from tests.conftest import a_batch, an_event
from tests.integration.building import (
    collect,
    event_ids,
    ledger_of,
    open_transaction,
    query,
    serving,
)
from tests.integration.test_fence import start_writing, until_somebody_waits_for_the_fence
from tests.unit.accepting import accept
from tests.unit.test_group_commit import a_rule_book

GONE = [("visitor", "v-gone")]
SPOOL = UUID("019aa1b2-7c1e-7a50-9d3e-3f1b8c2a4d5e")

NO_RECORDINGS = {"recording_chunks_erased": 0, "recording_chunks_removed": 0}


@pytest.fixture
async def management(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = async_engine(database_url, application_name="tests")
    yield engine
    await engine.dispose()


def version_of(database_url: str) -> int:
    ((version,),) = query(database_url, "SELECT version FROM intake_rules")
    return int(version)


# --- the proof ---------------------------------------------------------------------------------


def test_without_the_fence_a_row_is_stored_after_the_answer(database_url: str) -> None:
    """What the fence is there to avoid: the writer saw no suppression, and commits after it."""
    with open_transaction(database_url) as writer, open_transaction(database_url) as naive:
        seen = writer.execute("SELECT version FROM intake_rules").fetchone()
        start_writing(writer, "of the visitor who is gone")
        naive.execute("INSERT INTO suppressions VALUES ('visitor', 'digest', now())")
        naive.execute("UPDATE intake_rules SET version = version + 1")
        naive.commit()  # and here the naive answer is given
        assert event_ids(database_url) == []
        assert seen == (version_of(database_url) - 1,)
        writer.commit()
    assert event_ids(database_url) == ["of the visitor who is gone"]


async def test_with_it_the_answer_waits_for_the_writer_that_judged_by_the_old_rules(
    database_url: str, management: AsyncEngine
) -> None:
    """The same interleaving: the row is stored, but before the answer."""
    with open_transaction(database_url) as writer:
        start_writing(writer, "before the answer")
        answer = asyncio.create_task(suppress(management, GONE))
        await asyncio.to_thread(until_somebody_waits_for_the_fence, database_url)
        assert query(database_url, "SELECT 1 FROM suppressions") == []
        writer.commit()
        assert await asyncio.wait_for(answer, 30) == 1
    assert event_ids(database_url) == ["before the answer"]


async def test_who_begins_to_write_while_it_waits_writes_nothing_by_the_old_rules(
    database_url: str, management: AsyncEngine
) -> None:
    version = version_of(database_url)
    intake = intake_of([accept(an_event(visitorId="v-gone"))])
    late = await IntakeConnection.open(database_url, commit_timeout_seconds=30)
    with open_transaction(database_url) as writer:
        start_writing(writer, "before the answer")
        answer = asyncio.create_task(suppress(management, GONE))
        await asyncio.to_thread(until_somebody_waits_for_the_fence, database_url)
        commit = asyncio.create_task(late.commit(intake, rules_version=version))
        await asyncio.to_thread(until_somebody_waits_for_the_fence, database_url, many=2)
        writer.commit()
        await asyncio.wait_for(answer, 30)
        with pytest.raises(StaleRules):
            await asyncio.wait_for(commit, 30)
    assert event_ids(database_url) == ["before the answer"]
    rules = await late.read_rules()
    assert rules.version == version + 1
    # The connection is usable, and the newer version is good for what is judged by it.
    await late.commit(intake_of([accept(an_event(eventId="after"))]), rules_version=rules.version)
    await late.close()
    assert event_ids(database_url) == ["before the answer", "after"]


async def test_what_waits_in_a_spool_is_refused_when_it_is_replayed(
    database_url: str, management: AsyncEngine
) -> None:
    entry = intake_of([accept(a_batch(an_event(visitorId="v-gone"), an_event(eventId="other")))])
    connection = await IntakeConnection.open(database_url, commit_timeout_seconds=30)
    rules = await connection.read_rules()
    await suppress(management, GONE)
    with pytest.raises(StaleRules):
        await connection.commit_replayed(
            entry, spool_id=SPOOL, after=0, number=1, rules_version=rules.version
        )
    assert await connection.replayed_through(SPOOL) == 0
    book = a_rule_book()
    book.learn(await connection.read_rules())
    await connection.commit_replayed(
        judge_again(entry, book.rules),
        spool_id=SPOOL,
        after=0,
        number=1,
        rules_version=book.rules.version,
    )
    assert await connection.replayed_through(SPOOL) == 1
    await connection.close()
    assert event_ids(database_url) == ["other"]
    assert ledger_of(database_url) == {"accepted": 1, "suppressed": 1}


async def test_a_writer_that_holds_the_fence_for_too_long_puts_it_off_and_changes_nothing(
    database_url: str, management: AsyncEngine
) -> None:
    before = version_of(database_url)
    with open_transaction(database_url) as writer:
        start_writing(writer, "slow")
        with pytest.raises(FenceBusy):
            await suppress(management, GONE, patience=Patience(for_fence=timedelta(0)))
        assert query(database_url, "SELECT 1 FROM suppressions") == []
        writer.commit()
    assert version_of(database_url) == before
    assert await suppress(management, GONE) == 1


async def test_a_collector_that_is_stuck_does_not_put_it_off_for_ever(
    database_url: str, management: AsyncEngine
) -> None:
    stuck_url = f"{database_url}&application_name=sluice%20collector"
    with open_transaction(stuck_url) as stuck:
        start_writing(stuck, "never acknowledged")
        patience = Patience(with_writer=timedelta(seconds=1))
        assert await suppress(management, GONE, patience=patience) == 1
        stuck.close()
    assert event_ids(database_url) == []


async def test_two_that_note_the_last_site_cannot_both(database_url: str) -> None:
    """Optimistic: whoever notes a site raises the version, and only from the one that it read."""
    version = version_of(database_url)
    book = a_rule_book(max_sites=1)
    connections = [
        await IntakeConnection.open(database_url, commit_timeout_seconds=30) for _ in range(8)
    ]
    book.learn(await connections[0].read_rules())
    intakes = [
        intake_of([accept(an_event(siteId=f"{n}.example"), rules=book.rules)]) for n in range(8)
    ]
    outcomes = await asyncio.gather(
        *[
            connection.commit(intake, rules_version=version)
            for connection, intake in zip(connections, intakes, strict=True)
        ],
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, StaleRules) for outcome in outcomes) == 7
    assert query(database_url, "SELECT count(*) FROM sites") == [(1,)]
    assert len(event_ids(database_url)) == 1
    for connection in connections:
        await connection.close()


# --- the routes --------------------------------------------------------------------------------


async def ask(http: httpx.AsyncClient, method: str, **persons: Any) -> dict[str, Any]:
    answer = await http.request(method, "/privacy/suppressions", json=persons or None)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def test_from_the_answer_on_no_worker_stores_an_event_of_theirs(database_url: str) -> None:
    """Several collectors under load, suppressions in between: nothing of anybody after theirs."""
    people = [f"v-{n}" for n in range(6)]
    stored_at_answer: dict[str, int] = {}

    def stored(visitor: str) -> int:
        ((count,),) = query(
            database_url, "SELECT count(*) FROM events_log WHERE visitor_id = %s", visitor
        )
        return int(count)

    async def keep_sending(http: httpx.AsyncClient, until: asyncio.Event) -> None:
        while not until.is_set():
            body = a_batch(*[an_event(visitorId=person, userId=None) for person in people])
            answer = await collect(http, body)
            assert answer.status_code == 200

    async with serving(database_url) as one, serving(database_url) as two:
        done = asyncio.Event()
        senders = [asyncio.create_task(keep_sending(h, done)) for h in (one, two, one, two)]
        for n, person in enumerate(people[:5]):
            await asyncio.sleep(0.2)
            await ask((one, two)[n % 2], "POST", visitor_ids=[person])
            stored_at_answer[person] = await asyncio.to_thread(stored, person)
        await asyncio.sleep(0.3)
        done.set()
        await asyncio.gather(*senders)
    assert min(stored_at_answer.values()) > 0, "each was taken in before"
    for person, count in stored_at_answer.items():
        assert stored(person) == count, person
    assert stored("v-5") > max(stored_at_answer.values()), "others are not concerned"
    counted = ledger_of(database_url)
    assert counted["accepted"] == len(event_ids(database_url))
    assert counted["suppressed"] > 0


async def test_a_suppression_is_counted_lifted_and_forgets_whom_it_names(
    database_url: str,
) -> None:
    async with serving(database_url) as http:
        assert await ask(http, "GET") == {"visitors": 0, "users": 0}
        first = await ask(http, "POST", visitor_ids=["v-gone", "v-gone"], user_ids=["jane@doe"])
        assert first == {"changed": 2, "visitors": 1, "users": 1} | NO_RECORDINGS
        assert (await ask(http, "POST", visitor_ids=["v-gone"]))["changed"] == 0
        answer = await collect(http, an_event(visitorId="v-gone"))
        assert (answer.status_code, answer.json()["accepted"]) == (200, 0)
        assert answer.json()["errors"][0]["reason"] == "suppressed"
        table = query(database_url, "SELECT suppressions::text FROM suppressions")
        assert "gone" not in str(table)
        assert "jane" not in str(table)
        assert await ask(http, "DELETE", visitor_ids=["v-gone", "v-never"]) == {
            "changed": 1, "visitors": 0, "users": 1,
        }  # fmt: skip
        assert (await collect(http, an_event(visitorId="v-gone"))).json()["accepted"] == 1
        assert (await collect(http, an_event(userId="jane@doe"))).json()["accepted"] == 0
    assert query(database_url, "SELECT 1 FROM dead_letters") == []
    assert ledger_of(database_url) == {"accepted": 1, "suppressed": 2}


async def test_many_at_once(database_url: str, management: AsyncEngine) -> None:
    async with serving(database_url) as http:
        said = await ask(http, "POST", user_ids=[f"u-{n}" for n in range(10_000)])
        assert said == {"changed": 10_000, "visitors": 0, "users": 10_000} | NO_RECORDINGS
        assert (await collect(http, an_event(userId="u-9999"))).json()["accepted"] == 0
    assert len((await read_rules(management)).suppressed) == 10_000


@pytest.mark.parametrize(
    "persons",
    [
        {},
        {"visitor_ids": [], "user_ids": []},
        {"visitor_ids": [""]},
        {"visitor_ids": ["x" * 201]},
        {"visitor_ids": [7]},
        {"visitor_ids": "v"},
        {"user_ids": ["u"] * 10_001},
    ],
)
async def test_nobody_is_suppressed_by_mistake(
    read_database_url: str, persons: dict[str, Any]
) -> None:
    async with serving(read_database_url) as http:
        for method in ("POST", "DELETE"):
            answer = await http.request(method, "/privacy/suppressions", json=persons)
            assert answer.status_code == 422
        assert await ask(http, "GET") == {"visitors": 0, "users": 0}


async def test_half_of_a_surrogate_pair_is_nobodys_id(read_database_url: str) -> None:
    async with serving(read_database_url) as http:
        answer = await http.post(
            "/privacy/suppressions",
            content=b'{"visitor_ids":["\\ud800"]}',
            headers={"content-type": "application/json"},
        )
    assert answer.status_code == 422


async def test_digests_of_two_stacks_differ(database_url: str, management: AsyncEngine) -> None:
    await suppress(management, GONE)
    first = (await read_rules(management)).suppressed
    query(database_url, "DELETE FROM suppressions")
    query(database_url, "UPDATE stack SET stack_id = %s", uuid4())
    await suppress(management, GONE)
    assert first.isdisjoint((await read_rules(management)).suppressed)
