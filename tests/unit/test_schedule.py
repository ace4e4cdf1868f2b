"""When segments are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from exporter.schedule import Schedule

SUNDAY = datetime(2026, 11, 29, 10, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("1h", "2026-11-29 11:00"),
        ("0 * * * *", "2026-11-29 11:00"),
        ("3 10 * * *", "2026-11-30 10:03"),
        ("*/15 * * * *", "2026-11-29 10:15"),
        ("0 6-22 * * mon-fri", "2026-11-30 06:00"),
        # Crontabs count from Sunday, which is 0 and 7.
        ("0 0 * * 0", "2026-12-06 00:00"),
        ("0 0 * * 7", "2026-12-06 00:00"),
        ("0 0 * * 1", "2026-11-30 00:00"),
        ("0 0 * * 5-7", "2026-12-04 00:00"),
        ("0 0 * * 0-2/2", "2026-12-01 00:00"),
        ("0 0 * * */3", "2026-12-02 00:00"),
        ("0 0 * * mon,3", "2026-11-30 00:00"),
        ("30 2 1 1 *", "2027-01-01 02:30"),
    ],
)
def test_the_next_time(text: str, due: str) -> None:
    schedule = Schedule.parse(text)
    assert schedule.next_after(SUNDAY) == datetime.fromisoformat(due).replace(tzinfo=UTC)
    assert str(schedule) == text


def test_a_time_is_never_its_own_next() -> None:
    for text in ("1h", "0 * * * *"):
        schedule = Schedule.parse(text)
        first = schedule.next_after(SUNDAY)
        assert schedule.next_after(first) == first + timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("90s", timedelta(seconds=90)),
        ("0 6-22 * * mon-fri", timedelta(days=2, hours=8)),
        ("0 0 1 * *", timedelta(days=31)),
        ("*/5 6-22 * * 1-5", timedelta(days=2, hours=7, minutes=5)),
    ],
)
def test_the_longest_gap_is_what_may_be_promised(text: str, gap: timedelta) -> None:
    assert Schedule.parse(text).longest_gap(SUNDAY) == gap


@pytest.mark.parametrize(
    "text",
    ["0s", "1w", "", "hourly", "* * * *", "99 * * * *", "0 0 30 2 *", "0 0 * * 8", "0 0 * * 1/0"],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Schedule.parse(text)
