"""A sink's circuit: closed while its deliveries go through, open when they do not, paused by hand.

An open circuit lets one delivery through now and then, as a probe; when that succeeds it is
closed. It is opened by a failure that somebody has to mend, or by ten failures in the last fifty
attempts. What an attempt came to, and what follows for the circuit, is noted in the transaction
that notes the attempt's outcome: a crash leaves both or neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

WINDOW_ATTEMPTS: Final = 50
MOST_FAILURES: Final = 10

_KNOW = text("""
INSERT INTO sinks (sink) SELECT unnest(CAST(:sinks AS text[])) ON CONFLICT (sink) DO NOTHING
""")
_NOTE = text("""
INSERT INTO delivery_attempts (sink, segment_id, started_at, ended_at, error)
SELECT sink, segment_id, started_at, clock_timestamp(), :error FROM deliveries
WHERE segment_id = :segment_id AND sink = :sink
""")
_TRIM = text("""
DELETE FROM delivery_attempts WHERE sink = :sink AND attempt_id <= (
  SELECT attempt_id FROM delivery_attempts WHERE sink = :sink
  ORDER BY attempt_id DESC OFFSET :window LIMIT 1)
""")
# Attempts before it was last closed or resumed are forgiven.
_OPEN = text("""
UPDATE sinks SET circuit = 'open',
  -- What somebody has to mend is not hidden by a probe that fails otherwise.
  reason = CASE WHEN circuit = 'open' AND NOT :is_permanent THEN reason ELSE :reason END,
  since = CASE circuit WHEN 'open' THEN since ELSE now() END,
  probe_at = clock_timestamp() + CAST(:probe_in AS interval)
WHERE sink = :sink AND circuit <> 'paused' AND (circuit = 'open' OR :is_permanent OR :most <= (
  SELECT count(*) FROM delivery_attempts AS a
  WHERE a.sink = sinks.sink AND a.error IS NOT NULL AND a.ended_at > sinks.since))
""")
_CLOSE = text("""
UPDATE sinks SET circuit = 'closed', reason = NULL, probe_at = NULL, since = clock_timestamp()
WHERE sink = :sink AND circuit = 'open'
""")
_LOCK_SINKS = text("SELECT FROM sinks ORDER BY sink FOR NO KEY UPDATE")
_PROBE_NOW = text("UPDATE sinks SET probe_at = now() WHERE circuit = 'open'")
_IS_PAUSED = text("SELECT circuit = 'paused' FROM sinks WHERE sink = :sink")
_PAUSE = text("""
UPDATE sinks SET circuit = 'paused', reason = :reason, probe_at = NULL,
  since = CASE circuit WHEN 'paused' THEN since ELSE now() END
WHERE sink = :sink RETURNING sink, circuit, since, reason, probe_at
""")
_RESUME = text("""
UPDATE sinks SET circuit = 'closed', reason = NULL, probe_at = NULL, since = clock_timestamp()
WHERE sink = :sink RETURNING sink, circuit, since, reason, probe_at
""")
_RETRY_NOW = text("""
UPDATE deliveries SET next_attempt_at = now(),
  state = CASE state WHEN 'stopped' THEN 'pending' ELSE state END
WHERE sink = :sink AND state IN ('pending', 'stopped')
""")
_CIRCUITS = text("SELECT sink, circuit, since, reason, probe_at FROM sinks ORDER BY sink")


def know_sinks(connection: Connection, sinks: Sequence[str]) -> None:
    """Give each sink a circuit, unless it has one."""
    with connection.begin():
        connection.execute(_KNOW, {"sinks": list(sinks)})


def note_success(connection: Connection, sink: str, segment_id: int) -> None:
    """Within the transaction that notes a delivery."""
    _note(connection, sink, segment_id, error=None)
    connection.execute(_CLOSE, {"sink": sink})


def note_failure(
    connection: Connection,
    sink: str,
    segment_id: int,
    *,
    error: str,
    is_permanent: bool,
    probe_in: timedelta,
) -> None:
    """Within the transaction that notes a failed attempt."""
    _note(connection, sink, segment_id, error=error)
    reason = (
        error
        if is_permanent
        else f"{MOST_FAILURES} of the last {WINDOW_ATTEMPTS} attempts failed, the last: {error}"
    )
    connection.execute(
        _OPEN,
        {
            "sink": sink,
            "reason": reason,
            "is_permanent": is_permanent,
            "probe_in": probe_in,
            "most": MOST_FAILURES,
        },
    )


def probe_now(connection: Connection) -> None:
    """Within a transaction: have every open circuit tried at once.

    Takes every sink's row first: whoever changes many deliveries does so with their sink's in hand,
    since each would take the deliveries in an order of its own.
    """
    connection.execute(_LOCK_SINKS)
    connection.execute(_PROBE_NOW)


def is_paused(connection: Connection, sink: str) -> bool:
    """Whether somebody paused the sink."""
    return bool(connection.execute(_IS_PAUSED, {"sink": sink}).scalar())


async def pause_sink(connection: AsyncConnection, sink: str, reason: str) -> Row[Any] | None:
    """Deliver nothing more to a sink until it is resumed; None when there is no such sink.

    A segment that is under way is delivered to its end.
    """
    async with connection.begin():
        paused = await connection.execute(_PAUSE, {"sink": sink, "reason": reason})
        return paused.one_or_none()


async def resume_sink(connection: AsyncConnection, sink: str) -> Row[Any] | None:
    """Close a sink's circuit, and have what waits tried now; None when there is no such sink."""
    async with connection.begin():
        resumed = (await connection.execute(_RESUME, {"sink": sink})).one_or_none()
        if resumed is not None:
            await connection.execute(_RETRY_NOW, {"sink": sink})
        return resumed


async def read_circuits(connection: AsyncConnection) -> dict[str, Row[Any]]:
    """By sink: circuit, since, reason, probe_at."""
    return {row.sink: row for row in await connection.execute(_CIRCUITS)}


def _note(connection: Connection, sink: str, segment_id: int, *, error: str | None) -> None:
    connection.execute(_NOTE, {"sink": sink, "segment_id": segment_id, "error": error})
    connection.execute(_TRIM, {"sink": sink, "window": WINDOW_ATTEMPTS})
