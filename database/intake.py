"""The collector's SQL: one transaction for all requests that wait together.

Order of effects: take the fence shared, learn the open segment, the time and the version of the
rules, count in the ledger, note what else came (dead letters, new sites, identity links), COPY
the rows into that segment, commit. Where nothing else came, that is three round trips: all up to
the ledger; `COPY` and `COMMIT`; the rows.

Whoever notes a site raises the version of the rules first, and only from the one that it read: so
two cannot both note the last site that there is room for. A crash before the commit leaves
nothing; a connection lost during it leaves the outcome unknown: `transaction_id` is what to ask
PostgreSQL about then.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Self
from uuid import UUID

import msgspec
import psycopg

from core.version import VERSION
from database.fence import FENCE_KEY
from database.intake_batch import Intake, LedgerCount, LedgerKey
from database.intake_rules import RAISE_VERSION_FROM, READ_RULES, StoredRules, stored_rules
from database.row import COPY_HEADER, COPY_TRAILER, encode_row_head
from database.tables import segment_table
from database.wire import Wire

_INTRODUCE: Final = """
SELECT nextval('writer_ids'), (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
  (SELECT oid::bigint FROM pg_database WHERE datname = current_database())"""

# Each with a snapshot of its own: the second sees what was there when the lock was granted.
_PREPARE: Final = (
    f"PREPARE take_fence AS SELECT pg_advisory_xact_lock_shared({FENCE_KEY})",
    """
PREPARE begin_counting (bigint, json) AS
WITH begun AS MATERIALIZED (
  SELECT segment_id, clock_timestamp() AS received_at FROM segments WHERE state = 'open'
), counted AS (
  INSERT INTO ledger
    (segment_id, writer_id, site_id, received_hour, event_type, outcome, events, bytes,
     bots, redacted, plan_violations, letters)
  SELECT segment_id, $1, site_id, date_trunc('hour', received_at, 'UTC'), event_type, outcome,
    events, bytes, bots, redacted, plan_violations, letters
  FROM begun, json_to_recordset($2)
    AS counted (site_id text, event_type text, outcome text, events bigint, bytes bigint,
                bots bigint, redacted bigint, plan_violations bigint, letters bigint)
  ON CONFLICT (segment_id, writer_id, site_id, received_hour, event_type, outcome)
  DO UPDATE SET events = ledger.events + excluded.events, bytes = ledger.bytes + excluded.bytes,
    bots = ledger.bots + excluded.bots, redacted = ledger.redacted + excluded.redacted,
    plan_violations = ledger.plan_violations + excluded.plan_violations,
    letters = ledger.letters + excluded.letters
)
SELECT segment_id, (extract(epoch FROM received_at) * 1000000)::bigint,
  (SELECT version FROM intake_rules), pg_current_xact_id()
FROM begun
""",
)

_KEEP_LETTERS: Final = """
INSERT INTO dead_letters
  (dead_letter_id, segment_id, arrived_at, received_at, site_id, reason, field, message,
   event_type, dialect, request, payload, payload_bytes, is_cut, user_agent, ip, version)
SELECT dead_letter_id, %(segment_id)s, arrived_at, %(received_at)s, site_id, reason, field,
  message, event_type, dialect, request, payload, payload_bytes, is_cut, user_agent, ip,
  %(version)s
FROM unnest(%(ids)s::uuid[], %(arrivals)s::timestamptz[], %(sites)s::text[],
            %(reasons)s::text[], %(fields)s::text[], %(messages)s::text[], %(types)s::text[],
            %(dialects)s::text[], %(requests)s::text[], %(payloads)s::text[], %(sizes)s::int[],
            %(cuts)s::boolean[], %(user_agents)s::text[], %(ips)s::text[])
  AS kept (dead_letter_id, arrived_at, site_id, reason, field, message, event_type, dialect,
           request, payload, payload_bytes, is_cut, user_agent, ip)
"""

_NOTE_SITES: Final = """
INSERT INTO sites (site_id, state, first_seen_at, first_dialect, first_url)
SELECT site_id, state, %(received_at)s, dialect, url
FROM unnest(%(sites)s::text[], %(states)s::text[], %(dialects)s::text[], %(urls)s::text[])
  AS seen (site_id, state, dialect, url)
ON CONFLICT (site_id) DO NOTHING
"""

_LINK: Final = """
INSERT INTO identity_links (segment_id, linked_at, site_id, visitor_id, user_id, event_type)
SELECT %(segment_id)s, %(received_at)s, site_id, visitor_id, user_id, event_type
FROM unnest(%(sites)s::text[], %(visitors)s::text[], %(users)s::text[], %(types)s::text[])
  AS linked (site_id, visitor_id, user_id, event_type)
"""

# Waits for a transaction of an earlier connection that is still in the middle of the same, and
# then sees what became of it.
_ADVANCE_REPLAY: Final = """
INSERT INTO spool_positions (spool_id, replayed_through) VALUES (%(spool_id)s, %(number)s)
ON CONFLICT (spool_id) DO UPDATE SET replayed_through = excluded.replayed_through
WHERE spool_positions.replayed_through = %(after)s
"""
_REPLAYED_THROUGH: Final = "SELECT replayed_through FROM spool_positions WHERE spool_id = %s"

_IN_PROGRESS: Final = "SELECT pg_xact_status(%s::text::xid8) = 'in progress'"
# xmin has 32 bits of the 64.
_COUNTED_BY: Final = """
SELECT EXISTS (SELECT FROM ledger
  WHERE writer_id = %s AND xmin::text::bigint = %s::bigint & 4294967295)
"""

# Locked in one order: of two replays that share letters, the second waits for the first.
_MARK_REPLAYED: Final = """
UPDATE dead_letters SET replayed_at = %(received_at)s
FROM (
  SELECT dead_letter_id FROM dead_letters
  WHERE dead_letter_id = ANY(%(ids)s) AND replayed_at IS NULL
  ORDER BY dead_letter_id FOR UPDATE
) AS locked
WHERE dead_letters.dead_letter_id = locked.dead_letter_id
"""

_COPY: Final = """
COPY {segment} (segment_id, received_at, event_id, event_type, site_id, visitor_id, session_id,
                user_id, occurred_at, payload)
FROM STDIN (FORMAT binary)
"""
_Ending = Literal["COMMIT", "ROLLBACK"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Committed:
    """Where and when a group commit landed."""

    segment_id: int
    received_at: datetime


class NoOpenSegment(Exception):
    """The buffer was never migrated, or somebody emptied `segments`."""


class AlreadyReplayed(Exception):
    """One of the dead letters has been taken in again meanwhile; nothing was written."""


class PositionMoved(Exception):
    """The spool has been replayed to another entry than was thought; nothing was written."""


class StaleRules(Exception):
    """The rules of intake have changed since these events were judged; nothing was written."""


@dataclass(frozen=True, slots=True)
class _Transaction:
    """What a transaction learns when it begins."""

    segment_id: int
    received_us: int
    """Microseconds since 1970."""
    rules_version: int
    transaction_id: int

    @property
    def received_at(self) -> datetime:
        """When all of it was received."""
        return _EPOCH + timedelta(microseconds=self.received_us)


class IntakeConnection:
    """The collector's own connection to the buffer."""

    def __init__(
        self, connection: psycopg.AsyncConnection, *, writer_id: int, incarnation: int
    ) -> None:
        self._connection = connection
        self._wire = Wire(connection)
        self.writer_id = writer_id
        self.incarnation = incarnation
        """Of the database, since its PostgreSQL started: no other has the same."""
        self.transaction_id: int | None = None
        """Of the transaction under way, or of the last one."""

    @classmethod
    async def open(cls, database_url: str, *, commit_timeout_seconds: float) -> Self:
        """Connect; raises psycopg.OperationalError when PostgreSQL is away."""
        connection = await psycopg.AsyncConnection.connect(
            database_url,
            autocommit=True,  # the transaction's words are in the SQL
            # Its cursors prepare nothing: after a ROLLBACK they would deallocate our statements.
            prepare_threshold=None,
            application_name="sluice collector",
            connect_timeout=5,
            # Acknowledged means durable, whatever a configuration file says.
            options="-c synchronous_commit=on -c timezone=UTC"
            f" -c statement_timeout={int(commit_timeout_seconds * 1000)}"
            # A collector that is stopped in mid-transaction must not hold the fence for ever.
            f" -c idle_in_transaction_session_timeout={int(commit_timeout_seconds * 1000)}",
        )
        try:
            for statement in _PREPARE:  # waits while somebody locks their tables
                await connection.execute(statement)
            row = await (await connection.execute(_INTRODUCE)).fetchone()
        except BaseException:
            await connection.close()
            raise
        assert row is not None
        return cls(connection, writer_id=row[0], incarnation=row[1] << 32 | row[2])

    async def close(self) -> None:
        """Safe to call twice, and on a broken connection."""
        await self._connection.close()

    async def commit(
        self,
        intake: Intake,
        *,
        rules_version: int | None = None,
    ) -> Committed:
        """Write an intake in one durable transaction.

        Raises StaleRules when the rules are not those of `rules_version` any more (nothing is
        written; read them, judge again, come back), psycopg.DataError and the like when PostgreSQL
        refuses a row (nothing is written, the connection stays usable) and
        psycopg.OperationalError when it is away.
        """
        async with self._transaction(intake.counts) as begun:
            if rules_version is not None and begun.rules_version != rules_version:
                raise StaleRules
            await self._write(begun, intake)
        return Committed(begun.segment_id, begun.received_at)

    async def commit_replayed(
        self,
        intake: Intake,
        *,
        spool_id: UUID,
        after: int,
        number: int,
        rules_version: int | None = None,
    ) -> Committed:
        """Write what a spool holds after one entry, up to another, and that it is written.

        Raises PositionMoved when it was written already (nothing is written), and what `commit`
        raises.
        """
        async with self._transaction(intake.counts) as begun:
            if rules_version is not None and begun.rules_version != rules_version:
                raise StaleRules
            step = {"spool_id": spool_id, "after": after, "number": number}
            if not (await self._connection.execute(_ADVANCE_REPLAY, step)).rowcount:
                raise PositionMoved
            await self._write(begun, intake)
        return Committed(begun.segment_id, begun.received_at)

    async def read_rules(self) -> StoredRules:
        """The rules that events are to be judged by, as of now."""
        cursor = await self._connection.execute(READ_RULES, binary=True)
        row = await cursor.fetchone()
        assert row is not None
        return await asyncio.to_thread(stored_rules, row)

    async def replayed_through(self, spool_id: UUID) -> int:
        """The number of the last entry of a spool that has been written; 0 when there is none."""
        row = await (await self._connection.execute(_REPLAYED_THROUGH, (spool_id,))).fetchone()
        return row[0] if row else 0

    async def was_committed(self, *, writer_id: int, transaction_id: int) -> bool | None:
        """Whether a writer's last transaction was committed; None while it is under way.

        The ledger tells: the counts that it wrote carry its number, and no other's of this
        writer. `pg_xact_status` does not: a number whose transaction left no trace before a crash
        is given out again, and somebody else's commit is then told as this one's. Nor does the
        ledger remember for ever: of a segment that was dropped meanwhile it says False.
        """
        if await self._ask(_IN_PROGRESS, str(transaction_id)):
            return None
        return await self._ask(_COUNTED_BY, writer_id, transaction_id)

    async def _ask(self, question: str, *arguments: object) -> bool:
        try:
            cursor = await self._connection.execute(question, arguments)
        except psycopg.DataError:  # in the future of this server: another one gave the number
            return False
        row = await cursor.fetchone()
        return bool(row and row[0])

    async def try_rows(self, rows: Iterable[bytes]) -> None:
        """Raise what PostgreSQL would raise for these rows; keep nothing."""
        async with self._transaction({}) as begun:
            await self._copy(begun, rows, then="ROLLBACK")

    def abort(self) -> None:
        """Cut the line without a word: what is under way fails, its outcome unknown."""
        with suppress(OSError, psycopg.Error):
            # A descriptor of our own: libpq keeps, and closes, the one that it reads from.
            line = socket.socket(fileno=os.dup(self._connection.fileno()))
            with closing(line):
                line.shutdown(socket.SHUT_RDWR)

    @asynccontextmanager
    async def _transaction(
        self, counts: Mapping[LedgerKey, LedgerCount]
    ) -> AsyncIterator[_Transaction]:
        """Begin under the fence, and count; whoever enters must end it before leaving."""
        self.transaction_id = None
        try:
            result = await self._wire.begin(
                (b"take_fence", ()),
                (b"begin_counting", (b"%d" % self.writer_id, _encode_counts(counts))),
            )
            if not result.ntuples:
                raise NoOpenSegment("no open segment: run the migrations")
            begun = _Transaction(*(int(result.get_value(0, n) or 0) for n in range(4)))
            self.transaction_id = begun.transaction_id
            yield begun
        except BaseException:
            await self._roll_back()
            raise

    async def _write(self, begun: _Transaction, intake: Intake) -> None:
        """All but the counts, and commit."""
        execute = self._connection.execute
        if intake.letters:
            await execute(_KEEP_LETTERS, _letter_columns(intake, begun))
        if intake.sites:
            if not (await execute(RAISE_VERSION_FROM, (begun.rules_version,))).rowcount:
                raise StaleRules
            await execute(_NOTE_SITES, _site_columns(intake, begun))
        if intake.links:
            await execute(_LINK, _link_columns(intake, begun))
        if intake.replayed_letters:
            letters = {"received_at": begun.received_at, "ids": intake.replayed_letters}
            if (await execute(_MARK_REPLAYED, letters)).rowcount != len(intake.replayed_letters):
                raise AlreadyReplayed
        await self._copy(begun, intake.rows, then="COMMIT")

    async def _copy(
        self,
        begun: _Transaction,
        rows: Iterable[bytes],
        *,
        then: _Ending,
    ) -> None:
        """Write rows, and end the transaction."""
        head = encode_row_head(begun.segment_id, begun.received_us)
        body = head.join((b"", *rows))
        if not body:
            await self._wire.end(then)
            return
        # Formatted: a COPY has no parameters, and the segment is a number of our own.
        copy = _COPY.format(segment=segment_table(begun.segment_id))
        data = COPY_HEADER + body + COPY_TRAILER
        await self._wire.copy(copy, data, then=then)

    async def _roll_back(self) -> None:
        try:
            await self._wire.end("ROLLBACK")
        except psycopg.Error:
            await self._connection.close()


def _encode_counts(counts: Mapping[LedgerKey, LedgerCount]) -> bytes:
    return _encode([key._asdict() | number._asdict() for key, number in counts.items()])


def _letter_columns(intake: Intake, begun: _Transaction) -> dict[str, object]:
    letters = intake.letters
    return {
        "segment_id": begun.segment_id,
        "received_at": begun.received_at,
        "version": VERSION,
        "ids": [letter.dead_letter_id for letter in letters],
        "arrivals": [letter.arrived_at for letter in letters],
        "sites": [letter.site_id for letter in letters],
        "reasons": [letter.reason for letter in letters],
        "fields": [letter.field for letter in letters],
        "messages": [letter.message for letter in letters],
        "types": [letter.event_type for letter in letters],
        "dialects": [letter.dialect for letter in letters],
        "requests": [letter.request for letter in letters],
        "payloads": [letter.payload for letter in letters],
        "sizes": [letter.payload_bytes for letter in letters],
        "cuts": [letter.is_cut for letter in letters],
        "user_agents": [letter.user_agent for letter in letters],
        "ips": [letter.ip for letter in letters],
    }


def _site_columns(intake: Intake, begun: _Transaction) -> dict[str, object]:
    return {
        "received_at": begun.received_at,
        "sites": [site.site_id for site in intake.sites],
        "states": [site.state for site in intake.sites],
        "dialects": [site.dialect for site in intake.sites],
        "urls": [site.url for site in intake.sites],
    }


def _link_columns(intake: Intake, begun: _Transaction) -> dict[str, object]:
    return {
        "segment_id": begun.segment_id,
        "received_at": begun.received_at,
        "sites": [link.site_id for link in intake.links],
        "visitors": [link.visitor_id for link in intake.links],
        "users": [link.user_id for link in intake.links],
        "types": [link.event_type for link in intake.links],
    }
