"""Collectors agree on a day's salt through a real PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import psycopg

from api.collector.cookieless import SaltKeeper
from database.visitor_salts import renew_salts
from tests.integration.building import query

TODAY = date(2026, 11, 21)
TOMORROW = TODAY + timedelta(days=1)


async def connect(database_url: str) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(database_url, autocommit=True)


async def renew(database_url: str, keeper: SaltKeeper, today: date) -> None:
    """One turn, as a collector takes it."""
    async with await connect(database_url) as connection:
        keeper.adopt(await renew_salts(connection, keeper.offer(today), today=today), today=today)


def stored(database_url: str) -> dict[date, bytes]:
    return dict(query(database_url, "SELECT day, salt FROM visitor_salts"))


async def test_collectors_that_start_together_agree(database_url: str) -> None:
    keepers = [SaltKeeper() for _ in range(8)]
    await asyncio.gather(*[renew(database_url, keeper, TODAY) for keeper in keepers])
    salts = stored(database_url)
    assert set(salts) == {TODAY, TOMORROW}
    for day, salt in salts.items():
        assert {keeper.salt_for(day) for keeper in keepers} == {salt}


async def test_one_that_comes_while_another_has_not_committed_waits_and_agrees(
    database_url: str,
) -> None:
    late = SaltKeeper()
    async with await connect(database_url) as first:
        async with first.transaction():
            salts = await renew_salts(first, SaltKeeper().offer(TODAY), today=TODAY)
            waiting = asyncio.create_task(renew(database_url, late, TODAY))
            done, _ = await asyncio.wait({waiting}, timeout=0.2)
            assert not done
        await waiting
    assert late.salt_for(TODAY) == salts[TODAY]


async def test_days_follow_each_other_and_nothing_older_than_today_is_left(
    database_url: str,
) -> None:
    keeper = SaltKeeper()
    seen: dict[date, bytes] = {}
    for number in range(4):
        today = TODAY + timedelta(days=number)
        await renew(database_url, keeper, today)
        kept = stored(database_url)
        assert set(kept) == {today, today + timedelta(days=1)}
        assert kept[today] == keeper.salt_for(today) == seen.get(today, kept[today])
        seen |= kept
    assert len(set(seen.values())) == 5


async def test_a_collector_that_was_alone_joins_the_others(database_url: str) -> None:
    alone, others = SaltKeeper(), SaltKeeper()
    own = alone.salt_for(TODAY)
    await renew(database_url, others, TODAY)
    await renew(database_url, alone, TODAY)
    assert alone.salt_for(TODAY) == others.salt_for(TODAY) != own
