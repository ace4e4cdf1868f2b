"""Bound what a stopped server could hold up for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Line(Protocol):
    """What can be cut."""

    def abort(self) -> None:
        """Make the call under way fail."""


async def in_time(
    work: Coroutine[object, object, Result], *, seconds: float, line: Line | None
) -> Result:
    """The work's result; raises TimeoutError after so long, and cuts the line, not asking it."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        if line is not None:
            line.abort()
        task.cancel()
        raise
    if not done:
        if line is not None:
            line.abort()
            await asyncio.wait({task}, timeout=1)
        task.cancel()
        raise TimeoutError("PostgreSQL did not answer in time")
    return await task
