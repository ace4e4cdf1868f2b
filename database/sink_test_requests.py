"""What the management routes ask of tests of sinks."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

KEPT_TESTS: Final = 20
"""Of each sink; of more the oldest go."""

_KNOWS = text("""
SELECT EXISTS (SELECT FROM exporter_state, jsonb_array_elements(config -> 'sinks') AS known
  WHERE known ->> 'sink' = :sink)
""")
_REQUEST = text("""
INSERT INTO sink_tests (test_id, sink, requested_at) SELECT :test_id, :sink, clock_timestamp()
WHERE NOT EXISTS (SELECT FROM sink_tests WHERE sink = :sink AND finished_at IS NULL)
""")
_FORGET = text("""
DELETE FROM sink_tests WHERE test_id IN (
  SELECT test_id FROM sink_tests WHERE sink = :sink ORDER BY requested_at DESC OFFSET :kept)
""")
_WAITING = text("""
SELECT test_id FROM sink_tests WHERE sink = :sink AND finished_at IS NULL
ORDER BY requested_at LIMIT 1
""")
_TEST = text("""
SELECT test_id, sink, requested_at, started_at, finished_at, steps FROM sink_tests
WHERE test_id = :test_id AND sink = :sink
""")


async def knows_sink(connection: AsyncConnection, sink: str) -> bool:
    """Whether the exporter that ran last delivers to a sink of this name."""
    return bool((await connection.execute(_KNOWS, {"sink": sink})).scalar_one())


async def request_test(connection: AsyncConnection, sink: str, test_id: UUID) -> UUID:
    """Ask the exporter to examine a sink; a test that waits or is under way is joined."""
    async with connection.begin():
        # Two requests at the same moment must find each other.
        await connection.execute(text("LOCK TABLE sink_tests IN SHARE ROW EXCLUSIVE MODE"))
        await connection.execute(_REQUEST, {"test_id": test_id, "sink": sink})
        await connection.execute(_FORGET, {"sink": sink, "kept": KEPT_TESTS})
        joined: UUID = (await connection.execute(_WAITING, {"sink": sink})).scalar_one()
    return joined


async def read_test(connection: AsyncConnection, sink: str, test_id: UUID) -> Row[Any] | None:
    """A test as far as it has come; None when there is none."""
    found = await connection.execute(_TEST, {"test_id": test_id, "sink": sink})
    return found.one_or_none()
