"""`GET /health`: health means lag, not that a process answers.

503 says that a promise is broken: events are refused, or wait for longer than promised, or will
without an end, because a bucket refuses, the exporter is silent, or something of the spool had
to be set aside. While PostgreSQL is away and the spool takes events in, no promise is broken yet:
`degraded` with 200, until its oldest event is older than promised.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.collector.group_commit import GroupCommit
from api.collector.plan_in_force import PlanInForce
from api.control.spool_health import SpoolHealth, SpoolReading, read_spool
from core.promise import EXPORTER_SILENCE, promised_age
from core.version import VERSION
from database import overview
from database.circuits import read_circuits

router = APIRouter(tags=["monitoring"])

# A server that was stopped takes connections, and says nothing.
_READ_SECONDS: Final = 3.0


class Health(BaseModel):
    """Whether events come in and go out as promised."""

    status: Literal["ok", "degraded", "failing"]
    version: str
    database: Literal["up", "down"]
    exporter: Literal["up", "silent", "unknown"]
    oldest_undelivered_seconds: float | None = Field(
        description="Age of the oldest event that a sink still waits for; null when there is none."
    )
    promised_seconds: float | None = Field(description="How old it may become.")
    longest_stall_seconds: float = Field(
        description="Longest that this process's event loop was kept from its work, in a minute."
    )
    spool: SpoolHealth | None = Field(description="Null when there is none that can be read.")
    problems: list[str] = Field(description="What is wrong, in words.")


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the database tells."""

    exporter: Any
    oldest: datetime | None
    stopped: list[Any]
    circuits: dict[str, Any]


@router.get("/health", responses={503: {"model": Health}})
async def health(request: Request, response: Response) -> Health:
    """200 when events are taken in and delivered in time, 503 when they are not."""
    state = request.app.state
    reading, spool = await asyncio.gather(_read_in_time(state.engine), read_spool(state.spool))
    if reading is not None and reading.exporter is not None:
        # Kept for the time when the database cannot be asked.
        state.promised = promised_age(reading.exporter.config)
    now: datetime = state.clock()
    age = _age_of_the_oldest(reading, spool, now)
    is_late = age is not None and state.promised is not None and age > state.promised
    refusals = _refusals(state.group_commit, reading, spool)
    broken = [*refusals, *_undelivered(reading, now), *spool.losses()]
    if age is not None and is_late:
        broken.append(f"An event has waited for {age.total_seconds():.0f} s.")
    problems = [
        *broken,
        *_outage(state, reading, spool),
        *_paused(reading),
        *spool.problems(now),
        *_broken_plan(state.plan),
    ]
    if broken:
        response.status_code = 503
    return Health(
        status="failing" if refusals else "degraded" if problems else "ok",
        version=VERSION,
        database="up" if reading else "down",
        exporter=_exporter_state(reading, now),
        oldest_undelivered_seconds=age.total_seconds() if age is not None else None,
        promised_seconds=state.promised.total_seconds() if state.promised else None,
        longest_stall_seconds=state.loop_watch.longest_stall_seconds(),
        spool=spool.health(now),
        problems=problems,
    )


async def _read_in_time(engine: AsyncEngine) -> _Reading | None:
    """What the database tells; None when it does not."""
    reading = asyncio.ensure_future(_read(engine))
    done, _ = await asyncio.wait({reading}, timeout=_READ_SECONDS)
    if not done:
        reading.cancel()  # and not waited for: it may take as long again
        return None
    try:
        return reading.result()
    except (SQLAlchemyError, OSError):
        return None


async def _read(engine: AsyncEngine) -> _Reading:
    async with engine.connect() as connection:
        return _Reading(
            await overview.read_exporter(connection),
            await overview.read_oldest_undelivered(connection),
            [d for d in await overview.read_deliveries(connection) if d.stopped],
            await read_circuits(connection),
        )


def _age_of_the_oldest(
    reading: _Reading | None, spool: SpoolReading, now: datetime
) -> timedelta | None:
    moments = [
        reading.oldest if reading else None,
        spool.status.oldest_appended_at if spool.status else None,
    ]
    known = [moment for moment in moments if moment is not None]
    return max(timedelta(0), now - min(known)) if known else None


def _refusals(
    group_commit: GroupCommit, reading: _Reading | None, spool: SpoolReading
) -> list[str]:
    """That senders are turned away."""
    if (refusing := group_commit.refusing) is not None:
        seconds = time.monotonic() - refusing.since
        return [f"Events are refused with 503 since {seconds:.0f} s: {refusing.error}."]
    if reading is None and not spool.takes_events:
        return ["PostgreSQL does not answer: events are refused with 503 until it does."]
    return []


def _outage(state: Any, reading: _Reading | None, spool: SpoolReading) -> list[str]:
    """That PostgreSQL is away, and the spool is there instead."""
    if not spool.takes_events:
        return []
    if (failing := state.group_commit.failing) is not None:
        seconds = time.monotonic() - failing.since
        return [
            f"PostgreSQL takes no events since {seconds:.0f} s ({failing.error}): they go to the"
            " spool."
        ]
    if reading is None:
        return ["PostgreSQL does not answer: events go to the spool until it does."]
    if state.spool_replay.error is not None:
        return [f"What the spool holds cannot be written yet: {state.spool_replay.error}."]
    return []


def _broken_plan(plan: PlanInForce | None) -> list[str]:
    if plan is None or not plan.problem:
        return []
    return [f"The tracking plan is broken, and the one before it stays in force: {plan.problem}"]


def _undelivered(reading: _Reading | None, now: datetime) -> list[str]:
    """That what came in does not go out."""
    if reading is None:
        return []
    problems = [
        f"Sink {d.sink} has stopped and keeps its backlog: {d.last_error} Mend it, then"
        f" POST /export/sinks/{d.sink}/resume; it is tried again now and then, too."
        for d in reading.stopped
    ]
    stopped = {d.sink for d in reading.stopped}
    problems += [
        f"Sink {sink} fails again and again and keeps its backlog: {circuit.reason} It is tried"
        f" now and then; POST /export/sinks/{sink}/resume tries at once."
        for sink, circuit in reading.circuits.items()
        if circuit.circuit == "open" and sink not in stopped
    ]
    if _exporter_state(reading, now) == "silent":
        problems.append("The exporter has not been heard of for 30 s: nothing is delivered.")
    return problems


def _paused(reading: _Reading | None) -> list[str]:
    """That somebody holds deliveries back: no promise is broken by that alone."""
    return [
        f"Sink {sink} is paused since {circuit.since:%Y-%m-%d %H:%M} UTC: {circuit.reason}"
        for sink, circuit in (reading.circuits if reading else {}).items()
        if circuit.circuit == "paused"
    ]


def _exporter_state(reading: _Reading | None, now: datetime) -> Literal["up", "silent", "unknown"]:
    if reading is None:
        return "unknown"
    exporter = reading.exporter
    if exporter is None or now - exporter.last_seen_at > EXPORTER_SILENCE:
        return "silent"
    return "up"
