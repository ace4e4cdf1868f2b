from __future__ import annotations

import asyncio
import time

from api.loop_watch import LoopWatch


async def test_a_loop_that_is_kept_from_its_work_shows() -> None:
    watch = LoopWatch()
    watch.start()
    await asyncio.sleep(0.05)
    time.sleep(0.3)  # noqa: ASYNC251 - the stall that is to be seen
    await asyncio.sleep(0.05)
    watch.stop()
    assert 0.25 < watch.longest_stall_seconds() < 2


def test_a_loop_that_was_never_watched_has_no_stall() -> None:
    assert LoopWatch().longest_stall_seconds() == 0
