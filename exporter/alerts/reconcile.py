"""What has changed since the last look: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from exporter.alerts.find import ALL_SITES, Alert

TELL_AGAIN: Final = timedelta(days=1)
CALM: Final = timedelta(minutes=5)
"""An alert is over when it has not been found for so long: what comes and goes is told once."""


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """One that was told, and is not over."""

    alert_id: UUID
    condition: str
    subject: str
    begun_at: datetime
    told_at: datetime
    found_at: datetime
    """When it last held."""

    @property
    def name(self) -> tuple[str, str]:
        """What tells it from others."""
        return (self.condition, self.subject)


@dataclass(frozen=True, slots=True)
class Changes:
    """What there is to note, and to tell."""

    begun: list[Alert] = field(default_factory=list)
    held: list[tuple[OpenAlert, Alert]] = field(default_factory=list)
    """Still there; nothing to tell."""
    told_again: list[tuple[OpenAlert, Alert]] = field(default_factory=list)
    over: list[OpenAlert] = field(default_factory=list)
    folded: list[OpenAlert] = field(default_factory=list)
    """Now part of one for all sites: closed without a word."""


def compare(known: Sequence[OpenAlert], found: Sequence[Alert], *, now: datetime) -> Changes:
    """Hold what is found against what was told."""
    changes = Changes()
    by_name = {alert.name: alert for alert in found}
    folds = {alert.condition for alert in found if alert.subject == ALL_SITES}
    for one in known:
        alert = by_name.pop(one.name, None)
        if alert is not None:
            again = now - one.told_at >= TELL_AGAIN
            (changes.told_again if again else changes.held).append((one, alert))
        elif one.condition in folds:
            changes.folded.append(one)
        elif now - one.found_at >= CALM:
            changes.over.append(one)
    changes.begun.extend(by_name.values())
    return changes
