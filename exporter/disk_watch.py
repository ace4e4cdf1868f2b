"""How much room the disk has left, and until when, at the rate of the last hour."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_REMEMBERED_SECONDS: Final = 3600.0
_LEAST_SECONDS: Final = 60.0
"""Over less than this, one segment that is dropped would be taken for a rate."""


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """A reading."""

    free_bytes: int
    total_bytes: int
    hours_until_full: float | None
    """None while it is not filling up, or not looked at for long enough."""


class DiskWatch:
    """Looks again and again; remembers an hour, a sample every ten seconds at most."""

    def __init__(
        self,
        folder: Path,
        *,
        monotonic: Callable[[], float],
        usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage,
    ) -> None:
        self._folder = folder
        self._monotonic = monotonic
        self._usage = usage
        self._samples: deque[tuple[float, int]] = deque(maxlen=360)

    def look(self) -> DiskRoom:
        """Raises OSError when the folder is gone."""
        now = self._monotonic()
        total, _, free = self._usage(self._folder)
        while self._samples and now - self._samples[0][0] > _REMEMBERED_SECONDS:
            self._samples.popleft()
        if not self._samples or now - self._samples[-1][0] >= 10:
            self._samples.append((now, free))
        return DiskRoom(free, total, self._hours_left(now, free))

    def _hours_left(self, now: float, free: int) -> float | None:
        then, free_then = self._samples[0]
        seconds, eaten = now - then, free_then - free
        if seconds < _LEAST_SECONDS or eaten <= 0:
            return None
        return round(free / (eaten / seconds) / 3600, 1)
