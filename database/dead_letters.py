"""The dead letters, as the management routes and a replay ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.event_id import first_id_at
from core.refusal import POLICY_REASONS
from core.version import VERSION

MAX_COUNTED: Final = 100_000
"""Letters that are looked at to count them by reason, the newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which letters are meant; None for any."""

    site_id: str | None = None
    reason: str | None = None
    event_type: str | None = None
    since: datetime | None = None
    """Arrived then or later, to the millisecond."""
    until: datetime | None = None
    """Arrived before."""
    is_replayed: bool | None = None


# Ids are UUIDv7 of the moment of arrival: a time is a place in the primary key.
_MATCHES = """
  (CAST(:site_id AS text) IS NULL OR site_id = :site_id)
  AND (CAST(:reason AS text) IS NULL OR reason = :reason)
  AND (CAST(:event_type AS text) IS NULL OR event_type = :event_type)
  AND (CAST(:first AS uuid) IS NULL OR dead_letter_id >= :first)
  AND (CAST(:end AS uuid) IS NULL OR dead_letter_id < :end)
  AND (CAST(:is_replayed AS boolean) IS NULL OR (replayed_at IS NOT NULL) = :is_replayed)
"""
_COLUMNS = """
  dead_letter_id, arrived_at, received_at, site_id, reason, field, message, event_type, dialect,
  request, payload, payload_bytes, is_cut, user_agent, ip, version, replayed_at
"""
_REPLAYABLE = "replayed_at IS NULL AND NOT is_cut AND payload <> ''"

_LIST = text(f"""
SELECT {_COLUMNS} FROM dead_letters
WHERE {_MATCHES} AND (CAST(:before AS uuid) IS NULL OR dead_letter_id < :before)
ORDER BY dead_letter_id DESC LIMIT :most
""")  # noqa: S608 - constants

_COUNT_BY_REASON = text(f"""
SELECT reason, count(*)::bigint AS letters FROM (
  SELECT reason FROM dead_letters WHERE {_MATCHES} ORDER BY dead_letter_id DESC LIMIT :most
) AS newest GROUP BY reason ORDER BY reason
""")  # noqa: S608

_REPLAYABLE_MATCHING = text(f"""
SELECT {_COLUMNS} FROM dead_letters
WHERE {_MATCHES} AND {_REPLAYABLE}
  AND (CAST(:after AS uuid) IS NULL OR dead_letter_id > :after)
ORDER BY dead_letter_id LIMIT :most
""")  # noqa: S608

_COUNT_REPLAYABLE = text(f"""
SELECT count(*)::bigint FROM dead_letters
WHERE {_MATCHES} AND {_REPLAYABLE}
  AND (CAST(:after AS uuid) IS NULL OR dead_letter_id > :after)
""")  # noqa: S608

_BY_ID = text(f"""
SELECT {_COLUMNS} FROM dead_letters WHERE dead_letter_id = ANY(:ids) ORDER BY dead_letter_id
""")  # noqa: S608

# What is delivered of a sealed segment's letters must not change: the first reason is kept.
_REFUSE_AGAIN = text("""
UPDATE dead_letters AS d SET reason = n.reason, field = n.field, message = n.message,
  version = :version, first_reason = coalesce(d.first_reason, d.reason),
  first_field = CASE WHEN d.first_reason IS NULL THEN d.field ELSE d.first_field END,
  first_message = coalesce(d.first_message, d.message),
  first_version = coalesce(d.first_version, d.version)
FROM unnest(CAST(:ids AS uuid[]), CAST(:reasons AS text[]), CAST(:fields AS text[]),
            CAST(:messages AS text[])) AS n (dead_letter_id, reason, field, message)
WHERE d.dead_letter_id = n.dead_letter_id AND d.replayed_at IS NULL
""")

_NOT_KEPT = text("""
SELECT outcome AS reason, (sum(events) - sum(letters))::bigint AS events FROM (
  SELECT outcome, events, letters FROM ledger
  UNION ALL SELECT outcome, events, letters FROM ledger_totals
) AS counted
WHERE NOT outcome = ANY(:other_outcomes)
GROUP BY outcome HAVING sum(events) > sum(letters) ORDER BY outcome
""")


@dataclass(frozen=True, slots=True)
class RefusedAgain:
    """A letter that a replay did not get in, and why not."""

    dead_letter_id: UUID
    reason: str
    field: str | None
    message: str


async def list_letters(
    connection: AsyncConnection, wanted: LetterFilter, *, before: UUID | None, most: int
) -> list[Row[Any]]:
    """Letters by every column, the newest first; `before` is the last one of the page before."""
    facts = _facts(wanted) | {"before": before, "most": most}
    return list(await connection.execute(_LIST, facts))


async def count_by_reason(connection: AsyncConnection, wanted: LetterFilter) -> dict[str, int]:
    """How many letters match, by reason; of more than MAX_COUNTED the newest."""
    facts = _facts(wanted) | {"most": MAX_COUNTED}
    return {row.reason: row.letters for row in await connection.execute(_COUNT_BY_REASON, facts)}


async def read_replayable(
    connection: AsyncConnection, wanted: LetterFilter, *, after: UUID | None, most: int
) -> list[Row[Any]]:
    """Letters that could be taken in again, the oldest first."""
    facts = _facts(wanted) | {"after": after, "most": most}
    return list(await connection.execute(_REPLAYABLE_MATCHING, facts))


async def count_replayable(
    connection: AsyncConnection, wanted: LetterFilter, *, after: UUID | None
) -> int:
    """How many of them come after one."""
    facts = _facts(wanted) | {"after": after}
    count: int = (await connection.execute(_COUNT_REPLAYABLE, facts)).scalar_one()
    return count


async def read_letters(connection: AsyncConnection, ids: Sequence[UUID]) -> list[Row[Any]]:
    """Letters by their ids, replayed ones too; what is not there is left out."""
    return list(await connection.execute(_BY_ID, {"ids": list(ids)}))


async def refuse_again(connection: AsyncConnection, refused: Sequence[RefusedAgain]) -> None:
    """Note the newest reason on each letter that still waits."""
    async with connection.begin():
        await connection.execute(
            _REFUSE_AGAIN,
            {
                "version": VERSION,
                "ids": [r.dead_letter_id for r in refused],
                "reasons": [r.reason for r in refused],
                "fields": [r.field for r in refused],
                "messages": [r.message for r in refused],
            },
        )


async def read_not_kept(connection: AsyncConnection) -> dict[str, int]:
    """Refused events that no letter was kept of though one should have been, by reason."""
    other = ["accepted", "duplicate", *map(str, POLICY_REASONS)]
    rows = await connection.execute(_NOT_KEPT, {"other_outcomes": other})
    return {row.reason: row.events for row in rows}


def _facts(wanted: LetterFilter) -> dict[str, object]:
    return {
        "site_id": wanted.site_id,
        "reason": wanted.reason,
        "event_type": wanted.event_type,
        "first": first_id_at(wanted.since) if wanted.since else None,
        "end": first_id_at(wanted.until) if wanted.until else None,
        "is_replayed": wanted.is_replayed,
    }
