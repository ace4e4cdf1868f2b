"""Group commit: all requests that wait while one transaction runs share the next.

Order of effects, and what a crash after each leaves behind:

1. A request's rows wait in memory, unacknowledged. (Gone: nobody was promised anything.)
2. One transaction writes the rows and counts of every waiting request. (Written, and not told:
   the sender repeats it, the exporter drops the repeat by its ids.)
3. Only after its commit are its ids remembered, so that a repeat that comes soon takes no row
   (`recent_ids.py`), and is any of them answered. (Not remembered: a repeat takes a row.) They are
   forgotten where PostgreSQL was away, and kept of one incarnation of a database only.

A transaction in which PostgreSQL refuses a row is split in half, and again, until the event that
it refuses stands alone. One whose events were judged by rules that have changed meanwhile is
judged again first. Any other failure (away, read-only, full, slower than the timeout) is not
for senders to wait out. Then, where there is a spool:

2. The group is appended to the spool and fsynced, with the number of its transaction, whose
   outcome may be unknown; one fsync for all that wait. (In the spool, and not told: as above.)
3. They are answered, as if PostgreSQL had them.
4. What comes next goes to the spool at once, until a probe on a connection of its own finds that
   PostgreSQL takes rows again. `spool_replay.py` writes what the spool holds.

Without a spool, or with a full one, nothing is acknowledged: the sender keeps it and comes again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import psycopg

from api.collector.acceptance import Acceptance
from api.collector.async_spool import AsyncSpool
from api.collector.brief import brief
from api.collector.deadline import in_time
from api.collector.intake_of import intake_of
from api.collector.judge_again import is_much, settle
from api.collector.poison import find_poison
from api.collector.probe import until_writable
from api.collector.recent_ids import RecentIds
from api.collector.rules import RuleBook
from api.collector.spool import InDoubt, Spool, SpoolEntry
from api.collector.waiting import Done, QueueFull, Waiting, WaitingQueue, answer
from core.refusal import RefusalReason, Refused
from database.intake import Committed, StaleRules
from database.intake_batch import Intake
from database.intake_rules import StoredRules
from database.letter import MAX_LETTERS, letter_of_row
from database.row import event_id_of

__all__ = ["BufferUnavailable", "Failing", "GroupCommit", "QueueFull"]

log = logging.getLogger("sluice.collector")

_PROBE_SECONDS: Final = 3.0
# Those who have just been answered ask again within this, where they ask one thing after another;
# of fewer it makes no fuller transaction.
_GATHER_SECONDS: Final = 0.002
_FEWEST_GATHERED: Final = 4
# One append to the spool: large enough for one fsync, small enough for its log.
_MOST_APPEND_BYTES: Final = 16_000_000
# A server that takes a probe and then hangs with the next group costs that group the timeout.
_SLOW_AGAIN_SECONDS: Final = 60.0
_LONGEST_WAIT_SECONDS: Final = 30.0
# Each time the rules have changed between reading them and the commit: somebody changes them in a
# loop, and the senders had better come back.
_MOST_JUDGEMENTS: Final = 10


@dataclass(frozen=True, slots=True)
class Failing:
    """What does not work, and since when by the monotonic clock."""

    since: float
    error: str


class BufferUnavailable(Exception):
    """Neither PostgreSQL nor a spool took it: nothing is acknowledged; send it again."""


class Connection(Protocol):
    """What a group commit needs of the buffer."""

    writer_id: int
    incarnation: int
    """Of the database, since its PostgreSQL started: no other has the same."""
    transaction_id: int | None
    """Of the transaction under way, or of the last one."""

    async def commit(
        self,
        intake: Intake,
        *,
        rules_version: int | None = None,
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
        spool: AsyncSpool | None = None,
        recent_ids: RecentIds | None = None,
    ) -> None:
        """Without a rule book what was accepted is written, whatever the rules are by then; without
        recent ids every repeat is."""
        self._connect = connect
        self._rule_book = rule_book
        self._commit_timeout_seconds = commit_timeout_seconds
        self._spool = spool
        self._recent_ids = recent_ids
        self._waiting = WaitingQueue(max_bytes=max_queue_bytes, max_group_bytes=max_commit_bytes)
        self._work = asyncio.Event()
        self._wanted = 1
        """How many have to wait before there is work."""
        self._connection: Connection | None = None
        self._was_connected = False
        self._task: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._works_since = -_SLOW_AGAIN_SECONDS
        self._probe_wait_seconds = 0.0
        self._commits_now = False
        self._closing = False
        self._in_doubt: InDoubt | None = None
        """The transaction whose commit has just failed, which may have been one nevertheless."""
        self.failing: Failing | None = None
        """Since when, and why, nothing can be committed; None while it can."""
        self.refusing: Failing | None = None
        """Since when, and why, nothing is acknowledged; None while events are taken in."""

    @property
    def is_busy(self) -> bool:
        """Whether anybody waits for a commit, or for the one under way."""
        return self._commits_now or bool(self._waiting)

    def start(self) -> None:
        """Begin to commit, in the running event loop."""
        self._task = asyncio.create_task(self._run(), name="group commit")
        self._task.add_done_callback(_end_with)

    async def close(self) -> None:
        """Commit what waits, or spool it, then stop."""
        self._closing = True
        self._work.set()
        if self._task is not None:
            await self._task
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait({self._probing})
        await self._disconnect()

    async def commit(self, acceptance: Acceptance) -> None:
        """Return once the acceptance is durable; its refusals may have grown by then.

        Raises BufferUnavailable or QueueFull, and then nothing of it may be acknowledged.
        """
        committed = asyncio.get_running_loop().create_future()
        self.enter(acceptance, partial(_settle_future, committed))
        await committed

    def enter(self, acceptance: Acceptance, done: Done) -> None:
        """Line up: `done` is called when the acceptance is durable, be it now.

        Or with a BufferUnavailable or a QueueFull, which `commit` raises.
        """
        if self._closing:
            done(BufferUnavailable("shutting down"))
        elif not (acceptance.accepted or acceptance.refused):
            # Nothing to make durable: whether something could be is known without asking.
            done(BufferUnavailable(self.refusing.error) if self.refusing else None)
        else:
            try:
                self._waiting.add(acceptance, done)
            except QueueFull as exc:
                done(exc)
            else:
                if self._is_enough:
                    self._work.set()

    async def _run(self) -> None:
        while not (self._closing and not self._waiting):
            try:
                # Without senders nobody would learn that the fault is over.
                patience = _PROBE_SECONDS if self.failing and self._spool is None else None
                await asyncio.wait_for(self._work.wait(), patience)
            except TimeoutError:
                await self._commit_group([])
            self._work.clear()
            self._commits_now = True
            while self._waiting:
                if self.failing and self._spool is not None:
                    groups = self._waiting.take_groups(most_bytes=_MOST_APPEND_BYTES)
                    await self._spool_groups(groups)
                else:
                    group = self._waiting.take_group()
                    await self._commit_group(group)
                    await self._gather(len(group))
            self._commits_now = False

    @property
    def _is_enough(self) -> bool:
        return len(self._waiting) >= self._wanted or self._waiting.fills_group

    async def _gather(self, answered: int) -> None:
        """Give as many as have just been answered a moment to be there for the next transaction.

        Else they fall into two halves that take turns, each with a transaction of its own.
        """
        if answered < _FEWEST_GATHERED or self.failing or self._closing:
            return
        self._wanted = answered
        if not self._is_enough:
            self._work.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._work.wait(), _GATHER_SECONDS)
        self._wanted = 1

    async def _commit_group(self, group: list[Waiting]) -> None:
        """Commit and answer a group; split it where PostgreSQL refuses a row of it."""
        if self.failing and self._spool is not None:  # since the first half of a split group
            await self._spool_groups([group])
            return
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
            answer(group)

    async def _commit_without_poison(self, waiting: Waiting, cause: psycopg.Error) -> None:
        """Refuse the events that PostgreSQL refuses, each alone, and commit the rest."""
        acceptance = waiting.acceptance
        try:
            rows = [event.row for event in acceptance.accepted]
            poison = await find_poison(rows, self._try_rows)
            if not poison:
                raise cause  # no row is to blame: the schema does not fit this collector
            _refuse_poison(acceptance, poison)
        except Exception as exc:
            await self._fail([waiting], exc)
            return
        await self._commit_group([waiting])

    async def _fail(self, group: list[Waiting], exc: Exception) -> None:
        """Have the spool take the group; without one, answer it, and who would wait as long."""
        is_slow = isinstance(exc, TimeoutError | psycopg.errors.QueryCanceled)
        if is_slow and self._spool is None:
            group = [*group, *self._waiting.take_all()]
        log.warning("group commit failed", extra={"requests": len(group), "error": brief(exc)})
        in_doubt, self._in_doubt = self._in_doubt, None
        await self._disconnect()
        self._note_failure(exc)
        if self._spool is None:
            self._refuse(group, exc)
            return
        self._start_probing(is_slow=is_slow)
        if group:
            await self._spool_groups([group], in_doubt=in_doubt)

    async def _spool_groups(
        self, groups: list[list[Waiting]], *, in_doubt: InDoubt | None = None
    ) -> None:
        """Have the spool take groups, an entry each, and answer them."""
        assert self._spool is not None
        everybody = [waiting for group in groups for waiting in group]
        try:
            # With a row for every repeat: until it is in PostgreSQL much may become of the first.
            intakes = [(await self._judged([w.acceptance for w in group]))[0] for group in groups]
            await self._spool.run(lambda spool: _append(spool, intakes, in_doubt))
        except Exception as exc:  # whatever it is, the senders get an answer
            log.warning("spooling failed", extra={"requests": len(everybody), "error": brief(exc)})
            self._refuse(everybody, exc)
        else:
            self.refusing = None
            answer(everybody)

    def _refuse(self, group: list[Waiting], exc: Exception) -> None:
        """Tell senders that nothing of theirs is kept."""
        since = self.refusing.since if self.refusing else time.monotonic()
        self.refusing = Failing(since, brief(exc))
        answer(group, BufferUnavailable(brief(exc)))

    def _note_failure(self, exc: Exception) -> None:
        since = self.failing.since if self.failing else time.monotonic()
        self.failing = Failing(since, brief(exc))

    def _note_success(self) -> None:
        if self.failing is not None:
            self._works_since = time.monotonic()
        self.failing = self.refusing = None

    def _start_probing(self, *, is_slow: bool) -> None:
        if self._probing is not None and not self._probing.done():
            return
        was_slow_lately = time.monotonic() - self._works_since < _SLOW_AGAIN_SECONDS
        longer = min(_LONGEST_WAIT_SECONDS, 2 * self._probe_wait_seconds or 1.0)
        self._probe_wait_seconds = longer if is_slow and was_slow_lately else 0.0
        self._probing = asyncio.create_task(self._probe(), name="probe")

    async def _probe(self) -> None:
        connection = await until_writable(
            self._connect,
            timeout_seconds=self._commit_timeout_seconds,
            first_wait_seconds=self._probe_wait_seconds,
            told=self._note_failure,
        )
        self._take_up(connection)
        log.info("PostgreSQL takes events again")
        self._note_success()

    async def _write(self, group: list[Acceptance]) -> None:
        self._in_doubt = None
        connection = await self._connected()
        for _ in range(_MOST_JUDGEMENTS):
            intake, version = await self._judged(group, stored=self._recent_ids)
            before = connection.transaction_id
            try:
                await in_time(
                    connection.commit(intake, rules_version=version),
                    seconds=self._commit_timeout_seconds,
                    line=connection,
                )
                break
            except StaleRules:
                await self._learn_rules(connection)
            except Exception:
                self._in_doubt = _in_doubt(connection, before)
                raise
        else:
            raise StaleRules
        self._note_success()
        if self._recent_ids is not None:
            self._recent_ids.add(map(event_id_of, intake.rows))
        if group:
            log.info("Bulk inserted %d events", len(intake.rows), extra={"requests": len(group)})

    async def _judged(
        self, group: list[Acceptance], *, stored: RecentIds | None = None
    ) -> tuple[Intake, int | None]:
        """What is to be written by the newest rules that are known, and their version."""
        if self._rule_book is None:
            return intake_of(group, stored=stored), None
        rules = self._rule_book.rules
        if is_much(group, rules):
            await asyncio.to_thread(settle, group, rules)
        else:
            settle(group, rules)
        return intake_of(group, rules.sites, stored=stored), rules.version

    async def _learn_rules(self, connection: Connection) -> None:
        if self._rule_book is not None:
            stored = await in_time(
                connection.read_rules(), seconds=self._commit_timeout_seconds, line=connection
            )
            self._rule_book.learn(stored)

    async def _try_rows(self, rows: list[bytes]) -> None:
        connection = await self._connected()
        await in_time(
            connection.try_rows(rows), seconds=self._commit_timeout_seconds, line=connection
        )

    async def _connected(self) -> Connection:
        if self._connection is not None:
            return self._connection
        connection = await in_time(self._connect(), seconds=self._commit_timeout_seconds, line=None)
        self._take_up(connection)
        return connection

    def _take_up(self, connection: Connection) -> None:
        self._connection = connection
        if self._recent_ids is None:
            return
        if self._was_connected:
            # PostgreSQL was away: it may have come back with an older state.
            self._recent_ids.forget()
        self._was_connected = True
        self._recent_ids.keep_of(connection.incarnation)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close()


def _settle_future(committed: asyncio.Future[None], exc: Exception | None) -> None:
    if committed.done():
        return  # a sender that hung up no longer listens
    if exc is None:
        committed.set_result(None)
    else:
        committed.set_exception(exc)


def _append(spool: Spool, intakes: Iterable[Intake], in_doubt: InDoubt | None) -> None:
    """Encode and append; in a thread, since both take their time."""
    spool.append([SpoolEntry(intake.encode(), len(intake.rows), in_doubt) for intake in intakes])


def _in_doubt(connection: Connection, before: int | None) -> InDoubt | None:
    """The transaction under way, if it came so far as to have a number other than the last one's.

    With that one's, which was committed, a replay would take events for written that are not.
    """
    number = connection.transaction_id
    if number is None or number == before:
        return None
    return InDoubt(connection.writer_id, number)


def _refuse_poison(acceptance: Acceptance, poison: Mapping[int, str]) -> None:
    """Turn accepted events into refusals, each with a dead letter as far as there is room."""
    events, reason = acceptance.accepted, RefusalReason.UNSTORABLE
    acceptance.accepted = [e for number, e in enumerate(events) if number not in poison]
    for number, why in poison.items():
        event, message = events[number], f"PostgreSQL refused it: {why}"
        acceptance.refuse(Refused(reason, message, index=event.place, site_id=event.site_id))
        if len(acceptance.letters) < MAX_LETTERS:
            acceptance.letters.append(letter_of_row(event.row, reason=reason, message=message))


def _end_with(task: asyncio.Task[None]) -> None:
    """Without the task nobody would ever be answered again: end, and be started anew."""
    if not task.cancelled() and (exc := task.exception()) is not None:
        log.critical("group commit died", exc_info=exc)
        os._exit(1)
