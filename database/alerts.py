"""The exporter's SQL: alerts, and the notices of them that somebody still has to be given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, text

KEPT: Final = timedelta(days=30)
"""How long what is over, and what was told, is remembered."""

_OPEN = text("""
SELECT alert_id, condition, subject, begun_at, told_at, found_at FROM alerts
WHERE ended_at IS NULL ORDER BY begun_at
""")
_BEGIN = text("""
INSERT INTO alerts
  (alert_id, condition, subject, message, remedy, begun_at, told_at, found_at)
VALUES (:alert_id, :condition, :subject, :message, :remedy, :now, :now, :now)
""")
_HOLD = text("""
UPDATE alerts SET message = :message, remedy = :remedy, found_at = :now,
  told_at = CASE WHEN :is_told THEN :now ELSE told_at END
WHERE alert_id = :alert_id
""")
_END = text("UPDATE alerts SET ended_at = :now WHERE alert_id = :alert_id")
_NOTE = text("""
INSERT INTO alert_notices (notice_id, alert_id, channel, body, made_at, next_attempt_at)
VALUES (:notice_id, :alert_id, :channel, CAST(:body AS jsonb), :now, :now)
""")
_DUE = text("""
SELECT notice_id, body, attempts, made_at FROM alert_notices
WHERE channel = :channel AND closed_at IS NULL AND next_attempt_at <= :now
ORDER BY made_at, notice_id LIMIT :most
""")
_CLOSE = text("""
UPDATE alert_notices SET closed_at = :now, is_told = :is_told, attempts = attempts + 1,
  last_error = :error
WHERE notice_id = ANY (CAST(:notice_ids AS uuid[]))
""")
_POSTPONE = text("""
UPDATE alert_notices SET attempts = attempts + 1, next_attempt_at = :next_attempt_at,
  last_error = :error
WHERE notice_id = ANY (CAST(:notice_ids AS uuid[]))
""")
_FORGET_NOTICES = text("DELETE FROM alert_notices WHERE made_at < :before")
_FORGET_ALERTS = text("DELETE FROM alerts WHERE ended_at < :before")


@dataclass(frozen=True, slots=True)
class Notice:
    """What one channel is to be told; its id stays the same however often it is tried."""

    notice_id: UUID
    alert_id: UUID
    channel: str
    body: Mapping[str, Any]


def read_open_alerts(connection: Connection) -> list[Row[Any]]:
    """Rows of (alert_id, condition, subject, begun_at, told_at, found_at)."""
    return list(connection.execute(_OPEN))


def begin_alert(
    connection: Connection,
    alert_id: UUID,
    *,
    condition: str,
    subject: str,
    message: str,
    remedy: str,
    now: datetime,
) -> None:
    """Within a transaction: note that something is wrong."""
    connection.execute(
        _BEGIN,
        {
            "alert_id": alert_id,
            "condition": condition,
            "subject": subject,
            "message": message,
            "remedy": remedy,
            "now": now,
        },
    )


def hold_alert(
    connection: Connection,
    alert_id: UUID,
    *,
    message: str,
    remedy: str,
    is_told: bool,
    now: datetime,
) -> None:
    """Within a transaction: note that it still is, and whether that is told again."""
    connection.execute(
        _HOLD,
        {
            "alert_id": alert_id,
            "message": message,
            "remedy": remedy,
            "is_told": is_told,
            "now": now,
        },
    )


def end_alert(connection: Connection, alert_id: UUID, *, now: datetime) -> None:
    """Within a transaction: note that it is over."""
    connection.execute(_END, {"alert_id": alert_id, "now": now})


def note_notices(connection: Connection, notices: Iterable[Notice], *, now: datetime) -> None:
    """Within the transaction that notes what they tell: whoever is to be told, will be."""
    for notice in notices:
        connection.execute(
            _NOTE,
            {
                "notice_id": notice.notice_id,
                "alert_id": notice.alert_id,
                "channel": notice.channel,
                "body": json.dumps(notice.body),
                "now": now,
            },
        )


def due_notices(
    connection: Connection, channel: str, *, now: datetime, most: int
) -> list[Row[Any]]:
    """Rows of (notice_id, body, attempts, made_at) whose time has come, the oldest first."""
    return list(connection.execute(_DUE, {"channel": channel, "now": now, "most": most}))


def close_notices(
    connection: Connection,
    notice_ids: list[UUID],
    *,
    is_told: bool,
    error: str | None,
    now: datetime,
) -> None:
    """Note that they were told, or that nobody is to be told any more."""
    with connection.begin():
        connection.execute(
            _CLOSE, {"notice_ids": notice_ids, "is_told": is_told, "error": error, "now": now}
        )


def postpone_notices(
    connection: Connection, notice_ids: list[UUID], *, error: str, next_attempt_at: datetime
) -> None:
    """Note that it failed, and when to try again."""
    with connection.begin():
        connection.execute(
            _POSTPONE,
            {"notice_ids": notice_ids, "error": error, "next_attempt_at": next_attempt_at},
        )


def forget_alerts(connection: Connection, *, now: datetime) -> None:
    """Within a transaction: forget what is long over."""
    connection.execute(_FORGET_NOTICES, {"before": now - KEPT})
    connection.execute(_FORGET_ALERTS, {"before": now - KEPT})
