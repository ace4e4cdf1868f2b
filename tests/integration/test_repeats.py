"""What is sent again while the collector remembers it: no second row, and the books are right."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from core.event_id import make_event_id
from tests.conftest import a_batch, an_event
from tests.integration.building import Exporting, collect, event_ids, ledger_of, serving
from tests.integration.receipting import problems, receipts, run


async def test_a_repeat_is_told_the_same_and_stored_once(database_url: str) -> None:
    ids = [str(make_event_id()), "an-order-of-the-shop"]
    batch = a_batch(*[an_event(eventId=one) for one in ids])
    async with serving(database_url) as http:
        told = [await collect(http, batch) for _ in range(3)]
        assert [answer.json() for answer in told] == [{"accepted": 2, "rejected": 0}] * 3
        assert event_ids(database_url) == ids
        # Ids are the sites' own.
        await collect(http, an_event(eventId=ids[1], siteId="other.example"))
    assert event_ids(database_url) == [*ids, ids[1]]
    assert ledger_of(database_url) == {"accepted": 7, "duplicate": 4}


async def test_repeats_of_one_request_are_left_to_the_exporter(database_url: str) -> None:
    event = an_event(eventId=str(make_event_id()))
    async with serving(database_url) as http:
        await collect(http, a_batch(event, event))
    assert ledger_of(database_url) == {"accepted": 2}


async def test_every_window_with_repeats_is_delivered_billed_once_and_proven(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path / "buckets")
    first, second = an_event(eventId="1" * 32), an_event(eventId="2" * 32)
    async with serving(database_url) as http:
        await collect(http, a_batch(first))
        await collect(http, a_batch(first, second))  # within its window
        run(exporting)
        await collect(http, a_batch(first, second))  # a window of nothing else
        run(exporting)
    async with serving(database_url) as http:  # that remembers nothing
        await collect(http, a_batch(second, an_event()))
        run(exporting)
    proven = receipts(exporting.client)
    assert [(r.counts.accepted, r.counts.duplicates, r.billed) for r in proven] == [
        (3, 1, 2),
        (2, 2, 0),
        (2, 1, 1),
    ]
    for sink in exporting.sinks:
        assert problems(sink) == []
        assert sorted(exporting.committed_ids(sink).values()) == [1, 1, 1]


async def test_a_window_of_nothing_but_repeats_hides_no_lag(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path / "buckets")
    event = an_event(eventId="1" * 32)
    async with serving(database_url) as http:
        await collect(http, event)
        run(exporting)
        await collect(http, event)
        exporting.seal()
        assert (await http.get("/health")).json()["oldest_undelivered_seconds"] is None
        await collect(http, an_event())
        exporting.seal()
        assert (await http.get("/health")).json()["oldest_undelivered_seconds"] is not None
        recent = (await http.get("/events/recent")).json()
    assert len(recent["events"]) == 2
