"""Find the rows that PostgreSQL refuses among many that it was given together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import psycopg


async def find_poison(
    rows: Sequence[bytes], try_rows: Callable[[list[bytes]], Awaitable[None]]
) -> dict[int, str]:
    """PostgreSQL's words on each row that it refuses, by the row's number.

    By trying halves of them, of which `try_rows` keeps none.
    """
    poison: dict[int, str] = {}
    pending = [range(len(rows))]
    while pending:
        part = pending.pop()
        try:
            await try_rows([rows[number] for number in part])
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            if len(part) == 1:
                poison[part[0]] = exc.diag.message_primary or type(exc).__name__
            else:
                middle = len(part) // 2
                pending += [part[:middle], part[middle:]]
    return poison
