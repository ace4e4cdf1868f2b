"""Tell of an error what a log, an answer or `/health` may hold."""

from __future__ import annotations

import psycopg

from api.collector.spool import SpoolBroken, SpoolFull
from database.intake import NoOpenSegment


def brief(exc: BaseException) -> str:
    """An error without the rows that it may quote."""
    if isinstance(exc, psycopg.Error) and exc.diag.message_primary:
        return exc.diag.message_primary
    if isinstance(exc, NoOpenSegment | TimeoutError | SpoolFull | SpoolBroken):
        return str(exc)
    return type(exc).__name__
