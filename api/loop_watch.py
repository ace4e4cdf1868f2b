"""How long the event loop was kept from its work: what every sender on it had to wait."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final

_LOOK_SECONDS: Final = 0.02
_REMEMBERED_SECONDS: Final = 60


class LoopWatch:
    """Wakes fifty times a second and notes by how much it came late."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._by_second: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED_SECONDS)

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._task = asyncio.create_task(self._watch(), name="loop watch")

    def stop(self) -> None:
        """No more."""
        if self._task is not None:
            self._task.cancel()

    def longest_stall_seconds(self) -> float:
        """The longest of the last minute."""
        since = int(time.monotonic()) - _REMEMBERED_SECONDS
        return max((late for second, late in self._by_second if second > since), default=0.0)

    async def _watch(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            self._note(int(now), now - before - _LOOK_SECONDS)

    def _note(self, second: int, late: float) -> None:
        if self._by_second and self._by_second[-1][0] == second:
            late = max(late, self._by_second.pop()[1])
        self._by_second.append((second, late))
