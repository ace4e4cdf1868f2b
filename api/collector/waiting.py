"""What waits for a commit: acceptances whose senders have not been answered, within a bound."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from api.collector.acceptance import Acceptance

# What a refusal weighs: it waits for its count as a row waits for its place.
_REFUSAL_BYTES: Final = 300


log = logging.getLogger("sluice.collector")

Done = Callable[[Exception | None], None]
"""Called once: with None when it is durable, else with why it is not."""


class QueueFull(Exception):
    """More is waiting than the limit allows; send it again later."""


class Waiting(Struct, gc=False, eq=False):
    """An acceptance, and the promise to its sender."""

    acceptance: Acceptance
    row_bytes: int
    done: Done

    __repr__ = object.__repr__


class WaitingQueue:
    """First come, first committed."""

    def __init__(self, *, max_bytes: int, max_group_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_group_bytes = max_group_bytes
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def fills_group(self) -> bool:
        """Whether those who wait are more than one transaction is to take."""
        return self._bytes >= self._max_group_bytes

    def add(self, acceptance: Acceptance, done: Done) -> None:
        """Line up; raises QueueFull, but takes one that is larger than the bound on its own."""
        row_bytes = acceptance.row_bytes + _REFUSAL_BYTES * len(acceptance.refused)
        if self._waiting and self._bytes + row_bytes > self._max_bytes:
            raise QueueFull
        self._waiting.append(Waiting(acceptance, row_bytes, done))
        self._bytes += row_bytes

    def take_group(self) -> list[Waiting]:
        """Who shares the next transaction."""
        group = [self._waiting.popleft()]
        size = group[0].row_bytes
        while self._waiting and size + self._waiting[0].row_bytes <= self._max_group_bytes:
            size += self._waiting[0].row_bytes
            group.append(self._waiting.popleft())
        self._bytes -= size
        return group

    def take_groups(self, *, most_bytes: int) -> list[list[Waiting]]:
        """Several groups, until there are so many bytes of them; one at least."""
        groups, left = [self.take_group()], self._bytes
        while self._waiting and left - self._bytes < most_bytes:
            groups.append(self.take_group())
        return groups

    def take_all(self) -> list[Waiting]:
        """Everybody."""
        everybody = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return everybody


def answer(group: Iterable[Waiting], exc: Exception | None = None) -> None:
    """Tell the senders of what is durable, or why it is not."""
    for waiting in group:
        try:
            waiting.done(exc)
        except Exception:  # of one of them; the others are to hear as well
            log.exception("a sender could not be told")
