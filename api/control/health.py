"""`GET /health`: health means lag, not that a process answers."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from core.version import VERSION
from database import overview

router = APIRouter(tags=["monitoring"])

EXPORTER_SILENCE = timedelta(seconds=30)
# A sealed segment needs some time to be delivered; the promise is the interval and this much.
DELIVERY_ALLOWANCE = timedelta(minutes=2)


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
    problems: list[str] = Field(description="What is wrong, in words.")


@router.get("/health", responses={503: {"model": Health}})
async def health(request: Request, response: Response) -> Health:
    """200 when events are taken in and delivered in time, 503 when they are not."""
    now: datetime = request.app.state.clock()
    try:
        async with request.app.state.engine.connect() as connection:
            exporter = await overview.read_exporter(connection)
            oldest = await overview.read_oldest_undelivered(connection)
            stopped = [d for d in await overview.read_deliveries(connection) if d.stopped]
    except (SQLAlchemyError, OSError):
        response.status_code = 503
        return Health(
            status="failing",
            version=VERSION,
            database="down",
            exporter="unknown",
            oldest_undelivered_seconds=None,
            promised_seconds=None,
            longest_stall_seconds=request.app.state.loop_watch.longest_stall_seconds(),
            problems=["PostgreSQL does not answer: events are refused with 503 until it does."],
        )
    failing = request.app.state.group_commit.failing
    silent = exporter is None or now - exporter.last_seen_at > EXPORTER_SILENCE
    promised = _promised(exporter.config if exporter else {})
    age = max(timedelta(0), now - oldest) if oldest else None
    problems = [
        f"Sink {d.sink} has stopped and keeps its backlog: {d.last_error}"
        " Mend it, then POST /export/run; it is tried again every 10 minutes too."
        for d in stopped
    ]
    if failing is not None:
        seconds = time.monotonic() - failing.since
        problems.append(f"Events are refused with 503 since {seconds:.0f} s: {failing.error}.")
    plan = request.app.state.plan
    if plan is not None and plan.problem:
        problems.append(
            f"The tracking plan is broken, and the one before it stays in force: {plan.problem}"
        )
    if silent:
        problems.append("The exporter has not been heard of for 30 s: nothing is delivered.")
    if age is not None and promised is not None and age > promised:
        problems.append(f"An event has waited for {age.total_seconds():.0f} s.")
    if problems:
        response.status_code = 503
    return Health(
        status="failing" if failing else "degraded" if problems else "ok",
        version=VERSION,
        database="up",
        exporter="silent" if silent else "up",
        oldest_undelivered_seconds=age.total_seconds() if age is not None else None,
        promised_seconds=promised.total_seconds() if promised is not None else None,
        longest_stall_seconds=request.app.state.loop_watch.longest_stall_seconds(),
        problems=problems,
    )


def _promised(config: dict[str, str]) -> timedelta | None:
    seconds = config.get("export_interval_seconds")
    return timedelta(seconds=float(seconds)) + DELIVERY_ALLOWANCE if seconds else None
