"""Tell what was noted: to the log, a webhook, by e-mail.

In order: read what is due, tell it, note that it was told. A crash between the last two tells it
once more, under the same id, by which a receiver knows it. What fails is tried again, later each
time, for three days; then it is given up, and the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine

from core.clock import Clock
from database.alerts import close_notices, due_notices, postpone_notices
from exporter.alerts.notice import Channel, Kind
from exporter.backoff import retry_after

log = logging.getLogger("sluice.alerts")

FIRST_RETRY: Final = timedelta(seconds=10)
LONGEST_RETRY: Final = timedelta(hours=1)
GIVE_UP_AFTER: Final = timedelta(days=3)
MOST_AT_ONCE: Final = 50
_LOGGED: Final = ("alert_id", "condition", "subject", "remedy", "begun_at", "ended_at")


class NotTold(Exception):
    """It did not get through; the message says why, and holds no secret."""


@dataclass(frozen=True, slots=True)
class DueNotice:
    """What is to be told now."""

    notice_id: UUID
    body: Mapping[str, Any]


Tell = Callable[[Sequence[DueNotice]], None]
"""Raises NotTold."""


def tell_due(
    engine: Engine, channel: Channel, tell: Tell, *, clock: Clock, at_once: int = MOST_AT_ONCE
) -> None:
    """Tell a channel what is due: `at_once` notices in one go, until one fails or none is left."""
    with engine.connect() as connection:
        while rows := due_notices(connection, channel, now=clock(), most=at_once):
            connection.rollback()
            ids = [row.notice_id for row in rows]
            try:
                tell([DueNotice(row.notice_id, row.body) for row in rows])
            except Exception as exc:
                # NotTold, or a mistake of ours: neither may keep the others from being told.
                error = str(exc) if isinstance(exc, NotTold) else type(exc).__name__
                now = clock()
                late = [r.notice_id for r in rows if now - r.made_at >= GIVE_UP_AFTER]
                log.warning(
                    "an alert could not be told",
                    extra={"channel": str(channel), "error": error, "given_up": len(late)},
                )
                if late:
                    close_notices(connection, late, is_told=False, error=error, now=now)
                attempts = max(row.attempts for row in rows)
                again = now + retry_after(attempts, first=FIRST_RETRY, longest=LONGEST_RETRY)
                postpone_notices(connection, ids, error=error, next_attempt_at=again)
                return
            close_notices(connection, ids, is_told=True, error=None, now=clock())


def tell_log(notices: Sequence[DueNotice]) -> None:
    """A line each: a warning while something is wrong, a notice when it is over."""
    for notice in notices:
        is_over, data = notice.body["type"] == Kind.ENDED, notice.body["data"]
        log.log(
            logging.INFO if is_over else logging.WARNING,
            "alert",
            # Not under its own name: a log record has a message already.
            extra={"kind": notice.body["type"], "what": data["message"]}
            | {name: data[name] for name in _LOGGED},
        )
