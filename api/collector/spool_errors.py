"""What can be wrong with the spool, in its own words rather than SQLite's."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FULL_DISK: Final = (errno.ENOSPC, errno.EDQUOT)
# Of a schema or a row that is not what was written SQLite says many things.
_DAMAGE: Final = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
)
_LEAST_DISK_BYTES: Final = 1_000_000


class SpoolFull(Exception):
    """No room: the bound in bytes is reached, the disk is full, or its floor is reached."""


class SpoolBroken(Exception):
    """The spool cannot be written or read; nothing of the call may be acknowledged."""


class SpoolDamaged(SpoolBroken):
    """The file is not what was written; it has to be set aside."""


def error_code(exc: Exception) -> int:
    """SQLite's code for what happened, without its details; 0 for what it did not say."""
    code: int = getattr(exc, "sqlite_errorcode", 0)
    return code & 0xFF


def is_damage(exc: Exception) -> bool:
    """Whether the file is at fault, rather than the disk, a lock or the space."""
    # Python reads SQLite's own words as UTF-8, and a damaged name is in them.
    return isinstance(exc, SpoolDamaged | UnicodeDecodeError) or error_code(exc) in _DAMAGE


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Raise SpoolFull or SpoolBroken for what the system and SQLite raise."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL_DISK:
            raise SpoolFull(exc.strerror) from exc
        raise SpoolBroken(exc.strerror or type(exc).__name__) from exc
    except sqlite3.Error as exc:
        # SQLite says "full" only of its files, not of the memory that it shares through one.
        if error_code(exc) == sqlite3.SQLITE_FULL or _is_full(folder):
            raise SpoolFull(str(exc)) from exc
        raise SpoolBroken(str(exc)) from exc


def free_bytes(folder: Path) -> int:
    """What the disk of a folder still has for us."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _is_full(folder: Path) -> bool:
    try:
        return free_bytes(folder) < _LEAST_DISK_BYTES
    except OSError:
        return False
