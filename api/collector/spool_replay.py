"""Replay: what the spool holds is written into PostgreSQL, in order, each entry once.

One process of a host replays at a time (a lock that the kernel releases at its death), on a
connection of its own. Order of effects, and what a crash after each leaves behind:

1. Read the oldest entries; those that fit into one transaction go together. (Nothing changed.)
2. One transaction writes them and, in `spool_positions`, that the spool is written up to the last
   of them; it goes on only from the position that was read. (They are in; the next process reads
   the position, and forgets them unwritten. A transaction that broke off and is still under way
   is waited for by PostgreSQL, and moves the position once.)
3. The spool forgets them.
4. Pause, so that live intake keeps most of its rate; go on.

An entry whose own transaction has an unknown outcome goes alone, when PostgreSQL says what became
of it: forgotten when it was committed, written when it was not. A row that PostgreSQL refuses is
found as in a group commit, but its sender was told that it is accepted: it becomes a dead letter,
and the entry's counts are corrected in the transaction that writes the rest, so that received =
accepted + rejected holds whatever a sender was told. So it is with what the rules of intake forbid
by then: every entry is judged again, and written only by the rules that are in force. An entry
that cannot be read or written at all is set aside: kept in the spool, told by `/health`, tried
again when a collector starts. What can be read of a damaged file comes last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Final, Protocol, TypeVar
from uuid import UUID

import psycopg

from api.collector.async_spool import AsyncSpool
from api.collector.brief import brief
from api.collector.deadline import in_time
from api.collector.judge_again import judge_again
from api.collector.poison import find_poison
from api.collector.probe import check_writable
from api.collector.rules import RuleBook
from api.collector.spool import InDoubt, Spool, SpoolBroken, SpoolFull, StoredEntry
from api.collector.unstorable import keep_unstorable
from database.intake import Committed, NoOpenSegment, PositionMoved, StaleRules
from database.intake_batch import Intake, decode_intake
from database.intake_rules import StoredRules

log = logging.getLogger("sluice.collector")

_IDLE_SECONDS: Final = 1.0
_TRANSACTION_BYTES: Final = 1_000_000
# Pause for so many times as long as a transaction took: while live intake is busy, it keeps more
# than 80 % of its rate (benchmarks/outage.py); while it is not, there is no reason to wait.
_PAUSES_WHEN_BUSY: Final = 3.0
_PAUSES_WHEN_IDLE: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 5.0
# As in a group commit: every new site that live intake notes changes the rules.
_MOST_JUDGEMENTS: Final = 10


Result = TypeVar("Result")


class Connection(Protocol):
    """What a replay needs of the buffer."""

    async def commit(self, intake: Intake) -> Committed:
        """Write an intake."""

    async def commit_replayed(
        self, intake: Intake, *, spool_id: UUID, after: int, number: int, rules_version: int | None
    ) -> Committed:
        """Write an intake and move the spool's position; raises PositionMoved or StaleRules."""

    async def read_rules(self) -> StoredRules:
        """The rules of now."""

    async def replayed_through(self, spool_id: UUID) -> int:
        """The spool's position."""

    async def was_committed(self, *, writer_id: int, transaction_id: int) -> bool | None:
        """What became of a transaction; None while it is under way."""

    async def try_rows(self, rows: list[bytes]) -> None:
        """Raise what a commit would; keep nothing."""

    def abort(self) -> None:
        """Make the call under way fail."""

    async def close(self) -> None:
        """Hang up."""


class StillUnderWay(TimeoutError):
    """The transaction that may have written the next entry has not ended."""


# What another attempt may not meet. All else is the entry's own fault.
_TRANSIENT: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,  # read-only
    psycopg.ProgrammingError,  # a migration that is still to come
    OSError,
    TimeoutError,
    NoOpenSegment,
    PositionMoved,
    StaleRules,
    SpoolBroken,
    SpoolFull,
    StillUnderWay,
)


class SpoolReplay:
    """Empties the spool while PostgreSQL takes events."""

    def __init__(
        self,
        spool: AsyncSpool,
        connect: Callable[[], Coroutine[object, object, Connection]],
        *,
        rule_book: RuleBook,
        timeout_seconds: float,
        is_failing: Callable[[], bool],
        is_busy: Callable[[], bool],
    ) -> None:
        """What live intake knows: whether PostgreSQL fails, and whether anybody waits for it."""
        self._spool = spool
        self._connect = connect
        self._rule_book = rule_book
        self._timeout_seconds = timeout_seconds
        self._is_failing = is_failing
        self._is_busy = is_busy
        self._connection: Connection | None = None
        self._position: tuple[UUID, int] | None = None
        self._leads = False
        self._task: asyncio.Task[None] | None = None
        self.error: str | None = None
        """Why the last attempt failed; None when it did not."""

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._task = asyncio.create_task(self._run(), name="replay")

    async def close(self) -> None:
        """Break off, wherever it is: the next process goes on from there."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=_CLOSE_SECONDS)
        await self._disconnect()

    async def _run(self) -> None:
        while True:
            try:
                pause = await self._step()
            except Exception as exc:  # whatever it is, it is tried again
                self._note(exc)
                await self._disconnect()
                pause = _IDLE_SECONDS * random.uniform(0.75, 1.25)  # noqa: S311
            await asyncio.sleep(pause)

    async def _step(self) -> float:
        """Replay one transaction's worth; how many seconds to wait before the next."""
        if self._is_failing():
            return _IDLE_SECONDS
        if not self._leads and not await self._take_lead():
            return _IDLE_SECONDS
        entries = await self._spool.run(lambda spool: spool.first(max_bytes=_TRANSACTION_BYTES))
        if not entries:
            self.error = None
            if await self._spool.run(Spool.rescue):
                return 0
            await self._disconnect()
            return _IDLE_SECONDS
        began = time.monotonic()
        await self._replay(leading_run(entries))
        self.error = None
        took = time.monotonic() - began
        pauses = _PAUSES_WHEN_BUSY if self._is_busy() else _PAUSES_WHEN_IDLE
        return min(_LONGEST_PAUSE_SECONDS, took * pauses)

    async def _take_lead(self) -> bool:
        if not await self._spool.run(Spool.try_lock_replay):
            return False
        again = await self._spool.run(Spool.take_back_set_aside)
        if again:
            log.info("entries that were set aside are tried again", extra={"entries": again})
        self._leads = True
        return True

    async def _replay(self, run: Sequence[StoredEntry]) -> None:
        """Write entries that go together, unless they are written; then forget them."""
        spool_id, last = run[0].spool_id, run[-1].number
        position = await self._read_position(spool_id)
        unwritten = [stored for stored in run if stored.number > position]
        if unwritten and not await self._is_written(unwritten[0].entry.in_doubt):
            await self._write(unwritten)
        await self._spool.run(lambda spool: spool.forget_through(last, spool_id=spool_id))

    async def _read_position(self, spool_id: UUID) -> int:
        if self._position is None or self._position[0] != spool_id:
            connection = await self._connected()
            number = await self._in_time(connection.replayed_through(spool_id))
            self._position = spool_id, number
        return self._position[1]

    async def _is_written(self, doubt: InDoubt | None) -> bool:
        if doubt is None:
            return False
        connection = await self._connected()
        written = await self._in_time(
            connection.was_committed(writer_id=doubt.writer_id, transaction_id=doubt.transaction_id)
        )
        if written is None:
            raise StillUnderWay("a transaction that may have written it has not ended")
        return written

    async def _write(self, run: Sequence[StoredEntry]) -> None:
        """Write entries in one transaction; each alone when there is something wrong with one."""
        try:
            intake = merge(run)
            await self._commit(intake, run[-1])
        except _TRANSIENT:
            raise
        except Exception as exc:
            if len(run) > 1:
                for stored in run:
                    await self._write([stored])
            else:
                await self._write_what_can_be(run[0], exc)
        else:
            log.info(
                "replayed from the spool",
                extra={"entries": len(run), "events": len(intake.rows), "through": run[-1].number},
            )

    async def _write_what_can_be(self, stored: StoredEntry, cause: Exception) -> None:
        """Write an entry without the rows that PostgreSQL refuses; set it aside if that fails."""
        connection = await self._connected()
        # If a row that nothing is wrong with is refused as well, the entry is not to blame.
        await check_writable(connection, timeout_seconds=self._timeout_seconds)
        try:
            intake = merge([stored])
            poison = await find_poison(intake.rows, self._try_rows)
            if not poison:
                raise cause
            await self._commit(keep_unstorable(intake, poison), stored)
        except _TRANSIENT:
            raise
        except Exception as exc:
            reason = f"{type(exc).__name__}: {brief(exc)}"
            await self._spool.run(lambda spool: spool.set_aside(stored, reason=reason))
            log.critical(
                "an entry of the spool cannot be written and was set aside",
                extra={"number": stored.number, "events": stored.entry.events, "error": reason},
            )

    async def _commit(self, intake: Intake, last: StoredEntry) -> None:
        """Write what the rules in force make of an intake."""
        connection = await self._connected()
        position = await self._read_position(last.spool_id)
        for _ in range(_MOST_JUDGEMENTS):
            rules = self._rule_book.rules
            # An entry may hold tens of thousands of rows, and letters, each a long read.
            judged = await asyncio.to_thread(judge_again, intake, rules)
            commit = connection.commit_replayed(
                judged,
                spool_id=last.spool_id,
                after=position,
                number=last.number,
                rules_version=rules.version,
            )
            try:
                await self._in_time(commit)
                break
            except StaleRules:
                self._rule_book.learn(await self._in_time(connection.read_rules()))
        else:
            raise StaleRules
        self._position = last.spool_id, last.number

    async def _try_rows(self, rows: list[bytes]) -> None:
        connection = await self._connected()
        await self._in_time(connection.try_rows(rows))

    async def _in_time(self, work: Coroutine[object, object, Result]) -> Result:
        return await in_time(work, seconds=self._timeout_seconds, line=self._connection)

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = await self._in_time(self._connect())
        return self._connection

    async def _disconnect(self) -> None:
        """Hang up; what is known of the position goes with the line that told it."""
        connection, self._connection, self._position = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close()

    def _note(self, exc: Exception) -> None:
        error = brief(exc)
        if error != self.error:
            log.warning("replay waits", extra={"error": error})
        self.error = error


def leading_run(entries: Sequence[StoredEntry]) -> Sequence[StoredEntry]:
    """The first entries that may share a transaction: one with a doubt, or damaged, goes alone."""
    for number, stored in enumerate(entries):
        if stored.entry.in_doubt is not None or not stored.is_intact:
            return entries[: max(1, number)]
    return entries


def merge(run: Sequence[StoredEntry]) -> Intake:
    """What some entries hold together; raises ValueError when one is not what was appended."""
    merged = Intake(rows=[], counts={}, letters=[], sites=[], links=[], replayed_letters=[])
    for stored in run:
        if not stored.is_intact:
            raise ValueError("its bytes have changed on the disk")
        merged.extend(decode_intake(stored.entry.body))
    return merged
