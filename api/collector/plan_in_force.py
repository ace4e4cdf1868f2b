"""The tracking plan that intake holds events to, kept up with its folder."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, Final, Literal

from api.collector.tracking_plan import PlanBroken, TrackingPlan, Violation, plan_files

log = logging.getLogger("sluice.collector")

PlanMode = Literal["observe", "enforce"]
UnknownTypes = Literal["allow", "violation"]

_NOT_IN_PLAN: Final = Violation(
    "eventType", "not a type of event in the tracking plan", "eventType"
)


class PlanInForce:
    """A folder's plan. A broken one is not followed: the one before it stays in force."""

    def __init__(self, folder: Path, *, mode: PlanMode, unknown_types: UnknownTypes) -> None:
        self._folder = folder
        self._plan = TrackingPlan({})
        self._seen: object = None
        self._allows_unknown = unknown_types == "allow"
        self.is_enforced = mode == "enforce"
        self.problem: str | None = None
        """What is wrong with the folder as it is now; None when it is in force."""
        self.reload()

    def check(self, event_type: str, properties: dict[str, Any] | None) -> Violation | None:
        """The first thing in an event that contradicts the plan."""
        plan = self._plan
        if event_type in plan.validators:
            return plan.check(event_type, properties)
        # Without any plan in force there is none that a type could be missing from.
        return None if self._allows_unknown or not plan.validators else _NOT_IN_PLAN

    def reload(self) -> None:
        """Follow the folder's plan if it has changed since it was last looked at."""
        try:
            found = _state_of(self._folder)
            if found == self._seen:
                return
            self._seen = found
            plan = TrackingPlan.load(self._folder)
        except (PlanBroken, OSError) as exc:
            problem = str(exc)
            if problem != self.problem:
                log.error("tracking plan is broken", extra={"problem": problem})  # noqa: TRY400
            self.problem = problem
            return
        self._plan, self.problem = plan, None
        log.info("tracking plan in force", extra={"event_types": len(plan.validators)})

    async def keep_up(self, *, look_seconds: float = 30) -> None:
        """Look at the folder again and again, for ever."""
        while True:
            await asyncio.sleep(look_seconds)
            try:
                await asyncio.to_thread(self.reload)
            except Exception:
                log.exception("tracking plan could not be looked at")


def _state_of(folder: Path) -> object:
    """What changes when a file does."""
    states: list[object] = [folder.is_dir()]
    for path in plan_files(folder):
        status = path.stat()
        states.append((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
    return states
