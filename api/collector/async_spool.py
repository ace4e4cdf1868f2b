"""The spool from an event loop: its calls block for an fsync, so they run in threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from api.collector.spool import Spool

# One appends while another reads or answers /health; the file has one writer anyhow.
_THREADS: Final = 2

Result = TypeVar("Result")


class AsyncSpool:
    """Opened when it is first needed, and tried again when that failed."""

    def __init__(self, open_spool: Callable[[], Spool]) -> None:
        self._open_spool = open_spool
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="spool")
        self._opening = threading.Lock()
        self._spool: Spool | None = None

    async def run(self, work: Callable[[Spool], Result]) -> Result:
        """Do some work with the spool; raises SpoolFull, SpoolBroken, and what the work does."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._work, work)

    async def close(self) -> None:
        """Let calls under way end, then let go of the file."""
        await asyncio.to_thread(self._threads.shutdown)
        if self._spool is not None:
            self._spool.close()

    def _work(self, work: Callable[[Spool], Result]) -> Result:
        with self._opening:
            if self._spool is None:
                self._spool = self._open_spool()
            spool = self._spool
        return work(spool)
