"""The spool's file: how it is opened, told to be damaged, and set aside.

One SQLite file is shared by every collector process of a host. Whoever uses it holds a lock file
shared, whoever moves a damaged one away holds it exclusively: nothing is ever appended to a file
that was moved. Whoever writes or opens it holds another one, so that all have their turn.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from api.collector.spool_entries import (
    CREATE_ENTRIES,
    CREATE_ENTRIES_SET_ASIDE,
    CREATE_RESCUES,
    CREATE_TOTALS,
    skip_numbers,
)
from api.collector.spool_errors import SpoolBroken, SpoolDamaged, error_code
from api.collector.spool_lock import BUSY_SECONDS
from api.collector.spool_log import has_lost

log = logging.getLogger("sluice.collector")

PAGE_BYTES: Final = 16_384
"""100 kB entries: 2,650 a second, against 2,270 with pages of 4 kB (measured, one SSD)."""
_PAGE_SIZES: Final = frozenset(512 << n for n in range(8))
MAX_WAL_BYTES: Final = 8_000_000
"""The log is written back beyond this; larger, one append in many waits longer for it."""
_IN_USE: Final = "current"
_OLDER: Final = "older"
_FILE_NAME: Final = "spool.sqlite3"
_DAMAGED: Final = "damaged-"
_RESCUED: Final = "rescued-"
_LOST: Final = "unreadable-"
_FORMAT: Final = 1

_SCHEMA: Final = (CREATE_ENTRIES, CREATE_ENTRIES_SET_ASIDE, CREATE_TOTALS)


class SpoolFile:
    """A connection to the file that has the name now; a new one when there is none."""

    def __init__(self, folder: Path, *, max_file_bytes: int) -> None:
        """Connect; `begin` before any use. Under the lock for writing."""
        self._folder = folder
        self._home = _made_home(folder)
        self.path = self._home / _FILE_NAME
        self._log = self._home / f"{_FILE_NAME}-wal"
        self._max_file_bytes = max_file_bytes
        self.connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        # A body whose head was damaged may pass for text.
        self.connection.text_factory = bytes
        status = self.path.stat()
        self._inode = status.st_ino
        # Cut to nothing, or removed: SQLite would delete the log that stands there still.
        self._lacks_its_file = not status.st_size and self.wal_bytes > 0
        self._has_begun = False

    def begin(self, *, now: float) -> None:
        """Set it up; raises SpoolDamaged or what `is_damage` knows when it cannot be used."""
        if self._lacks_its_file:
            raise SpoolDamaged("there is a log, and not the file that it belongs to")
        # Before SQLite looks: it would lay what it can read over what may be newer in the file.
        if log_has_lost(self.path):
            raise SpoolDamaged("its log breaks off before what was acknowledged")
        self._configure()
        try:
            self.spool_id = self._identify(now)
        except sqlite3.OperationalError as exc:
            # Its head may say so, of a file that can be written.
            if error_code(exc) == sqlite3.SQLITE_READONLY and os.access(self.path, os.W_OK):
                raise SpoolDamaged("it says that it may not be written") from exc
            raise
        # A file that somebody mended may have pages of another size.
        self.page_bytes = self.pragma("page_size")
        self.pragma(f"max_page_count = {self._max_file_bytes // self.page_bytes}")
        # Now that file and log exist: their names are to survive a power cut, too.
        sync_folder(self._home)
        sync_folder(self._folder)
        self._has_begun = True

    @property
    def is_usable(self) -> bool:
        """Whether it was set up, and has not been moved since."""
        return self._has_begun and self.has_its_name

    @property
    def has_its_name(self) -> bool:
        """Whether the name still belongs to this file: another process may have begun anew."""
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    @property
    def wal_bytes(self) -> int:
        """What the write-ahead log takes up."""
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def pragma(self, name: str) -> int:
        """A number that SQLite tells, or is told."""
        value: int = self.connection.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write; durable when the block is left, undone when it raises."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            # After a full disk SQLite has rolled back by itself.
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def empty_wal(self, *, wait_seconds: float = BUSY_SECONDS) -> None:
        """Write the log back and cut it to nothing, unless a reader needs it for longer."""
        self.pragma(f"busy_timeout = {int(wait_seconds * 1_000)}")
        try:
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            self.pragma(f"busy_timeout = {int(BUSY_SECONDS * 1_000)}")

    def set_aside(self, cause: Exception) -> None:
        """Keep file and log, as they are, under another name; under the exclusive lock.

        One rename of the folder that they stand in: whoever is killed has moved both, or neither.
        Closed only afterwards: SQLite leaves the log of a file alone that has lost its name.
        """
        aside = self._folder / f"{_DAMAGED}{_stamp()}"
        self._home.rename(aside)
        sync_folder(self._folder)
        self.close()
        log.critical(
            "the spool's file is damaged: set aside, and a new one begun",
            extra={"kept_in": aside.name, "error": str(cause)},
        )

    def close(self) -> None:
        """Let go of the file."""
        with suppress(sqlite3.Error):
            self.connection.close()

    def _configure(self) -> None:
        execute = self.connection.execute
        execute(f"PRAGMA page_size = {PAGE_BYTES}")
        mode = execute("PRAGMA journal_mode = WAL").fetchone()[0]
        execute("PRAGMA synchronous = FULL")  # fsync at each commit
        execute("PRAGMA fullfsync = ON")  # what it takes on macOS
        wal_bytes = min(MAX_WAL_BYTES, self._max_file_bytes // 8)
        execute(f"PRAGMA wal_autocheckpoint = {max(1, wal_bytes // PAGE_BYTES)}")
        execute(f"PRAGMA journal_size_limit = {wal_bytes}")
        # Freed pages are cut off with the file; writing zeros over them first doubles the work.
        execute("PRAGMA secure_delete = FAST")
        execute("PRAGMA temp_store = MEMORY")
        if mode != b"wal" or self.pragma("synchronous") != 2:
            raise SpoolBroken("SQLite does not fsync here: it has no write-ahead log")

    def _identify(self, now: float) -> UUID:
        with self.transaction() as connection:
            found = self.pragma("user_version")
            if found == 0 and not self.pragma("schema_version"):  # nobody wrote here before
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(
                    "INSERT INTO spool (singleton, spool_id) VALUES (1, ?)", [str(uuid4())]
                )
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
            elif found != _FORMAT:
                raise SpoolDamaged(f"format {found} is not known here")
            connection.execute(CREATE_RESCUES)  # which older releases did not have
            skip_numbers(connection, now=now)
            row = connection.execute("SELECT spool_id FROM spool").fetchone()
            try:
                return UUID(row[0].decode())
            except (TypeError, ValueError, AttributeError) as exc:
                raise SpoolDamaged("its id is none") from exc


def _made_home(folder: Path) -> Path:
    """The folder of the file in use.

    An older release kept its file beside it. That becomes the one in use where there is none; where
    there is, since the older release was run again meanwhile, it is rescued as a damaged one is.
    """
    home = folder / _IN_USE
    if (older := _gathered(folder)) is not None:
        if home.exists():
            older.rename(folder / f"{_DAMAGED}{_stamp()}")
        else:
            older.rename(home)
        sync_folder(folder)
    home.mkdir(mode=0o700, exist_ok=True)
    return home


def _gathered(folder: Path) -> Path | None:
    """A folder of what an older release kept, once file and log are in it; None without any."""
    gathered = folder / _OLDER
    # The file last: a move that is broken off is gone on with.
    for ending in ("-shm", "-wal", ""):
        old = folder / f"{_FILE_NAME}{ending}"
        if old.exists():
            gathered.mkdir(mode=0o700, exist_ok=True)
            old.rename(gathered / old.name)
            sync_folder(gathered)
            sync_folder(folder)
    return gathered if gathered.exists() else None


def _stamp() -> str:
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid4().hex[:8]}"


def find_damaged(folder: Path) -> Path | None:
    """The folder of a file that was set aside and not looked into yet."""
    return min(folder.glob(f"{_DAMAGED}*"), default=None)


def count_damaged(folder: Path) -> int:
    """How many files were set aside of which something is missing still."""
    return sum(1 for _ in folder.glob(f"{_DAMAGED}*")) + sum(1 for _ in folder.glob(f"{_LOST}*"))


def log_has_lost(path: Path) -> bool:
    """Whether the log beside a file hides what was acknowledged; under the lock for writing."""
    with path.open("rb") as file:
        file.seek(16)
        told = int.from_bytes(file.read(2))
    page_bytes = 65_536 if told == 1 else told
    if page_bytes not in _PAGE_SIZES:
        page_bytes = PAGE_BYTES  # its head is damaged
    return has_lost(path.with_name(f"{path.name}-wal"), page_bytes=page_bytes)


def file_in(folder: Path) -> Path:
    """The spool's file in a folder."""
    return folder / _FILE_NAME


def note_rescue(folder: Path, *, is_complete: bool) -> Path:
    """Name a damaged file's folder after what came of it; nothing in it is deleted."""
    name = folder.name.removeprefix(_DAMAGED)
    noted = folder.rename(folder.with_name(f"{_RESCUED if is_complete else _LOST}{name}"))
    sync_folder(folder.parent)
    return noted


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
