"""The salts of cookieless visitors: one for each day, whichever collector comes first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from psycopg import AsyncConnection

_CREATE: Final = """
INSERT INTO visitor_salts (day, salt) VALUES (%(day)s, %(salt)s) ON CONFLICT (day) DO NOTHING
"""
_DELETE_OLDER: Final = "DELETE FROM visitor_salts WHERE day < %(today)s"
_SELECT: Final = "SELECT day, salt FROM visitor_salts WHERE day >= %(today)s"


async def renew_salts(
    connection: AsyncConnection[Any], offered: Mapping[date, bytes], *, today: date
) -> dict[date, bytes]:
    """Delete what is older than today, store what nobody has stored yet, and return what stands.

    One transaction, except on a connection that is in one already. Of two collectors that offer
    a salt for the same day, one waits for the other's commit, and both return the same.
    """
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.execute(_DELETE_OLDER, {"today": today})
        for day in sorted(offered):  # in one order everywhere: no deadlock
            await cursor.execute(_CREATE, {"day": day, "salt": offered[day]})
        await cursor.execute(_SELECT, {"today": today})
        return {day: bytes(salt) for day, salt in await cursor.fetchall()}
