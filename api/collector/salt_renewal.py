"""Keep the salts of today and tomorrow at hand, the same ones in every collector."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import psycopg

from api.collector.cookieless import SaltKeeper
from core.clock import Clock
from database.visitor_salts import renew_salts

log = logging.getLogger("sluice.collector")

_EVERY_SECONDS: Final = 300.0
_AGAIN_SECONDS: Final = 5.0
_LONGEST_SECONDS: Final = 2.0


async def keep_salts(salts: SaltKeeper, database_url: str, *, clock: Clock) -> None:
    """Renew again and again, for ever; sooner again while PostgreSQL is away."""
    while True:
        is_renewed = await try_to_renew(salts, database_url, clock=clock)
        await asyncio.sleep(_EVERY_SECONDS if is_renewed else _AGAIN_SECONDS)


async def try_to_renew(salts: SaltKeeper, database_url: str, *, clock: Clock) -> bool:
    """Renew once, if PostgreSQL answers soon.

    A collector does so before it takes anything in: an event that came sooner would be given an
    id by a salt that no other collector has.
    """
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            await _renew(salts, database_url, clock=clock)
    except (psycopg.Error, OSError) as exc:  # TimeoutError is one
        log.warning("salts not renewed", extra={"error": type(exc).__name__})
        return False
    return True


async def _renew(salts: SaltKeeper, database_url: str, *, clock: Clock) -> None:
    """Store what is missing, and learn what the others have stored."""
    today = clock().date()
    async with await psycopg.AsyncConnection.connect(
        database_url, application_name="sluice salts"
    ) as connection:
        salts.adopt(await renew_salts(connection, salts.offer(today), today=today), today=today)
