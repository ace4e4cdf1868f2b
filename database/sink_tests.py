"""The exporter's SQL: tests of sinks that were asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

_NEXT = text("""
SELECT test_id, sink FROM sink_tests WHERE finished_at IS NULL ORDER BY requested_at LIMIT 1
""")
_BEGIN = text("""
UPDATE sink_tests SET started_at = clock_timestamp(), steps = '[]' WHERE test_id = :test_id
""")
_NOTE = text("""
UPDATE sink_tests SET steps = CAST(:steps AS jsonb),
  finished_at = CASE WHEN :is_finished THEN clock_timestamp() END
WHERE test_id = :test_id
""")


def next_test(connection: Connection) -> tuple[UUID, str] | None:
    """The oldest test that is not finished, one that a crash has interrupted too."""
    row = connection.execute(_NEXT).one_or_none()
    return (row[0], row[1]) if row else None


def begin_test(connection: Connection, test_id: UUID) -> None:
    """Note that it is under way, from its first step on."""
    with connection.begin():
        connection.execute(_BEGIN, {"test_id": test_id})


def note_steps(
    connection: Connection,
    test_id: UUID,
    steps: Sequence[Mapping[str, Any]],
    *,
    is_finished: bool,
) -> None:
    """Keep what the steps taken so far came to."""
    with connection.begin():
        connection.execute(
            _NOTE,
            {"test_id": test_id, "steps": json.dumps(list(steps)), "is_finished": is_finished},
        )
