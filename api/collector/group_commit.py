"""Group commit: all requests that wait while one transaction runs share the next.

Order of effects: a request's rows wait in memory, unacknowledged; one transaction writes the
rows and counts of every waiting request; only after its commit is any of them answered. A crash
before the commit loses only what nobody was promised. A transaction that PostgreSQL refuses is
split in half, and again, until the event that it refuses stands alone. One whose events were
judged by rules that have changed meanwhile is judged again first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import psycopg

from api.collector.acceptance import Acceptance, AcceptedEvent, intake_of
from api.collector.judge_again import settle
from api.collector.poison import find_poison
from api.collector.rules import RuleBook
from core.refusal import RefusalReason, Refused
from database.intake import Committed, NoOpenSegment, StaleRules
from database.intake_batch import Intake
from database.intake_rules import StoredRules
from database.letter import MAX_LETTERS, letter_of_row

log = logging.getLogger("sluice.collector")

# What a refusal weighs: it waits for its count as a row waits for its place.
_REFUSAL_BYTES: Final = 300


Result = TypeVar("Result")
_PROBE_SECONDS: Final = 3.0
_ANSWER_SECONDS: Final = 0.005
# Each time the rules have changed between reading them and the commit: somebody changes them in a
# loop, and the senders had better come back.
_MOST_JUDGEMENTS: Final = 10


@dataclass(frozen=True, slots=True)
class Failing:
    """Why no group can be committed, and since when by the monotonic clock."""

    since: float
    error: str


class BufferUnavailable(Exception):
    """PostgreSQL is away or too slow: nothing of the request is acknowledged; send it again."""


class QueueFull(Exception):
    """More is waiting than the limit allows; send it again later."""


class Connection(Protocol):
    """What a group commit needs of the buffer."""

    async def commit(
        self, intake: Intake, *, rules_version: int | None, when_sent: Callable[[], None]
    ) -> Committed:
        """Write all of it durably, or raise."""

    async def read_rules(self) -> StoredRules:
        """The rules of now."""

    async def try_rows(self, rows: list[bytes]) -> None:
        """Raise what `commit` would; keep nothing."""

    def abort(self) -> None:
        """Make the call under way fail."""

    async def close(self) -> None:
        """Hang up."""


@dataclass(eq=False, slots=True)
class _Waiting:
    acceptance: Acceptance
    row_bytes: int
    done: asyncio.Future[None] = field(default_factory=asyncio.Future)


class GroupCommit:
    """Takes acceptances in, gives control back when they are durable."""

    def __init__(
        self,
        connect: Callable[[], Coroutine[object, object, Connection]],
        *,
        max_queue_bytes: int,
        max_commit_bytes: int,
        commit_timeout_seconds: float,
        rule_book: RuleBook | None = None,
    ) -> None:
        """Without a rule book what was accepted is written, whatever the rules are by then."""
        self._connect = connect
        self._rule_book = rule_book
        self._max_queue_bytes = max_queue_bytes
        self._max_commit_bytes = max_commit_bytes
        self._commit_timeout_seconds = commit_timeout_seconds
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._committed: list[_Waiting] = []
        self._work = asyncio.Event()
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.failing: Failing | None = None
        """Since when, and why, nothing can be committed; None while it can."""

    def start(self) -> None:
        """Begin to commit, in the running event loop."""
        self._task = asyncio.create_task(self._run(), name="group commit")
        self._task.add_done_callback(_end_with)

    async def close(self) -> None:
        """Commit what waits, then stop."""
        self._closing = True
        self._work.set()
        if self._task is not None:
            await self._task
        if self._connection is not None:
            await self._connection.close()

    async def commit(self, acceptance: Acceptance) -> None:
        """Return once the acceptance is durable; its refusals may have grown by then.

        Raises BufferUnavailable or QueueFull, and then nothing of it may be acknowledged.
        """
        if self._closing:
            raise BufferUnavailable("shutting down")
        if not (acceptance.accepted or acceptance.refused):
            # Nothing to make durable: whether something could be is known without asking.
            if self.failing is not None:
                raise BufferUnavailable(self.failing.error)
            return
        row_bytes = acceptance.row_bytes + _REFUSAL_BYTES * len(acceptance.refused)
        if self._waiting and self._waiting_bytes + row_bytes > self._max_queue_bytes:
            raise QueueFull
        waiting = _Waiting(acceptance, row_bytes)
        self._waiting.append(waiting)
        self._waiting_bytes += row_bytes
        self._work.set()
        await waiting.done

    async def _run(self) -> None:
        while not (self._closing and not self._waiting):
            try:
                # Without senders nobody would learn that the fault is over.
                patience = _PROBE_SECONDS if self.failing else None
                await asyncio.wait_for(self._work.wait(), patience)
            except TimeoutError:
                await self._commit_group([])
            self._work.clear()
            while self._waiting:
                await self._commit_group(self._take_group())
            self._answer_committed()

    def _take_group(self) -> list[_Waiting]:
        group = [self._waiting.popleft()]
        size = group[0].row_bytes
        while self._waiting and size + self._waiting[0].row_bytes <= self._max_commit_bytes:
            size += self._waiting[0].row_bytes
            group.append(self._waiting.popleft())
        self._waiting_bytes -= size
        return group

    async def _commit_group(self, group: list[_Waiting]) -> None:
        """Commit and answer a group; split it where PostgreSQL refuses a row of it."""
        try:
            await self._write([waiting.acceptance for waiting in group])
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            if not group:
                await self._fail(group, exc)
            elif len(group) > 1:
                middle = len(group) // 2
                await self._commit_group(group[:middle])
                await self._commit_group(group[middle:])
            else:
                await self._commit_without_poison(group[0], exc)
        except Exception as exc:  # whatever it is, the senders get an answer and intake goes on
            await self._fail(group, exc)
        else:
            self._answer_committed()
            self._committed = group
            if self._waiting:
                # Answers wake their senders, who keep this loop busy: that is to happen while
                # PostgreSQL works on the next rows, but not to wait for it long.
                asyncio.get_running_loop().call_later(_ANSWER_SECONDS, self._answer_committed)
            else:
                self._answer_committed()

    def _answer_committed(self) -> None:
        """Wake the senders of what has been committed."""
        committed, self._committed = self._committed, []
        for waiting in committed:
            if not waiting.done.done():  # a sender that hung up no longer listens
                waiting.done.set_result(None)

    async def _commit_without_poison(self, waiting: _Waiting, cause: psycopg.Error) -> None:
        """Refuse the events that PostgreSQL refuses, each alone, and commit the rest."""
        acceptance = waiting.acceptance
        try:
            poison = await self._find_poison(acceptance.accepted)
            if not poison:
                raise cause  # no row is to blame: the schema does not fit this collector
            _refuse_poison(acceptance, poison)
        except Exception as exc:
            await self._fail([waiting], exc)
            return
        await self._commit_group([waiting])

    async def _fail(self, group: list[_Waiting], exc: Exception) -> None:
        """Answer the group; after a timeout all who wait behind it too, who would wait as long."""
        if isinstance(exc, TimeoutError | psycopg.errors.QueryCanceled):
            group = [*group, *self._waiting]
            self._waiting.clear()
            self._waiting_bytes = 0
        log.warning("group commit failed", extra={"requests": len(group), "error": _brief(exc)})
        since = self.failing.since if self.failing else time.monotonic()
        self.failing = Failing(since, _brief(exc))
        await self._disconnect()
        for waiting in group:
            if not waiting.done.done():
                waiting.done.set_exception(BufferUnavailable(_brief(exc)))

    async def _find_poison(self, events: list[AcceptedEvent]) -> dict[int, str]:
        """Which events PostgreSQL refuses, by trying halves of them without keeping any."""
        connection = await self._connected()

        async def try_rows(rows: list[bytes]) -> None:
            await self._in_time(connection.try_rows(rows))

        found = await find_poison([event.row for event in events], try_rows)
        return {events[number].place: message for number, message in found.items()}

    async def _write(self, group: list[Acceptance]) -> None:
        connection = await self._connected()
        for _ in range(_MOST_JUDGEMENTS):
            intake, version = self._judged(group)
            try:
                await self._in_time(
                    connection.commit(
                        intake, rules_version=version, when_sent=self._answer_committed
                    )
                )
                break
            except StaleRules:
                await self._learn_rules(connection)
        else:
            raise StaleRules
        self.failing = None
        if group:
            log.info("Bulk inserted %d events", len(intake.rows), extra={"requests": len(group)})

    def _judged(self, group: list[Acceptance]) -> tuple[Intake, int | None]:
        """What is to be written by the newest rules that are known, and their version."""
        if self._rule_book is None:
            return intake_of(group), None
        rules = self._rule_book.rules
        settle(group, rules)
        return intake_of(group, rules.sites), rules.version

    async def _learn_rules(self, connection: Connection) -> None:
        if self._rule_book is not None:
            self._rule_book.learn(await self._in_time(connection.read_rules()))

    async def _in_time(self, work: Coroutine[object, object, Result]) -> Result:
        """Bound what a stopped server could hold up for ever: cut the line, do not ask it."""
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait({task}, timeout=self._commit_timeout_seconds)
        if not done:
            if self._connection is not None:
                self._connection.abort()
                await asyncio.wait({task}, timeout=1)
            task.cancel()
            raise TimeoutError("PostgreSQL did not answer in time")
        return await task

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = await self._in_time(self._connect())
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close()


def _refuse_poison(acceptance: Acceptance, poison: Mapping[int, str]) -> None:
    """Turn accepted events into refusals, each with a dead letter as far as there is room."""
    events = [event for event in acceptance.accepted if event.place in poison]
    acceptance.accepted = [e for e in acceptance.accepted if e.place not in poison]
    reason = RefusalReason.UNSTORABLE
    for event in events:
        message = f"PostgreSQL refused it: {poison[event.place]}"
        acceptance.refuse(Refused(reason, message, index=event.place))
        if len(acceptance.letters) < MAX_LETTERS:
            acceptance.letters.append(letter_of_row(event.row, reason=reason, message=message))


def _end_with(task: asyncio.Task[None]) -> None:
    """Without the task nobody would ever be answered again: end, and be started anew."""
    if not task.cancelled() and (exc := task.exception()) is not None:
        log.critical("group commit died", exc_info=exc)
        os._exit(1)


def _brief(exc: BaseException) -> str:
    """An error without the rows that it may quote."""
    if isinstance(exc, psycopg.Error) and exc.diag.message_primary:
        return exc.diag.message_primary
    if isinstance(exc, NoOpenSegment | TimeoutError):
        return str(exc)
    return type(exc).__name__
