"""A buffer in memory. It passes the same behaviour suite as the real connection
(tests/integration/test_buffer_connection.py)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import cast
from uuid import UUID

import psycopg

from database.intake import Committed, StaleRules
from database.intake_batch import DeadLetter, Intake, LedgerKey, NewSite
from database.intake_rules import SiteState, StoredRules
from database.row import encode_row
from tests.conftest import NOON

POISON = b'{"no json'
"""A payload that PostgreSQL refuses."""
POISON_ROW = encode_row(
    event_id=bytes(16),
    event_type="click",
    site_id="shop.example",
    visitor_id=None,
    session_id=None,
    user_id=None,
    occurred_at_us=0,
    payload=POISON,
)


@dataclass
class FakeBuffer:
    """What several connections share."""

    rows: list[bytes] = field(default_factory=list)
    counts: Counter[LedgerKey] = field(default_factory=Counter)
    letters: list[DeadLetter] = field(default_factory=list)
    commits: list[int] = field(default_factory=list)
    """Rows of each transaction."""
    opened: int = 0
    failures: list[Exception] = field(default_factory=list)
    """Raised by the next calls, first one first."""
    held: bool = False
    """Whether calls hang until the line is cut or the buffer released."""
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by a call that hangs."""
    released: asyncio.Event = field(default_factory=asyncio.Event)

    rules: StoredRules = StoredRules(1, UUID(int=0), {}, frozenset())

    def note(self, site: NewSite) -> None:
        """Record a site, which raises the version."""
        sites = {site.site_id: cast(SiteState, site.state)} | dict(self.rules.sites)
        self.rules = replace(self.rules, version=self.rules.version + 1, sites=sites)

    async def connect(self) -> FakeConnection:
        self.opened += 1
        return FakeConnection(self)

    def hold(self) -> None:
        """Let the next calls hang."""
        self.held = True
        self.entered.clear()
        self.released.clear()

    def release(self) -> None:
        self.held = False
        self.released.set()


class FakeConnection:
    """One connection to it."""

    def __init__(self, buffer: FakeBuffer) -> None:
        self._buffer = buffer
        self._cut = False

    async def commit(
        self,
        intake: Intake,
        *,
        rules_version: int | None = None,
        when_sent: Callable[[], None] = lambda: None,
    ) -> Committed:
        rows = intake.rows
        await self._check(rows)
        if rules_version not in (None, self._buffer.rules.version):
            raise StaleRules
        when_sent()
        self._buffer.rows += rows
        self._buffer.commits.append(len(rows))
        self._buffer.letters += intake.letters
        for key, count in intake.counts.items():
            self._buffer.counts[key] += count.events
        for site in intake.sites:
            self._buffer.note(site)
        return Committed(1, NOON)

    async def read_rules(self) -> StoredRules:
        await self._check([])
        return self._buffer.rules

    async def try_rows(self, rows: Iterable[bytes]) -> None:
        await self._check(list(rows))

    def abort(self) -> None:
        self._cut = True
        self._buffer.released.set()

    async def close(self) -> None:
        self._cut = True

    async def _check(self, rows: list[bytes]) -> None:
        if self._buffer.held:
            self._buffer.entered.set()
            await self._buffer.released.wait()
        if self._cut:
            raise psycopg.OperationalError("the connection is closed")
        if self._buffer.failures:
            raise self._buffer.failures.pop(0)
        if any(POISON in row for row in rows):
            raise psycopg.DataError("invalid input syntax for type json")
