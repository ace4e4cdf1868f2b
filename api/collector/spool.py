"""The spool: a durable local queue for what PostgreSQL cannot take just now.

One SQLite file in a folder, shared by every collector process of a host. `append` returns when
the entries are fsynced; they come out in the order of their numbers, and stay until they are
forgotten. Numbers only rise, also after the spool was emptied or brought back from a backup: what
was replayed is told by the last number. File and write-ahead log together stay within `max_bytes`.

Calls block; they may come from any thread and any process.
"""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Self, TypeVar
from uuid import UUID

from api.collector import spool_entries
from api.collector.spool_entries import InDoubt, Place, SpoolEntry, StoredEntry
from api.collector.spool_errors import (
    SpoolBroken,
    SpoolDamaged,
    SpoolFull,
    is_damage,
    translated,
)
from api.collector.spool_file import (
    MAX_WAL_BYTES,
    SpoolFile,
    count_damaged,
    find_damaged,
    note_rescue,
    sync_folder,
)
from api.collector.spool_lock import FileLock, UseLock
from api.collector.spool_rescue import Rescue, Rescued
from api.collector.spool_room import SpoolRoom
from core.clock import Clock, utc_now

__all__ = [
    "InDoubt",
    "Spool",
    "SpoolBroken",
    "SpoolEntry",
    "SpoolFull",
    "SpoolStatus",
    "StoredEntry",
]

_FEW_PAGES: Final = 64
_MOST_FAILED_RESCUES: Final = 60
"""The replay tries once a second: an error that passes is waited out for a minute."""
_READER_SECONDS: Final = 0.1
"""How long an append without room waits for somebody who reads; everybody else waits for it."""

log = logging.getLogger("sluice.collector")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """How much waits, since when, and how long there will be room."""

    entries: int
    events: int
    bytes: int
    oldest_appended_at: datetime | None
    max_bytes: int
    room_bytes: int
    """What still fits, by the bound and by the disk."""
    seconds_until_full: float | None
    """By the rate since the outage began; None while nothing is appended."""
    set_aside_entries: int
    """Entries that could not be replayed and are kept for a person to look at."""
    damaged_files: int
    """Files that were set aside and of which something is missing still."""


class Spool:
    """The queue in one folder."""

    def __init__(self, folder: Path, *, max_bytes: int, min_free_bytes: int, clock: Clock) -> None:
        """See `open`."""
        self._folder = folder
        self._room = SpoolRoom(folder, max_bytes=max_bytes, min_free_bytes=min_free_bytes)
        self._clock = clock
        self._mutex = threading.Lock()
        self._write = FileLock(folder / "write.lock")
        self._use = UseLock(folder)
        self._replay = FileLock(folder / "replay.lock")
        self._file: SpoolFile | None = None
        self._rescue: Rescue | None = None
        self._failed_rescues = 0

    @classmethod
    def open(
        cls, folder: Path, *, max_bytes: int, min_free_bytes: int, clock: Clock = utc_now
    ) -> Self:
        """Open the spool of a folder, made with mode 0700; a damaged file is set aside, and kept.

        Raises SpoolFull or SpoolBroken.
        """
        with translated(folder):
            if not folder.exists():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_folder(folder.parent)
            spool = cls(folder, max_bytes=max_bytes, min_free_bytes=min_free_bytes, clock=clock)
        try:
            spool._perform(lambda file: file)
        except BaseException:
            spool.close()
            raise
        return spool

    @property
    def spool_id(self) -> UUID:
        """The random id of the file in use; another one only after damage."""
        return self._perform(lambda file: file.spool_id)

    def append(self, entries: Sequence[SpoolEntry]) -> None:
        """Keep all of the entries, or none; they are on the disk when this returns.

        Raises SpoolFull or SpoolBroken.
        """
        if entries:
            self._perform(lambda file: self._append(file, entries), writing=True)

    def first(self, *, max_bytes: int) -> list[StoredEntry]:
        """The oldest entries, in order; together no larger than the limit, but for the first."""
        return self._perform(
            lambda file: list(
                spool_entries.read_first(
                    file.connection, spool_id=file.spool_id, max_bytes=max_bytes
                )
            )
        )

    def forget_through(self, number: int, *, spool_id: UUID) -> None:
        """Let go of every entry up to the number; harmless to repeat.

        Numbers are those of one file: when the spool has another by now, nothing is forgotten.
        """
        self._perform(lambda file: self._forget(file, number, spool_id), writing=True)

    def set_aside(self, stored: StoredEntry, *, reason: str) -> None:
        """Take an entry out of the queue that cannot be replayed, and keep it."""
        self._perform(lambda file: self._set_aside(file, stored, reason), writing=True)

    def take_back_set_aside(self) -> int:
        """Queue again what was set aside: another release may know what to do with it."""
        return self._perform(self._take_back, writing=True)

    def rescue(self) -> bool:
        """Queue again some of what can be read of a damaged file; False when there is none.

        At its end the folder is called `rescued-…`, or `unreadable-…` when something is missing.
        For the one process that replays, one call at a time. Raises SpoolFull or SpoolBroken.
        """
        if self._rescue is None:
            folder = find_damaged(self._folder)
            if folder is None:
                return False
            after = self._perform(
                lambda file: spool_entries.rescued_through(file.connection, folder.name)
            )
            gives_up = self._failed_rescues >= _MOST_FAILED_RESCUES
            self._rescue = Rescue(folder, after=after, gives_up=gives_up)
        batch = self._read_on(self._rescue)
        try:
            if batch:
                self._queue_again(self._rescue, batch)
            else:
                self._end_rescue(self._rescue)
        except SpoolFull:
            raise  # what was read is kept
        except BaseException:
            self._drop_rescue()
            raise
        return True

    def status(self) -> SpoolStatus:
        """What `/health` says of it; a few reads, however much is in it."""
        return self._perform(self._status)

    def try_lock_replay(self) -> bool:
        """Become the one process that replays, until `close` or death; whether it worked."""
        return self._replay.try_exclusive()

    def close(self) -> None:
        """Let go of file and locks; what is in the spool stays."""
        self._drop_rescue()
        with self._mutex:
            if self._file is not None:
                self._file.close()
            self._file = None
            for lock in (self._write, self._use, self._replay):
                lock.close()

    def _append(
        self,
        file: SpoolFile,
        entries: Sequence[SpoolEntry],
        *,
        rescued: tuple[str, Place] | None = None,
    ) -> None:
        if not self._room.is_there(file, entries):
            file.empty_wal(wait_seconds=_READER_SECONDS)
        elif file.wal_bytes > 2 * MAX_WAL_BYTES:
            file.empty_wal(wait_seconds=0)
        with file.transaction() as connection:
            if not self._room.is_there(file, entries):
                raise SpoolFull("the spool has reached its limit, or the disk its floor")
            spool_entries.append(connection, entries, now=self._clock().timestamp())
            if rescued:
                spool_entries.note_rescued(connection, *rescued)

    def _read_on(self, rescue: Rescue) -> Sequence[Rescued]:
        try:
            with translated(self._folder):
                batch = rescue.next_batch()
        except BaseException as exc:
            self._drop_rescue()
            self._failed_rescues += not isinstance(exc, SpoolFull)
            raise
        self._failed_rescues = 0
        return batch

    def _queue_again(self, rescue: Rescue, batch: Sequence[Rescued]) -> None:
        def append(many: int) -> None:
            chosen = [rescued.entry for rescued in batch[:many]]
            noted = rescue.folder.name, batch[many - 1].place
            self._perform(lambda file: self._append(file, chosen, rescued=noted), writing=True)
            rescue.take(many)

        try:
            append(len(batch))
        except SpoolFull:
            if len(batch) == 1:
                raise
            append(1)

    def _end_rescue(self, rescue: Rescue) -> None:
        self._drop_rescue()
        with translated(self._folder):
            kept = note_rescue(rescue.folder, is_complete=rescue.is_complete)
        log.critical(
            "what can be read of a damaged spool is queued again",
            extra={"entries": rescue.found, "all": rescue.is_complete, "kept_in": kept.name},
        )
        self._perform(lambda file: self._forget_rescue(file, rescue.folder.name), writing=True)

    def _forget_rescue(self, file: SpoolFile, folder: str) -> None:
        with file.transaction() as connection:
            spool_entries.forget_rescue(connection, folder)

    def _drop_rescue(self) -> None:
        if self._rescue is not None:
            self._rescue.close()
        self._rescue = None

    def _forget(self, file: SpoolFile, number: int, spool_id: UUID) -> None:
        if file.spool_id != spool_id:
            return
        with file.transaction() as connection:
            spool_entries.delete(connection, 0, number)
        self._give_back(file)

    def _set_aside(self, file: SpoolFile, stored: StoredEntry, reason: str) -> None:
        if file.spool_id != stored.spool_id:
            return
        with file.transaction() as connection:
            now = self._clock().timestamp()
            spool_entries.set_aside(connection, stored.number, reason=reason, now=now)

    def _take_back(self, file: SpoolFile) -> int:
        through, taken = spool_entries.last_set_aside(file.connection), 0
        while True:
            with file.transaction() as connection:
                now = self._clock().timestamp()
                if not spool_entries.take_back(connection, through=through, now=now):
                    return taken
            taken += 1

    def _give_back(self, file: SpoolFile) -> None:
        """Shrink the file when nothing is left in it; freed pages are used again until then."""
        pages, free = file.pragma("page_count"), file.pragma("freelist_count")
        if pages - free > _FEW_PAGES:
            return
        with suppress(sqlite3.OperationalError):  # somebody reads: the next time will do
            if free > _FEW_PAGES:
                file.connection.execute("VACUUM")
            file.empty_wal()

    def _status(self, file: SpoolFile) -> SpoolStatus:
        totals = spool_entries.read_totals(file.connection)
        room, rate = self._room.left_bytes(file), totals.bytes_a_second(self._clock().timestamp())
        oldest = totals.oldest_appended_at
        return SpoolStatus(
            entries=totals.entries,
            events=totals.events,
            bytes=totals.bytes,
            oldest_appended_at=spool_entries.moment(oldest) if oldest is not None else None,
            max_bytes=self._room.max_bytes,
            room_bytes=room,
            seconds_until_full=room / rate if rate else None,
            set_aside_entries=totals.set_aside,
            damaged_files=count_damaged(self._folder),
        )

    def _perform(self, work: Callable[[SpoolFile], Result], *, writing: bool = False) -> Result:
        """Do the work with the file in use; once more with a new one if this one is damaged."""
        with self._mutex, translated(self._folder):
            try:
                return self._attempt(work, writing=writing)
            except (sqlite3.Error, SpoolDamaged, UnicodeDecodeError) as exc:
                if self._file is None or not is_damage(exc):
                    raise
                with self._use.alone():
                    if self._file.has_its_name:  # else another process was faster
                        self._file.set_aside(exc)
            return self._attempt(work, writing=writing)

    def _attempt(self, work: Callable[[SpoolFile], Result], *, writing: bool) -> Result:
        with self._use.shared():
            if self._file is None or not self._file.is_usable:
                self._open_file()
            assert self._file is not None
            with self._write.held(fcntl.LOCK_EX) if writing else nullcontext():
                return work(self._file)

    def _open_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        with self._write.held(fcntl.LOCK_EX):
            self._file = SpoolFile(self._folder, max_file_bytes=self._room.max_file_bytes)
            self._file.begin(now=self._clock().timestamp())
