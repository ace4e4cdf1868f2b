"""Find out when PostgreSQL takes rows again, apart from anybody who sends."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from typing import Final, Protocol, TypeVar

from api.collector.deadline import Line, in_time
from database.intake_batch import Intake
from database.row import encode_row

_EVERY_SECONDS: Final = 1.0
_PROBE_ROW: Final = encode_row(
    event_id=bytes(16),
    event_type="probe",
    site_id="",
    visitor_id=None,
    session_id=None,
    user_id=None,
    occurred_at_us=0,
    payload=b"{}",
)


class Probed(Line, Protocol):
    """What a probe needs of a connection."""

    async def commit(self, intake: Intake) -> object:
        """Write an intake."""

    async def try_rows(self, rows: list[bytes]) -> None:
        """Raise what PostgreSQL would raise for these rows; keep nothing."""

    async def close(self) -> None:
        """Hang up."""


Connection = TypeVar("Connection", bound=Probed)


async def until_writable(
    connect: Callable[[], Coroutine[object, object, Connection]],
    *,
    timeout_seconds: float,
    first_wait_seconds: float,
    told: Callable[[Exception], None],
) -> Connection:
    """The first connection on which PostgreSQL takes a row and a commit.

    `told` hears of each failure meanwhile.
    """
    await asyncio.sleep(first_wait_seconds)
    while True:
        connection: Connection | None = None
        try:
            connection = await in_time(connect(), seconds=timeout_seconds, line=None)
            await check_writable(connection, timeout_seconds=timeout_seconds)
        except Exception as exc:  # whatever it is, the next probe comes
            told(exc)
        except BaseException:
            await _hang_up(connection)
            raise
        else:
            return connection
        await _hang_up(connection)
        # Several collectors that lost the same server do not all come at the same moment.
        await asyncio.sleep(_EVERY_SECONDS * random.uniform(0.75, 1.25))  # noqa: S311


async def check_writable(connection: Probed, *, timeout_seconds: float) -> None:
    """Raise what an ordinary row would meet: a server that only reads, no segment, no answer."""
    tried = connection.try_rows([_PROBE_ROW])
    await in_time(tried, seconds=timeout_seconds, line=connection)
    # A commit is flushed, and takes a place in the log, though nothing is in it.
    await in_time(connection.commit(Intake()), seconds=timeout_seconds, line=connection)


async def _hang_up(connection: Probed | None) -> None:
    if connection is not None:
        with contextlib.suppress(Exception):
            await connection.close()
