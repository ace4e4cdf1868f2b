"""Look for what is wrong, and note what there is to tell.

In order: count the hours, read the facts, and in one transaction note which alerts have begun,
hold and are over together with a notice for each channel. A crash before its commit leaves
nothing: the next look finds the same. After it, the notices are there to be told
(`exporter/alerts/tell.py`), each under an id of its own that no retry changes.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from uuid import UUID

from sqlalchemy import Connection, Engine

from core.clock import Clock
from core.event_id import make_event_id
from core.promise import promised_age
from core.refusal import RefusalReason
from database import alert_facts
from database.alerts import (
    Notice,
    begin_alert,
    end_alert,
    forget_alerts,
    hold_alert,
    note_notices,
    read_open_alerts,
)
from exporter.alerts.find import (
    Alert,
    Condition,
    Disk,
    Facts,
    SiteTraffic,
    StoppedSink,
    Thresholds,
    find_alerts,
)
from exporter.alerts.notice import Kind, channels_of, notice_body
from exporter.alerts.reconcile import Changes, OpenAlert, compare
from exporter.deadline import DeadlineExceeded, call_in_time
from exporter.settings import ExporterSettings

log = logging.getLogger("sluice.alerts")

# Not faults: the visitor wishes it so, or the settings do.
_WISHED: Final = frozenset(
    {
        RefusalReason.DO_NOT_TRACK,
        RefusalReason.NO_CONSENT,
        RefusalReason.SUPPRESSED,
        RefusalReason.BOT,
    }
)
NOT_REFUSED: Final = frozenset({"accepted", "duplicate"}) | _WISHED
_LATELY: Final = timedelta(hours=2)
"""And an export interval, since duplicates are counted when a segment is sealed."""
_DISK_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What a look needs."""

    engine: Engine
    settings: ExporterSettings
    clock: Clock
    started_at: datetime

    def look(self) -> None:
        """Find what is wrong, and note what has changed since the last look."""
        now = self.clock()
        disks = self._disks()  # first: a dead one takes its time, and no transaction waits for it
        with self.engine.connect() as connection:
            alert_facts.count_hours(connection, now=now, not_refused=NOT_REFUSED)
            with connection.begin():
                known = [OpenAlert(**row._mapping) for row in read_open_alerts(connection)]
                facts = self._facts(connection, known, disks, now)
                changes = compare(known, find_alerts(facts, self._thresholds()), now=now)
                self._note(connection, changes, now)
                forget_alerts(connection, now=now)

    def _facts(
        self,
        connection: Connection,
        known: Sequence[OpenAlert],
        disks: tuple[Disk, ...],
        now: datetime,
    ) -> Facts:
        promised = promised_age(alert_facts.read_config(connection))
        lately = (now - _LATELY - (promised or timedelta(0))).replace(
            minute=0, second=0, microsecond=0
        )
        traffic = alert_facts.read_traffic(
            connection, now=now, silence=self.settings.alert_silence, lately=lately
        )
        return Facts(
            now=now,
            watching_since=self.started_at,
            stopped=tuple(
                StoppedSink(r.sink, _first_words(r.error), r.segments)
                for r in alert_facts.read_stopped_sinks(connection)
            ),
            oldest_undelivered=alert_facts.read_oldest_undelivered(connection),
            promised=promised,
            waiting_sinks=tuple(alert_facts.read_waiting_sinks(connection)),
            disks=disks,
            sites=tuple(SiteTraffic(**row._mapping) for row in traffic),
            known_silent=frozenset(
                one.subject for one in known if one.condition == Condition.SILENT_SITE
            ),
        )

    def _thresholds(self) -> Thresholds:
        settings = self.settings
        return Thresholds(
            silence=settings.alert_silence,
            duplicates_percent=settings.alert_duplicates_percent,
            refusals_percent=settings.alert_refusals_percent,
            disk_free_percent=settings.alert_disk_free_percent,
        )

    def _disks(self) -> tuple[Disk, ...]:
        """Where files wait, and where a bucket is a folder; each disk once."""
        addresses = (self.settings.client_s3_bucket, self.settings.metering_s3_bucket)
        folders = [
            self.settings.staging_dir or Path(tempfile.gettempdir()),
            self.settings.signing_key_dir,
            *(Path(unquote(urlsplit(a).path)) for a in addresses if a.startswith("file:")),
        ]
        disks: dict[int, Disk] = {}
        for folder in folders:
            try:
                device, disk = call_in_time(_measuring(folder), seconds=_DISK_SECONDS)
            except (OSError, DeadlineExceeded):
                log.warning("a disk cannot be measured", extra={"folder": str(folder)})
            else:
                disks.setdefault(device, disk)
        return tuple(disks.values())

    def _note(self, connection: Connection, changes: Changes, now: datetime) -> None:
        for alert in changes.begun:
            alert_id = make_event_id()
            begin_alert(
                connection,
                alert_id,
                condition=alert.condition,
                subject=alert.subject,
                message=alert.message,
                remedy=alert.remedy,
                now=now,
            )
            self._tell(connection, Kind.BEGUN, alert_id, alert, begun_at=now, now=now)
        for changed, is_told in ((changes.held, False), (changes.told_again, True)):
            for one, alert in changed:
                hold_alert(
                    connection,
                    one.alert_id,
                    message=alert.message,
                    remedy=alert.remedy,
                    is_told=is_told,
                    now=now,
                )
                if is_told:
                    self._tell(connection, Kind.CONTINUES, one.alert_id, alert, one.begun_at, now)
        for one in changes.over:
            end_alert(connection, one.alert_id, now=now)
            self._tell(connection, Kind.ENDED, one.alert_id, one, one.begun_at, now)
        for one in changes.folded:
            end_alert(connection, one.alert_id, now=now)

    def _tell(
        self,
        connection: Connection,
        kind: Kind,
        alert_id: UUID,
        alert: Alert | OpenAlert,
        begun_at: datetime,
        now: datetime,
    ) -> None:
        body = notice_body(
            kind,
            alert_id,
            alert,
            client_id=self.settings.client_id,
            begun_at=begun_at,
            now=now,
        )
        note_notices(
            connection,
            [
                Notice(make_event_id(), alert_id, channel, body)
                for channel in channels_of(self.settings)
            ],
            now=now,
        )


def _measuring(folder: Path) -> Callable[[], tuple[int, Disk]]:
    def measure() -> tuple[int, Disk]:
        whole = folder.absolute()
        there = next(p for p in (whole, *whole.parents) if p.exists())
        usage = shutil.disk_usage(there)
        return there.stat().st_dev, Disk(str(folder), usage.free, usage.total)

    return measure


def _first_words(text: str, *, most: int = 300) -> str:
    line: Any = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
