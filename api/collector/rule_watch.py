"""Keep a worker's rule book up to date, so that what was loosened is not refused for long.

What was tightened needs no watch: a commit is refused by PostgreSQL when its events were judged by
older rules. But an event that older rules refuse reaches no commit that could tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.collector.rules import RuleBook
from database.rule_changes import read_rules, read_rules_version

log = logging.getLogger("sluice.collector")

_LOOK_SECONDS: Final = 2.0


class RuleWatch:
    """Looks for newer rules every two seconds."""

    def __init__(self, rule_book: RuleBook, engine: AsyncEngine) -> None:
        self._rule_book = rule_book
        self._engine = engine
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Learn the rules, if PostgreSQL answers soon, and go on looking."""
        await self.look()
        self._task = asyncio.create_task(self._run(), name="rule watch")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def look(self) -> None:
        """Learn the rules if there are newer ones; without PostgreSQL, nothing happens."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                if await read_rules_version(self._engine) != self._rule_book.rules.version:
                    self._rule_book.learn(await read_rules(self._engine))
        except (SQLAlchemyError, OSError) as exc:  # TimeoutError is one
            # Events are taken in without, and judged when they are committed.
            log.info("rules of intake not read", extra={"error": type(exc).__name__})

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.look()
            except Exception:  # whatever it is: without the watch, what was loosened stays refused
                log.exception("rules of intake not read")
