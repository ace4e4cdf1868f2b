"""The collector's SQL: one transaction for all requests that wait together.

Order of effects: take the fence shared, learn the open segment and the time, count the rows in
the ledger, COPY them into that segment, commit. A crash before the commit leaves nothing; a
connection lost during it leaves the outcome unknown, which a retry with the same `event_id`
makes harmless.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Self

import psycopg
from psycopg import sql

from database.fence import FENCE_KEY
from database.tables import segment_table

_BEGIN: Final = f"""
BEGIN;
SELECT pg_advisory_xact_lock_shared({FENCE_KEY});
SELECT segment_id, clock_timestamp() FROM segments WHERE state = 'open'
"""  # noqa: S608 - a constant; several statements, each with a snapshot taken after the lock

_COUNT: Final = """
INSERT INTO ledger
  (segment_id, writer_id, site_id, received_hour, event_type, outcome, events, bytes)
SELECT %(segment_id)s, %(writer_id)s, site_id, date_trunc('hour', %(received_at)s, 'UTC'),
  event_type, outcome, events, bytes
FROM unnest(%(sites)s::text[], %(types)s::text[], %(outcomes)s::text[],
            %(events)s::bigint[], %(bytes)s::bigint[])
  AS counted (site_id, event_type, outcome, events, bytes)
ON CONFLICT (segment_id, writer_id, site_id, received_hour, event_type, outcome)
DO UPDATE SET events = ledger.events + excluded.events, bytes = ledger.bytes + excluded.bytes
"""

_COPY: Final = sql.SQL("""
COPY {segment} (segment_id, received_at, event_id, event_type, site_id, visitor_id, session_id,
                user_id, occurred_at, payload)
FROM STDIN (FORMAT binary)
""")

COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER: Final = b"\xff\xff"
_EPOCH_2000: Final = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_2000_US: Final = 946_684_800_000_000
_MICROSECOND: Final = timedelta(microseconds=1)
# Field count, then segment_id and received_at with their lengths.
_ROW_HEAD: Final = struct.Struct("!hiqiq")
_ROW_FIELDS: Final = 10

_NULL: Final = b"\xff\xff\xff\xff"
_ID_AND_TYPE_LENGTH: Final = struct.Struct("!i16si")
_LENGTH: Final = struct.Struct("!i")
_TIME_AND_PAYLOAD_LENGTH: Final = struct.Struct("!iqiB")


_Cursor = psycopg.AsyncCursor[tuple[Any, ...]]


class LedgerKey(NamedTuple):
    """What a count is kept by, besides segment, writer and hour."""

    site_id: str
    event_type: str
    outcome: str


class LedgerCount(NamedTuple):
    """Events, and the bytes of their payloads."""

    events: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Committed:
    """Where and when a group commit landed."""

    segment_id: int
    received_at: datetime


class NoOpenSegment(Exception):
    """The buffer was never migrated, or somebody emptied `segments`."""


def encode_row(
    *,
    event_id: bytes,
    event_type: str,
    site_id: str,
    visitor_id: str | None,
    session_id: str | None,
    user_id: str | None,
    occurred_at_us: int,
    payload: bytes,
) -> bytes:
    """One row in COPY's binary format, all but its head (`segment_id`, `received_at`).

    `event_id` is the UUID's 16 bytes; `occurred_at_us` counts microseconds since 1970.
    """
    type_bytes = event_type.encode()
    return b"".join(
        (
            _ID_AND_TYPE_LENGTH.pack(16, event_id, len(type_bytes)),
            type_bytes,
            _text(site_id),
            _NULL if visitor_id is None else _text(visitor_id),
            _NULL if session_id is None else _text(session_id),
            _NULL if user_id is None else _text(user_id),
            # 1 is the version byte of jsonb's binary form.
            _TIME_AND_PAYLOAD_LENGTH.pack(8, occurred_at_us - _EPOCH_2000_US, len(payload) + 1, 1),
            payload,
        )
    )


def encode_row_head(segment_id: int, received_at: datetime) -> bytes:
    """What stands before each row: the part that is known only under the fence."""
    microseconds = (received_at - _EPOCH_2000) // _MICROSECOND
    return _ROW_HEAD.pack(_ROW_FIELDS, 8, segment_id, 8, microseconds)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTH.pack(len(encoded)) + encoded


class IntakeConnection:
    """The collector's own connection to the buffer."""

    def __init__(self, connection: psycopg.AsyncConnection, writer_id: int) -> None:
        self._connection = connection
        self.writer_id = writer_id

    @classmethod
    async def open(cls, database_url: str, *, commit_timeout_seconds: float) -> Self:
        """Connect; raises psycopg.OperationalError when PostgreSQL is away."""
        connection = await psycopg.AsyncConnection.connect(
            database_url,
            autocommit=True,  # the transaction's words are in the SQL
            application_name="sluice collector",
            connect_timeout=5,
            # Acknowledged means durable, whatever a configuration file says.
            options="-c synchronous_commit=on -c timezone=UTC"
            f" -c statement_timeout={int(commit_timeout_seconds * 1000)}"
            # A collector that is stopped in mid-transaction must not hold the fence for ever.
            f" -c idle_in_transaction_session_timeout={int(commit_timeout_seconds * 1000)}",
        )
        row = await (await connection.execute("SELECT nextval('writer_ids')")).fetchone()
        assert row is not None
        return cls(connection, row[0])

    async def close(self) -> None:
        """Safe to call twice, and on a broken connection."""
        await self._connection.close()

    async def commit_rows(
        self,
        rows: Iterable[bytes],
        counts: Mapping[LedgerKey, LedgerCount],
        *,
        when_sent: Callable[[], None] = lambda: None,
    ) -> Committed:
        """Write the rows and their counts in one durable transaction.

        `when_sent` is called when PostgreSQL has the rows and has begun to work on them.
        Raises psycopg.DataError and the like when PostgreSQL refuses a row (nothing is written,
        the connection stays usable) and psycopg.OperationalError when it is away.
        """
        async with self._transaction() as (cursor, committed):
            await self._count(cursor, committed, counts)
            await self._copy(cursor, committed, rows, when_sent)
            await cursor.execute("COMMIT")
        return committed

    async def try_rows(self, rows: Iterable[bytes]) -> None:
        """Raise what PostgreSQL would raise for these rows; keep nothing."""
        async with self._transaction() as (cursor, committed):
            await self._copy(cursor, committed, rows, lambda: None)
            await cursor.execute("ROLLBACK")

    def abort(self) -> None:
        """Cut the line without a word: what is under way fails, its outcome unknown."""
        with suppress(OSError, psycopg.Error):
            # A descriptor of our own: libpq keeps, and closes, the one that it reads from.
            line = socket.socket(fileno=os.dup(self._connection.fileno()))
            with closing(line):
                line.shutdown(socket.SHUT_RDWR)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[tuple[_Cursor, Committed]]:
        """Begin under the fence; whoever enters must say COMMIT or ROLLBACK before leaving."""
        cursor = self._connection.cursor()
        try:
            await cursor.execute(_BEGIN)
            cursor.nextset()
            cursor.nextset()
            found = await cursor.fetchone()
            if found is None:
                raise NoOpenSegment("no open segment: run the migrations")
            yield cursor, Committed(*found)
        except BaseException:
            await self._roll_back()
            raise

    async def _copy(
        self,
        cursor: _Cursor,
        committed: Committed,
        rows: Iterable[bytes],
        when_sent: Callable[[], None],
    ) -> None:
        head = encode_row_head(committed.segment_id, committed.received_at)
        body = head.join((b"", *rows))
        if not body:
            return
        statement = _COPY.format(segment=sql.Identifier(segment_table(committed.segment_id)))
        async with cursor.copy(statement) as copy:
            await copy.write(COPY_HEADER + body + COPY_TRAILER)
            when_sent()

    async def _count(
        self,
        cursor: _Cursor,
        committed: Committed,
        counts: Mapping[LedgerKey, LedgerCount],
    ) -> None:
        keys = list(counts)
        await cursor.execute(
            _COUNT,
            {
                "segment_id": committed.segment_id,
                "writer_id": self.writer_id,
                "received_at": committed.received_at,
                "sites": [k.site_id for k in keys],
                "types": [k.event_type for k in keys],
                "outcomes": [k.outcome for k in keys],
                "events": [counts[k].events for k in keys],
                "bytes": [counts[k].bytes for k in keys],
            },
        )

    async def _roll_back(self) -> None:
        try:
            await self._connection.execute("ROLLBACK")
        except psycopg.Error:
            await self._connection.close()
