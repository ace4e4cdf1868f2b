"""A buffer in memory. It passes the same behaviour suite as the real connection
(tests/integration/test_buffer_connection.py)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import cast
from uuid import UUID

import psycopg

from database.intake import Committed, PositionMoved, StaleRules
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
    incarnation: int = 1
    positions: dict[UUID, int] = field(default_factory=dict)
    outcomes: dict[tuple[int, int], bool | None] = field(default_factory=dict)
    """By writer and transaction; what is not in it was not committed."""
    transactions: int = 0
    failures: list[Exception] = field(default_factory=list)
    """Raised by the next calls, first one first."""
    lost_answers: list[Exception] = field(default_factory=list)
    """Raised by the next commits though they were done, first one first."""
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
        return FakeConnection(self, writer_id=self.opened, incarnation=self.incarnation)

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

    def __init__(self, buffer: FakeBuffer, *, writer_id: int, incarnation: int) -> None:
        self._buffer = buffer
        self._cut = asyncio.Event()
        self.writer_id = writer_id
        self.incarnation = incarnation
        self.transaction_id: int | None = None

    async def commit(
        self,
        intake: Intake,
        *,
        rules_version: int | None = None,
    ) -> Committed:
        await self._begin(intake.rows)
        self._check_rules(rules_version)
        return self._write(intake)

    async def commit_replayed(
        self,
        intake: Intake,
        *,
        spool_id: UUID,
        after: int,
        number: int,
        rules_version: int | None = None,
    ) -> Committed:
        await self._begin(intake.rows)
        self._check_rules(rules_version)
        if self._buffer.positions.get(spool_id, after) != after:
            raise PositionMoved
        self._buffer.positions[spool_id] = number
        return self._write(intake)

    async def replayed_through(self, spool_id: UUID) -> int:
        await self._reach()
        return self._buffer.positions.get(spool_id, 0)

    async def was_committed(self, *, writer_id: int, transaction_id: int) -> bool | None:
        await self._reach()
        return self._buffer.outcomes.get((writer_id, transaction_id), False)

    def _check_rules(self, version: int | None) -> None:
        if version not in (None, self._buffer.rules.version):
            raise StaleRules

    async def read_rules(self) -> StoredRules:
        await self._reach()
        return self._buffer.rules

    async def try_rows(self, rows: Iterable[bytes]) -> None:
        await self._begin(list(rows))

    def abort(self) -> None:
        self._cut.set()

    async def close(self) -> None:
        self._cut.set()

    async def _begin(self, rows: list[bytes]) -> None:
        self.transaction_id = None
        await self._reach()
        self._buffer.transactions += 1
        self.transaction_id = self._buffer.transactions
        if self._buffer.failures:
            raise self._buffer.failures.pop(0)
        if any(POISON in row for row in rows):
            raise psycopg.DataError("invalid input syntax for type json")

    async def _reach(self) -> None:
        if self._buffer.held:
            self._buffer.entered.set()
            waits = [asyncio.ensure_future(e.wait()) for e in (self._buffer.released, self._cut)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        if self._cut.is_set():
            raise psycopg.OperationalError("the connection is closed")

    def _write(self, intake: Intake) -> Committed:
        assert self.transaction_id is not None
        rows = intake.rows
        self._buffer.rows += rows
        self._buffer.commits.append(len(rows))
        self._buffer.letters += intake.letters
        for key, count in intake.counts.items():
            self._buffer.counts[key] += count.events
        for site in intake.sites:
            self._buffer.note(site)
        self._buffer.outcomes[self.writer_id, self.transaction_id] = True
        if self._buffer.lost_answers:
            raise self._buffer.lost_answers.pop(0)
        return Committed(1, NOON)
