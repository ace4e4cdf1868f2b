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


async def keep_salts(salts: SaltKeeper, database_url: str, *, clock: Clock) -> None:
    """Renew again and again, for ever; sooner again while PostgreSQL is away."""
    while True:
        try:
            await renew_once(salts, database_url, clock=clock)
            pause = _EVERY_SECONDS
        except (psycopg.Error, OSError) as exc:
            log.warning("salts not renewed", extra={"error": type(exc).__name__})
            pause = _AGAIN_SECONDS
        await asyncio.sleep(pause)


async def renew_once(salts: SaltKeeper, database_url: str, *, clock: Clock) -> None:
    """Store what is missing, and learn what the others have stored."""
    today = clock().date()
    async with await psycopg.AsyncConnection.connect(
        database_url, application_name="sluice salts", connect_timeout=5
    ) as connection:
        salts.adopt(await renew_salts(connection, salts.offer(today), today=today), today=today)
