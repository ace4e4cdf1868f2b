"""What is told: the same for every channel."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from exporter.alerts.find import Alert
from exporter.alerts.reconcile import OpenAlert
from exporter.alerts.settings import AlertSettings, mail_recipients


class Kind(StrEnum):
    """What became of an alert."""

    BEGUN = "alert.begun"
    CONTINUES = "alert.continues"
    ENDED = "alert.ended"
    TEST = "alert.test"
    """Sent by hand, to see whether it gets through."""


class Channel(StrEnum):
    """Who is told."""

    LOG = "log"
    WEBHOOK = "webhook"
    EMAIL = "email"


def channels_of(settings: AlertSettings) -> list[Channel]:
    """The log always, the others where they are set up."""
    channels = [Channel.LOG]
    if settings.alert_webhook_url:
        channels.append(Channel.WEBHOOK)
    if mail_recipients(settings):
        channels.append(Channel.EMAIL)
    return channels


def notice_body(
    kind: Kind,
    alert_id: UUID,
    alert: Alert | OpenAlert,
    *,
    client_id: str,
    begun_at: datetime,
    now: datetime,
) -> dict[str, Any]:
    """As it is posted: counts, and names of sinks, sites and folders; nothing of any event."""
    is_over = kind is Kind.ENDED
    return {
        "type": str(kind),
        "timestamp": now.isoformat(timespec="seconds"),
        "data": {
            "alert_id": str(alert_id),
            "client_id": client_id,
            "condition": str(alert.condition),
            "subject": alert.subject,
            "message": _message(alert),
            "remedy": "" if isinstance(alert, OpenAlert) else alert.remedy,
            "begun_at": begun_at.isoformat(timespec="seconds"),
            "ended_at": now.isoformat(timespec="seconds") if is_over else None,
        },
    }


def _message(alert: Alert | OpenAlert) -> str:
    if isinstance(alert, OpenAlert):
        about = f" of {alert.subject}" if alert.subject else ""
        return f"It is over: {alert.condition}{about}."
    return alert.message


def trial_body(*, client_id: str, now: datetime) -> dict[str, Any]:
    """A message of the same form about nothing."""
    moment = now.isoformat(timespec="seconds")
    return {
        "type": str(Kind.TEST),
        "timestamp": moment,
        "data": {
            "alert_id": None,
            "client_id": client_id,
            "condition": "test",
            "subject": "",
            "message": "Somebody looks whether alerts get through: this one did.",
            "remedy": "",
            "begun_at": moment,
            "ended_at": moment,
        },
    }
