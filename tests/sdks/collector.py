"""A running collector as an SDK's test sees it: where it is, and what it stored since."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from tests.system.running_collector import RunningCollector
from tests.system.running_stack import wait_until

_ROWS = """
SELECT event_id, event_type, site_id, visitor_id, session_id, user_id, occurred_at, received_at,
       payload
FROM events_log WHERE received_at > %s ORDER BY received_at, occurred_at
"""
_NO_MORE_COMES_SECONDS = 0.3


class Row(NamedTuple):
    """An event as it stands in the buffer."""

    event_id: UUID
    event_type: str
    site_id: str
    visitor_id: str | None
    session_id: str | None
    user_id: str | None
    occurred_at: datetime
    received_at: datetime
    payload: dict[str, Any]

    @property
    def properties(self) -> dict[str, Any]:
        """Everything particular to the event's type."""
        found: dict[str, Any] = self.payload.get("properties", {})
        return found


class Collector:
    """One process for all tests; each sees what came since it began."""

    def __init__(self, running: RunningCollector) -> None:
        self.url = running.url
        self._database_url = running.database_url
        self.forget()

    def forget(self) -> None:
        """Leave aside what was stored until now."""
        with psycopg.connect(self._database_url) as connection:
            ((self._since,),) = connection.execute("SELECT clock_timestamp()").fetchall()

    @contextmanager
    def answering_503(self) -> Iterator[None]:
        """Let no commit through: nobody can write where a migration, say, holds the table."""
        with psycopg.connect(self._database_url) as connection:
            connection.execute("LOCK TABLE events_log IN EXCLUSIVE MODE")
            yield

    def rows(self) -> list[Row]:
        """What was stored since `forget`, in order of receipt."""
        with psycopg.connect(self._database_url) as connection:
            return [Row(*row) for row in connection.execute(_ROWS, (self._since,)).fetchall()]

    def wait_for(self, count: int, *, seconds: float = 20) -> list[Row]:
        """The rows once there are so many; a moment later there are not more."""
        wait_until(
            lambda: len(self.rows()) >= count, seconds=seconds, what=f"{count} events in the buffer"
        )
        time.sleep(_NO_MORE_COMES_SECONDS)
        rows = self.rows()
        assert len(rows) == count, [row.payload for row in rows]
        return rows

    def wait_for_type(self, event_type: str, *, seconds: float = 20) -> Row:
        """The only row of a type, once it is there."""

        def find() -> list[Row]:
            return [row for row in self.rows() if row.event_type == event_type]

        wait_until(find, seconds=seconds, what=event_type)
        (row,) = find()
        return row
