"""The exporter's SQL: deduplication, deliveries, and what the exporter says of itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from core.receipt import digest_receipt
from database.circuits import note_failure, note_success, probe_now
from database.lag import ROWS_OF_SEGMENT
from database.planned_objects import settle_objects
from database.recording_counts import settle_chunks
from database.tables import segment_table

_ROWS_AT_A_TIME = 100_000


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """A segment that a sink waits for."""

    segment_id: int
    sink: str
    opened_at: datetime
    sealed_at: datetime
    attempts: int
    previous_manifest: str | None


@dataclass(frozen=True, slots=True)
class HourCount:
    """One line of a segment's ledger, its writers added up."""

    site_id: str
    hour: datetime
    event_type: str
    outcome: str
    events: int
    bytes: int


_STORE_IDS = text("""
INSERT INTO segment_event_ids (segment_id, chunk, event_ids)
VALUES (:segment_id, :chunk, :event_ids)
""")
_STORE_DUPLICATES = text("""
INSERT INTO segment_duplicates (segment_id, row_number)
SELECT :segment_id, unnest(CAST(:row_numbers AS bigint[]))
""")
# Only these rows are looked at, by their places: nothing moves in a sealed segment. Of 10,000 and
# more PostgreSQL would rather read the whole table, for each piece again.
_BY_PLACES = text("SET LOCAL enable_seqscan = off")
_COUNT_DUPLICATES = """
WITH counted AS (
  SELECT site_id, date_trunc('hour', received_at, 'UTC') AS hour, event_type, count(*) AS events
  FROM {table} WHERE ctid = ANY(CAST(:ctids AS tid[])) GROUP BY 1, 2, 3
), added AS (
  INSERT INTO ledger
    (segment_id, writer_id, site_id, received_hour, event_type, outcome, events, bytes)
  SELECT :segment_id, 0, site_id, hour, event_type, 'duplicate', events, 0 FROM counted
  ON CONFLICT (segment_id, writer_id, site_id, received_hour, event_type, outcome)
  DO UPDATE SET events = ledger.events + excluded.events
)
SELECT coalesce(sum(events), 0)::bigint FROM counted
"""
_ROWS_BY_LEDGER = text(
    f"SELECT ({ROWS_OF_SEGMENT}) FROM segments WHERE segment_id = :segment_id"  # noqa: S608
)
_MARK_DEDUPLICATED = text("""
UPDATE segments SET state = 'deduplicated' WHERE segment_id = :segment_id AND state = 'sealed'
""")
# The window is counted back from the oldest segment that is still to be decided, not from now:
# after a long outage the backlog needs the ids that were young when it was sealed.
_FORGET_IDS = text("""
DELETE FROM segment_event_ids USING segments
WHERE segments.segment_id = segment_event_ids.segment_id
  AND segments.sealed_at < coalesce(
    (SELECT min(sealed_at) FROM segments WHERE state = 'sealed'), now()
  ) - CAST(:window AS interval)
  AND segments.state IN ('exported', 'dropped')
""")
_LIST_IDS = text("""
SELECT DISTINCT segment_id, sealed_at
FROM segment_event_ids JOIN segments USING (segment_id)
WHERE sealed_at >= coalesce(
  (SELECT min(sealed_at) FROM segments WHERE state = 'sealed'), now()
) - CAST(:window AS interval)
ORDER BY segment_id
""")
_READ_IDS = text("""
SELECT event_ids FROM segment_event_ids WHERE segment_id = :segment_id AND chunk = :chunk
""")
_READ_DUPLICATES = text("""
SELECT row_number FROM segment_duplicates
WHERE segment_id = :segment_id AND row_number > :after ORDER BY row_number LIMIT :limit
""")
_READ_STACK_ID = text("SELECT stack_id FROM stack")
_READ_LEDGER = text("""
SELECT site_id, received_hour, event_type, outcome, sum(events)::bigint, sum(bytes)::bigint
FROM ledger WHERE segment_id = :segment_id GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
""")
# Strictly in order: the first segment that a sink has not got, if its time has come.
_NEXT_DELIVERY = text("""
SELECT d.segment_id, d.sink, s.opened_at, s.sealed_at, d.attempts, (
    SELECT p.manifest_key FROM deliveries AS p
    WHERE p.sink = d.sink AND p.state = 'delivered' AND p.segment_id < d.segment_id
    ORDER BY p.segment_id DESC LIMIT 1)
FROM deliveries AS d JOIN segments AS s USING (segment_id) JOIN sinks AS k USING (sink)
WHERE d.segment_id = (
    SELECT min(segment_id) FROM deliveries WHERE sink = :sink AND state <> 'delivered')
  AND d.sink = :sink AND d.state <> 'delivered' AND s.state = 'deduplicated'
  AND CASE k.circuit WHEN 'closed' THEN d.next_attempt_at <= now()
    WHEN 'open' THEN k.probe_at <= now() ELSE false END
""")
_BEGIN_ATTEMPT = text("""
UPDATE deliveries SET started_at = now(), attempts = attempts + 1,
  -- A stopped sink that is tried again stays stopped, and health red, until it works.
  state = CASE state WHEN 'stopped' THEN state ELSE 'running' END
WHERE segment_id = :segment_id AND sink = :sink AND state <> 'delivered'
""")
_MARK_DELIVERED = text("""
UPDATE deliveries SET state = 'delivered', delivered_at = now(), last_error = NULL,
  rows = :rows, bytes = :bytes, objects = :objects, manifest_key = :manifest_key
WHERE segment_id = :segment_id AND sink = :sink
""")
_STORE_RECEIPT = text("""
INSERT INTO receipts (segment_id, body, sha256) VALUES (:segment_id, :body, :sha256)
ON CONFLICT (segment_id) DO NOTHING
""")
_LAST_RECEIPT = text("""
SELECT sha256 FROM receipts WHERE segment_id < :segment_id ORDER BY segment_id DESC LIMIT 1
""")
_NEXT_RECEIPT = text("""
SELECT d.segment_id, r.body, d.manifest_key
FROM deliveries AS d JOIN receipts AS r USING (segment_id)
WHERE d.sink = :sink AND d.state = 'delivered' AND d.receipt_at IS NULL
ORDER BY d.segment_id LIMIT 1
""")
_MARK_RECEIPT = text("""
UPDATE deliveries SET receipt_at = now() WHERE segment_id = :segment_id AND sink = :sink
""")
_LOCK_SINK = text("SELECT FROM sinks WHERE sink = :sink FOR NO KEY UPDATE")
# The server may still have the delivery in hand for a connection of ours that is gone. Whoever
# waits for it in vain raises sqlalchemy.exc.OperationalError, and is tried again.
_PATIENCE = text("SET LOCAL lock_timeout = '10s'")
_MARK_FAILED = text("""
UPDATE deliveries SET state = :state, last_error = :error,
  next_attempt_at = now() + CAST(:wait AS interval)
WHERE segment_id = :segment_id AND sink = :sink AND state <> 'delivered'
""")
_RESUME = text("""
UPDATE deliveries SET state = 'pending', next_attempt_at = now()
WHERE state IN ('pending', 'stopped') OR (state = 'running' AND :interrupted)
""")
_SAY_STATE = text("""
INSERT INTO exporter_state (singleton, started_at, last_seen_at, next_seal_at, config, seen)
VALUES (true, :started_at, now(), :next_seal_at, CAST(:config AS jsonb), CAST(:seen AS jsonb))
ON CONFLICT (singleton) DO UPDATE SET started_at = excluded.started_at,
  last_seen_at = excluded.last_seen_at, next_seal_at = excluded.next_seal_at,
  config = excluded.config, seen = excluded.seen
""")


def store_deduplication(
    connection: Connection,
    segment_id: int,
    *,
    rows: int,
    id_chunks: Iterable[bytes],
    duplicate_rows: Iterable[tuple[Sequence[int], Sequence[str]]],
    window: timedelta,
) -> bool:
    """Keep what was found out about a sealed segment, and count it, all or nothing.

    False when it was decided before: what was found out this time counts for nothing.
    `duplicate_rows` are pieces of row numbers, ascending, and the rows' `ctid`s as text. Raises
    RuntimeError when `rows`, of which this was found out, are not all that are there: a row that
    was missed would shift the numbers of those behind it.
    """
    with connection.begin():
        if connection.execute(_MARK_DEDUPLICATED, {"segment_id": segment_id}).rowcount != 1:
            return False
        _check_rows(connection, segment_id, rows)
        for chunk, event_ids in enumerate(id_chunks):
            connection.execute(
                _STORE_IDS, {"segment_id": segment_id, "chunk": chunk, "event_ids": event_ids}
            )
        connection.execute(_BY_PLACES)
        count = text(_COUNT_DUPLICATES.format(table=segment_table(segment_id)))
        for numbers, ctids in duplicate_rows:
            connection.execute(
                _STORE_DUPLICATES, {"segment_id": segment_id, "row_numbers": numbers}
            )
            counted = connection.execute(
                count, {"segment_id": segment_id, "ctids": ctids}
            ).scalar_one()
            if counted != len(numbers):
                raise RuntimeError(f"{len(numbers)} duplicates were found, {counted} counted")
        connection.execute(_FORGET_IDS, {"window": window})
    return True


def _check_rows(connection: Connection, segment_id: int, rows: int) -> None:
    """Raise RuntimeError unless the segment has so many; counted only where the ledger disagrees.

    What a wrong ledger comes to is told when the segment is delivered.
    """
    if connection.execute(_ROWS_BY_LEDGER, {"segment_id": segment_id}).scalar_one() == rows:
        return
    count = text(f"SELECT count(*) FROM {segment_table(segment_id)}")  # noqa: S608 - a number
    there = connection.execute(count).scalar_one()
    if there != rows:
        raise RuntimeError(f"{rows} rows of segment {segment_id} were read, {there} are there")


def list_decided_segments(connection: Connection, window: timedelta) -> list[tuple[int, datetime]]:
    """(segment_id, sealed_at) of every segment within the window whose ids are stored."""
    return [(row[0], row[1]) for row in connection.execute(_LIST_IDS, {"window": window})]


def read_event_ids(connection: Connection, segment_id: int) -> Iterator[bytes]:
    """The ids that a segment delivers, 16 bytes each, sorted, chunk by chunk."""
    chunk = 0
    while True:
        ids = connection.execute(_READ_IDS, {"segment_id": segment_id, "chunk": chunk}).scalar()
        if ids is None:
            return
        yield ids
        chunk += 1


def read_duplicate_rows(connection: Connection, segment_id: int) -> Iterator[Sequence[int]]:
    """Numbers of the rows that are not to be exported, ascending, in pieces."""
    numbers: Sequence[int] = [-1]
    while True:
        piece = {"segment_id": segment_id, "after": numbers[-1], "limit": _ROWS_AT_A_TIME}
        numbers = connection.execute(_READ_DUPLICATES, piece).scalars().all()
        if not numbers:
            return
        yield numbers


def read_segment_ledger(connection: Connection, segment_id: int) -> list[HourCount]:
    """Everything that the ledger says of a segment."""
    return [HourCount(*row) for row in connection.execute(_READ_LEDGER, {"segment_id": segment_id})]


def read_stack_id(connection: Connection) -> UUID:
    """Who this buffer is, to the buckets."""
    stack_id: UUID = connection.execute(_READ_STACK_ID).scalar_one()
    return stack_id


def next_delivery(connection: Connection, sink: str) -> PendingDelivery | None:
    """The next segment for a sink, oldest first; None while there is none whose time has come."""
    row = connection.execute(_NEXT_DELIVERY, {"sink": sink}).one_or_none()
    return PendingDelivery(*row) if row else None


def begin_attempt(connection: Connection, delivery: PendingDelivery) -> None:
    """Note that a delivery is under way."""
    with connection.begin():
        connection.execute(_PATIENCE)
        connection.execute(_BEGIN_ATTEMPT, _name(delivery))


def mark_delivered(
    connection: Connection,
    delivery: PendingDelivery,
    *,
    rows: int,
    size: int,
    objects: int,
    manifest_key: str,
    keys: Sequence[str],
    receipt: bytes | None = None,
    chunks: Mapping[str, int] | None = None,
) -> None:
    """Note that the sink has the segment, verified and committed by its manifest.

    `keys` are the objects that the manifest lists, `chunks` those of recordings in them, by site,
    where the sink is the client's. With its receipt, which is stored in the same transaction, so
    that it is made once.
    """
    with connection.begin():
        connection.execute(_PATIENCE)
        note_success(connection, delivery.sink, delivery.segment_id)
        settle_objects(connection, delivery.segment_id, delivery.sink, keys)
        settle_chunks(connection, delivery.segment_id, chunks or {})
        if receipt is not None:
            connection.execute(
                _STORE_RECEIPT,
                {
                    "segment_id": delivery.segment_id,
                    "body": receipt,
                    "sha256": digest_receipt(receipt),
                },
            )
        connection.execute(
            _MARK_DELIVERED,
            _name(delivery)
            | {"rows": rows, "bytes": size, "objects": objects, "manifest_key": manifest_key},
        )


def last_receipt(connection: Connection, *, before: int) -> str | None:
    """SHA-256 of the newest receipt of a segment before this one."""
    digest: str | None = connection.execute(_LAST_RECEIPT, {"segment_id": before}).scalar()
    return digest


def next_receipt(connection: Connection, sink: str) -> tuple[int, bytes, str] | None:
    """The oldest segment that a sink has without its receipt, the receipt, the manifest's key."""
    row = connection.execute(_NEXT_RECEIPT, {"sink": sink}).one_or_none()
    return (row[0], bytes(row[1]), row[2]) if row else None


def mark_receipt(connection: Connection, segment_id: int, sink: str) -> None:
    """Note that a sink has a segment's receipt."""
    with connection.begin():
        connection.execute(_MARK_RECEIPT, {"segment_id": segment_id, "sink": sink})


def mark_failed(
    connection: Connection,
    delivery: PendingDelivery,
    *,
    error: str,
    retry_in: timedelta,
    probe_in: timedelta,
    stopped: bool,
) -> None:
    """Note a failure, and when to try again: in `retry_in`, or `probe_in` with an open circuit.

    A stopped sink is one that somebody has to mend. What is delivered stays so: it is, where the
    commit's answer was lost.
    """
    with connection.begin():
        connection.execute(_PATIENCE)
        connection.execute(_LOCK_SINK, {"sink": delivery.sink})  # before its delivery, as others do
        failed = {
            "state": "stopped" if stopped else "pending",
            "error": error,
            "wait": retry_in,
        }
        if connection.execute(_MARK_FAILED, _name(delivery) | failed).rowcount:
            note_failure(
                connection,
                delivery.sink,
                delivery.segment_id,
                error=error,
                is_permanent=stopped,
                probe_in=probe_in,
            )


def resume_deliveries(connection: Connection, *, interrupted: bool) -> None:
    """Try now what waits for another attempt, and at start-up what was interrupted.

    Not those that somebody paused.
    """
    with connection.begin():
        connection.execute(_PATIENCE)
        probe_now(connection)
        connection.execute(_RESUME, {"interrupted": interrupted})


def say_exporter_state(
    connection: Connection,
    *,
    started_at: datetime,
    next_seal_at: datetime,
    config: dict[str, Any],
    seen: dict[str, Any],
) -> None:
    """The heartbeat that `/health` and `/export/status` read.

    `config` is how the exporter runs, `seen` what it sees: the disk, and how far it has come.
    """
    with connection.begin():
        connection.execute(
            _SAY_STATE,
            {
                "started_at": started_at,
                "next_seal_at": next_seal_at,
                "config": json.dumps(config),
                "seen": json.dumps(seen),
            },
        )


def _name(delivery: PendingDelivery) -> dict[str, Any]:
    return {"segment_id": delivery.segment_id, "sink": delivery.sink}
