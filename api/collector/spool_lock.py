"""Locks between the processes that share a spool."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from api.collector.spool_errors import SpoolBroken

BUSY_SECONDS: Final = 10.0
"""How long to wait for another process, which may have been stopped in mid-work."""
# SQLite's own waiting grows to 100 ms a try: some processes then starve for seconds.
_POLL_SECONDS: Final = 0.001


class FileLock:
    """An flock on a file of its own: the kernel releases it when its process dies."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_exclusive(self) -> bool:
        """Take the lock for as long as this object lives, unless somebody else has it."""
        return self._try(fcntl.LOCK_EX)

    @contextmanager
    def held(self, kind: int) -> Iterator[None]:
        """Hold it for a moment; raises SpoolBroken when it cannot be had in time."""
        if self._descriptor < 0:
            raise SpoolBroken("the spool is closed")
        deadline = time.monotonic() + BUSY_SECONDS
        while not self._try(kind):
            if time.monotonic() > deadline:
                raise SpoolBroken("another process holds the spool's lock")
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of it; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class UseLock:
    """Many use a file; now and then one waits until nobody does, and newcomers wait behind it."""

    def __init__(self, folder: Path) -> None:
        self._gate = FileLock(folder / "gate.lock")
        self._use = FileLock(folder / "use.lock")

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Use it beside others; raises SpoolBroken when it cannot be had in time."""
        with ExitStack() as stack:
            with self._gate.held(fcntl.LOCK_SH):
                stack.enter_context(self._use.held(fcntl.LOCK_SH))
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Use it while nobody else does; raises SpoolBroken when it cannot be had in time."""
        with self._gate.held(fcntl.LOCK_EX), self._use.held(fcntl.LOCK_EX):
            yield

    def close(self) -> None:
        """Let go of it; safe to call twice."""
        self._gate.close()
        self._use.close()
