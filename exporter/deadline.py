"""Wait for something that may never end, and not for longer than is sensible."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Final, TypeVar

T = TypeVar("T")

MOST_ABANDONED: Final = 16
"""Calls that were given up and still run; with so many, no further one is begun."""

_abandoned: set[threading.Thread] = set()
_lock = threading.Lock()


class DeadlineExceeded(Exception):
    """It did not end in time. Its thread goes on, until what it waits for ends."""


def call_in_time(act: Callable[[], T], *, seconds: float) -> T:
    """What `act` returns or raises, if it does so in time; raises DeadlineExceeded.

    No call of the system can be interrupted (a name server that is silent, a dead network disk),
    so it is made in a thread of its own, which no shutdown waits for.
    """
    _forget_ended()
    if len(_abandoned) >= MOST_ABANDONED:
        raise DeadlineExceeded(f"{MOST_ABANDONED} earlier attempts still hang")
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(act())
        except BaseException as exc:
            outcome.set_exception(exc)

    thread = threading.Thread(target=run, name="in time", daemon=True)
    thread.start()
    try:
        return outcome.result(timeout=seconds)
    except FutureTimeout:
        if outcome.done():  # at the last moment, or `act` itself raised it
            return outcome.result()
        with _lock:
            _abandoned.add(thread)
        raise DeadlineExceeded(f"no answer within {seconds:g} s") from None


def _forget_ended() -> None:
    with _lock:
        _abandoned.difference_update([t for t in _abandoned if not t.is_alive()])
