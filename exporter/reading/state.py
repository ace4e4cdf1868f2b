"""What a folder has of a bucket: a SQLite file in it, which a killed process cannot tear.

A segment is noted in one transaction, after its objects have reached the disk. Times are stored as
text in UTC with microseconds, so that they compare as they follow each other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from core.manifest import DeliveredObject, Manifest
from exporter.reading.problems import PullError

OWN_FOLDER: Final = "_sluice"
"""Below the folder of a pull; readers of datasets pass over names that begin so."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segments (
  segment_id INTEGER PRIMARY KEY,
  previous INTEGER UNIQUE,  -- the segment before it; null for a stack's first
  opened_at TEXT NOT NULL,
  sealed_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS objects (
  path TEXT PRIMARY KEY,  -- below the folder
  segment_id INTEGER NOT NULL REFERENCES segments,
  dataset TEXT NOT NULL, format TEXT NOT NULL,
  rows INTEGER NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS objects_by_segment ON objects (segment_id);
"""
_RUN_END: Final = """
SELECT min(segment_id) FROM segments AS s WHERE segment_id >= ?
AND NOT EXISTS (SELECT 1 FROM segments AS next WHERE next.previous = s.segment_id)
"""


@dataclass(frozen=True, slots=True)
class PulledObject:
    """A file that a folder has."""

    path: str
    segment_id: int
    format: str


class PullState:
    """The notes of one folder."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def facts(self) -> dict[str, str]:
        """What the folder is a copy of."""
        return dict(self._connection.execute("SELECT name, value FROM facts"))

    def note_facts(self, **facts: str) -> None:
        """Remember them, over what was remembered."""
        with self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items()
            )

    def end_of_run(self, first: int) -> int | None:
        """The last segment that the folder has without a gap from `first` on; None without it."""
        if not self.has(first):
            return None
        (last,) = self._connection.execute(_RUN_END, (first,)).fetchone()
        return int(last)

    def has(self, segment_id: int) -> bool:
        """Whether a segment is here, whole."""
        found = self._connection.execute(
            "SELECT 1 FROM segments WHERE segment_id = ?", (segment_id,)
        )
        return found.fetchone() is not None

    def window_end(self, segment_id: int) -> datetime | None:
        """When a segment that is here was sealed."""
        row = self._connection.execute(
            "SELECT sealed_at FROM segments WHERE segment_id = ?", (segment_id,)
        ).fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    def note_segment(
        self, manifest: Manifest, previous: int | None, objects: list[tuple[str, DeliveredObject]]
    ) -> None:
        """A segment is here, with these files."""
        window = manifest.window
        with self._connection:
            self._connection.execute(
                "INSERT INTO segments VALUES (?, ?, ?, ?)",
                (
                    manifest.segment_id,
                    previous,
                    text_of(window.opened_at),
                    text_of(window.sealed_at),
                ),
            )
            self._connection.executemany(
                "INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (path, manifest.segment_id, o.dataset, o.format, o.rows, o.bytes, o.sha256)
                    for path, o in objects
                ],
            )

    def objects(
        self, dataset: str, *, from_: datetime | None, to: datetime | None
    ) -> Iterator[PulledObject]:
        """The files of a dataset whose segments took in events in [from, to), in order."""
        rows = self._connection.execute(
            "SELECT path, segment_id, format FROM objects JOIN segments USING (segment_id)"
            " WHERE dataset = :dataset AND (:from IS NULL OR sealed_at > :from)"
            " AND (:to IS NULL OR opened_at < :to) ORDER BY segment_id, path",
            {
                "dataset": dataset,
                "from": text_of(from_) if from_ else None,
                "to": text_of(to) if to else None,
            },
        )
        return (PulledObject(*row) for row in rows)


@contextmanager
def writing_state(folder: Path) -> Iterator[PullState]:
    """A folder's notes, for the one process that may write into it. Raises PullError."""
    own = folder / OWN_FOLDER
    own.mkdir(parents=True, exist_ok=True)
    path = own / "pull.sqlite"
    with _explained(path), _locked(own / "pull.lock"), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
        yield PullState(connection)


@contextmanager
def reading_state(folder: Path) -> Iterator[PullState]:
    """A folder's notes, beside a pull too. Raises PullError."""
    path = (folder / OWN_FOLDER / "pull.sqlite").absolute()
    if not path.is_file():
        raise PullError(f"{folder} holds nothing that was pulled: run `sluice pull` first.")
    address = f"{path.as_uri()}?mode=ro"
    with _explained(path), closing(sqlite3.connect(address, uri=True)) as connection:
        yield PullState(connection)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise PullError(
            f"{path} cannot be used: {exc}. Is the disk full, or may it not be written? If neither,"
            " pull into a new folder."
        ) from exc


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """SQLite's own lock: it ends with the process that holds it, on every system."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:  # of an extended code
                raise
            raise PullError(
                f"Another pull is writing into {path.parent.parent}: let it end."
            ) from exc
        yield


def text_of(moment: datetime) -> str:
    """A time as it is stored."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
