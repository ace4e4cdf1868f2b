"""How many dead letters a collector may leave behind in a minute."""

from __future__ import annotations

import time
from collections.abc import Callable


class LetterQuota:
    """Permits that are renewed within a minute; what finds none is counted, and not kept."""

    def __init__(
        self, letters_per_minute: int, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._size = float(letters_per_minute)
        self._permits = self._size
        self._monotonic = monotonic
        self._filled_at = monotonic()

    def left(self) -> int:
        """How many may be kept now."""
        now = self._monotonic()
        filled = self._permits + (now - self._filled_at) * self._size / 60
        self._permits, self._filled_at = min(self._size, filled), now
        return max(0, int(self._permits))

    def spend(self, letters: int) -> None:
        """Some have been kept; by several at once, a few more than there were."""
        self._permits -= letters
