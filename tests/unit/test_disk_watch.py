"""How long the disk lasts."""

from __future__ import annotations

from pathlib import Path

from exporter.disk_watch import DiskRoom, DiskWatch


def test_the_rate_of_the_last_hour_tells_when_the_disk_is_full() -> None:
    now, free = [0.0], [1_000]
    watch = DiskWatch(Path(), monotonic=lambda: now[0], usage=lambda _: (5_000, 0, free[0]))
    assert watch.look() == DiskRoom(1_000, 5_000, None)
    now[0], free[0] = 30, 990
    assert watch.look().hours_until_full is None, "half a minute tells nothing"
    now[0], free[0] = 1_800, 900
    assert watch.look().hours_until_full == 4.5
    now[0], free[0] = 3_620, 950  # something was dropped; the first sample is forgotten by now
    assert watch.look().hours_until_full == round(950 / (40 / 3_590) / 3_600, 1)
    now[0], free[0] = 20_000, 950
    assert watch.look().hours_until_full is None
