"""What the doctor asks PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

_SERVER = text("""
SELECT current_setting('server_version_num')::int / 10000 AS major,
  current_setting('server_version') AS version,
  current_setting('fsync') AS fsync,
  current_setting('full_page_writes') AS full_page_writes,
  clock_timestamp() AS now
""")
_HAS_TABLE = text("SELECT to_regclass(:name) IS NOT NULL")
_MIGRATION = text("SELECT version_num FROM alembic_version")
_SILENCE = text("SELECT clock_timestamp() - last_seen_at FROM exporter_state")
_HAS_RECEIPTS = text("SELECT EXISTS (SELECT FROM receipts)")


@dataclass(frozen=True, slots=True)
class Server:
    """PostgreSQL as it runs."""

    major: int
    version: str
    fsync: str
    full_page_writes: str
    now: datetime


def read_server(connection: Connection) -> Server:
    """Version, promises and clock."""
    return Server(*connection.execute(_SERVER).one())


def read_migration(connection: Connection) -> str | None:
    """The newest migration that the database has had; None for none."""
    if not connection.execute(_HAS_TABLE, {"name": "alembic_version"}).scalar_one():
        return None
    found: str | None = connection.execute(_MIGRATION).scalar()
    return found


def read_silence(connection: Connection) -> timedelta | None:
    """For how long the exporter has not been heard of; None when there never was one."""
    found: timedelta | None = connection.execute(_SILENCE).scalar()
    return found


def has_receipts(connection: Connection) -> bool:
    """Whether a key has signed for this buffer before."""
    return bool(connection.execute(_HAS_RECEIPTS).scalar_one())
