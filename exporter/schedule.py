"""When segments are sealed: at multiples of an interval, or at the times of a cron expression."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from apscheduler.triggers.cron import CronTrigger

from core.settings import parse_duration

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LOOKED_AHEAD: Final = 400
_LOOKED_AHEAD_AT_LEAST: Final = timedelta(days=8)
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NUMBERED_DAYS: Final = re.compile(r"(?:(\d)(?:-(\d))?|\*)(?:/(\d))?")


@dataclass(frozen=True, slots=True)
class Schedule:
    """An interval, aligned to midnight UTC of 1970, or five fields of cron in UTC."""

    text: str
    interval: timedelta | None = None
    cron: CronTrigger | None = None

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """`90s`, `15m`, `1h`, or `0 6-22 * * mon-fri`; raises ValueError for anything else."""
        if len(fields := text.split()) == 5:
            trigger = CronTrigger.from_crontab(
                " ".join([*fields[:4], _name_days(fields[4])]), timezone=UTC
            )
            if trigger.get_next_fire_time(None, _EPOCH) is None:
                raise ValueError("names a time that never comes")
            return cls(text, cron=trigger)
        try:
            interval = parse_duration(text)
        except ValueError:
            raise ValueError(
                "must be a duration (90s, 15m, 1h) or a cron expression of five fields (0 * * * *)"
            ) from None
        if interval < timedelta(seconds=1):
            raise ValueError("must be at least 1 second")
        return cls(text, interval=interval)

    def next_after(self, moment: datetime) -> datetime:
        """The first time after a moment.

        Intervals are aligned, so that hourly segments are whole hours and no hour is cut into two
        files.
        """
        if self.interval is not None:
            return _EPOCH + ((moment - _EPOCH) // self.interval + 1) * self.interval
        assert self.cron is not None
        after = moment + timedelta(microseconds=1)
        due: datetime | None = self.cron.get_next_fire_time(None, after)
        # Only times that began to be impossible, such as one year: as good as never.
        return due.astimezone(UTC) if due is not None else datetime.max.replace(tzinfo=UTC)

    def longest_gap(self, now: datetime) -> timedelta:
        """How long may pass between two of its times.

        Of the next 400, and of the next eight days, so that a weekend is among them.
        """
        if self.interval is not None:
            return self.interval
        times = [self.next_after(now)]
        while len(times) < _LOOKED_AHEAD or times[-1] - now < _LOOKED_AHEAD_AT_LEAST:
            times.append(self.next_after(times[-1]))
        return max(later - earlier for earlier, later in pairwise(times))


def _name_days(field: str) -> str:
    """The days of the week by name: crontabs count them from Sunday, APScheduler from Monday."""
    named: list[str] = []
    for part in field.lower().split(","):
        numbered = _NUMBERED_DAYS.fullmatch(part)
        if numbered is None or part == "*":
            named.append(part)
            continue
        first, last, step = numbered.groups()
        start = int(first or 0)
        end = int(last) if last else start if first and not step else 6
        if max(start, end) >= len(_DAYS) or step == "0":
            raise ValueError(f"{part!r} is no day of the week: 0 to 7, or mon to sun")
        named += [_DAYS[day] for day in range(start, end + 1, int(step or 1))]
    return ",".join(named)
