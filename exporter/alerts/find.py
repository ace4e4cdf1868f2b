"""Which alerts the facts call for: pure, no clock, no database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from core.keys import UNKNOWN_SITE

MOST_NAMED: Final = 20
"""Sites that a condition names one by one; of more there is one alert for all of them."""
ALL_SITES: Final = "*"
LEAST_EVENTS: Final = 100
"""A share of fewer is no spike."""
SPIKE_FACTOR: Final = 2
"""A spike is so many times what is usual."""
USUAL_DAYS: Final = 5
"""Of seven, on which a site that usually has events has had some."""
GONE_AFTER: Final = timedelta(days=8)
"""A site that has been silent for so long is no longer one that usually has events."""
_WATCHED_FIRST: Final = timedelta(hours=1)
"""A stack that was down has had no events itself."""


class Condition(StrEnum):
    """What an alert is about."""

    SINK_STOPPED = "sink_stopped"
    LAG = "lag"
    DISK = "disk_low"
    SILENT_SITE = "silent_site"
    DUPLICATES = "duplicate_spike"
    REFUSALS = "refusal_spike"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that somebody has to look at."""

    condition: Condition
    subject: str
    """A sink, a site, a folder; ALL_SITES for too many to name; empty for the stack."""
    message: str
    remedy: str

    @property
    def name(self) -> tuple[str, str]:
        """What tells it from others."""
        return (self.condition, self.subject)


@dataclass(frozen=True, slots=True)
class StoppedSink:
    """A bucket that takes nothing until somebody mends it."""

    sink: str
    error: str
    segments: int


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that the exporter sees."""

    folder: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class SiteTraffic:
    """A site's counts, by hours of receipt."""

    site_id: str
    last_hour: datetime | None
    """The newest with an accepted event."""
    recent: int
    """Accepted within the silence that is allowed."""
    week_before: int
    """Accepted within the same hours, a week before."""
    active_days: int
    """Of the seven before its last event, those with one."""
    accepted: int
    """Within the last few hours; like the two below."""
    duplicates: int
    refused: int
    """Without those that the visitor, or a setting, wishes."""
    usual_accepted: int
    """Within the week before these hours; like the two below."""
    usual_duplicates: int
    usual_refused: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at a moment."""

    now: datetime
    watching_since: datetime
    stopped: tuple[StoppedSink, ...] = ()
    oldest_undelivered: datetime | None = None
    promised: timedelta | None = None
    waiting_sinks: tuple[str, ...] = ()
    disks: tuple[Disk, ...] = ()
    sites: tuple[SiteTraffic, ...] = ()
    known_silent: frozenset[str] = frozenset()
    """Sites of whom it was told already, and not that it is over."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From the settings; 0 for no such alert."""

    silence: timedelta
    duplicates_percent: int
    refusals_percent: int
    disk_free_percent: int


def find_alerts(facts: Facts, thresholds: Thresholds) -> list[Alert]:
    """Every alert that holds now."""
    return [
        *_stopped_sinks(facts),
        *_lag(facts),
        *_disks(facts, thresholds.disk_free_percent),
        *_silent_sites(facts, thresholds.silence),
        *_duplicate_spikes(facts, thresholds.duplicates_percent),
        *_refusal_spikes(facts, thresholds.refusals_percent),
    ]


def _stopped_sinks(facts: Facts) -> Iterable[Alert]:
    for stopped in facts.stopped:
        yield Alert(
            Condition.SINK_STOPPED,
            stopped.sink,
            f"Sink {stopped.sink} has stopped and keeps its backlog of {stopped.segments}"
            f" segments: {stopped.error}",
            f"Mend it; POST /export/sinks/{stopped.sink}/test or `sluice doctor` tell what is"
            " wrong. Nothing is lost meanwhile.",
        )


def _lag(facts: Facts) -> Iterable[Alert]:
    if facts.oldest_undelivered is None or facts.promised is None:
        return
    age = facts.now - facts.oldest_undelivered
    if age > facts.promised:
        sinks = " and ".join(facts.waiting_sinks) or "a sink"
        yield Alert(
            Condition.LAG,
            "",
            f"The oldest event that {sinks} waits for was received {_words(age)} ago;"
            f" promised are {_words(facts.promised)}.",
            "GET /export/status says what each sink waits for, and its last error.",
        )


def _disks(facts: Facts, percent: int) -> Iterable[Alert]:
    for disk in facts.disks:
        free = 100 * disk.free_bytes / disk.total_bytes if disk.total_bytes else 100
        if free < percent:
            yield Alert(
                Condition.DISK,
                disk.folder,
                f"{disk.free_bytes / 1e9:.1f} GB ({free:.1f} %) are free on the disk of"
                f" {disk.folder}.",
                "Make room: a full disk stops the export, then PostgreSQL, then the intake.",
            )


def _silent_sites(facts: Facts, silence: timedelta) -> Iterable[Alert]:
    if not silence:
        return
    silent = [s for s in facts.sites if _is_silent(s, facts)]
    if facts.now - facts.watching_since < _WATCHED_FIRST:
        # What was told before a restart is not over because of it; nothing new is told yet.
        is_folded = ALL_SITES in facts.known_silent
        silent = [s for s in silent if is_folded or s.site_id in facts.known_silent]
    remedy = "Is the tracker still on its pages, and the collector reachable from there?"
    yield from _fold(
        [
            Alert(
                Condition.SILENT_SITE,
                s.site_id,
                f"Site {s.site_id} has had no event since {s.last_hour:%Y-%m-%d %H}:59 UTC,"
                " and usually has some at this time.",
                remedy,
            )
            for s in silent
        ],
        f"{len(silent)} sites have had no event for {_words(silence)} or longer, and usually have"
        " some at this time.",
        remedy,
    )


def _is_silent(site: SiteTraffic, facts: Facts) -> bool:
    if site.recent or site.last_hour is None or facts.now - site.last_hour > GONE_AFTER:
        return False
    # Once told, the night that follows does not make it over.
    is_known = not facts.known_silent.isdisjoint((site.site_id, ALL_SITES))
    return site.active_days >= USUAL_DAYS and (site.week_before > 0 or is_known)


def _duplicate_spikes(facts: Facts, percent: int) -> Iterable[Alert]:
    found = []
    for site in facts.sites:
        share = _share(site.duplicates, site.accepted)
        usual = _share(site.usual_duplicates, site.usual_accepted)
        if percent and site.accepted >= LEAST_EVENTS and _is_spike(share, usual, percent):
            found.append(
                Alert(
                    Condition.DUPLICATES,
                    site.site_id,
                    f"{share:.0%} of {site.accepted} events of site {site.site_id} repeat earlier"
                    f" ones; {usual:.0%} are usual.",
                    _DUPLICATES_REMEDY,
                )
            )
    yield from _fold(
        found, f"Events of {len(found)} sites repeat earlier ones.", _DUPLICATES_REMEDY
    )


def _refusal_spikes(facts: Facts, percent: int) -> Iterable[Alert]:
    everything = sum(s.accepted + s.refused for s in facts.sites)
    usual_everything = sum(s.usual_accepted + s.usual_refused for s in facts.sites)
    found = []
    for site in facts.sites:
        received, usually = site.accepted + site.refused, site.usual_accepted + site.usual_refused
        if site.site_id == UNKNOWN_SITE:  # all of it is refused: what matters is how much it is
            received, usually = everything, usual_everything
        share, usual = _share(site.refused, received), _share(site.usual_refused, usually)
        if percent and received >= LEAST_EVENTS and _is_spike(share, usual, percent):
            found.append(
                Alert(
                    Condition.REFUSALS,
                    site.site_id,
                    f"{share:.0%} of {received} events of site {site.site_id} are refused;"
                    f" {usual:.0%} are usual.",
                    _REFUSALS_REMEDY,
                )
            )
    yield from _fold(found, f"Events of {len(found)} sites are refused.", _REFUSALS_REMEDY)


_DUPLICATES_REMEDY: Final = (
    "They are delivered once all the same. Is the tracker on the page twice, or does a sender"
    " repeat what was answered with 200?"
)
_REFUSALS_REMEDY: Final = "GET /events/rejected says what was refused, and why."


def _is_spike(share: float, usual: float, percent: int) -> bool:
    # Twice a share of over a half cannot be: then half of the way to all.
    return 100 * share >= percent and share >= min(SPIKE_FACTOR * usual, (1 + usual) / 2)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _fold(alerts: Sequence[Alert], message: str, remedy: str) -> Sequence[Alert]:
    """One for all, where there are too many to tell each."""
    if len(alerts) <= MOST_NAMED:
        return alerts
    named = ", ".join(a.subject for a in alerts[:10])
    return [Alert(alerts[0].condition, ALL_SITES, f"{message} Among them: {named}.", remedy)]


def _words(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    if minutes < 120:
        return f"{minutes} min" if minutes else f"{length.total_seconds():.0f} s"
    return f"{minutes / 60:.0f} h" if minutes < 72 * 60 else f"{minutes / 60 / 24:.0f} days"
