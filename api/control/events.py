"""`/events/*`: how many there are, and what the newest look like."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from database import overview

router = APIRouter(prefix="/events", tags=["events"])


class SiteCount(BaseModel):
    """One site's counts."""

    site_id: str
    accepted: int
    rejected: int


class EventCount(BaseModel):
    """Exact, from the ledger that is written with the rows."""

    count: int = Field(description="Accepted events since the stack was set up.")
    received: int = Field(description="accepted + rejected.")
    rejected: int
    rejected_by_reason: dict[str, int]
    duplicates: int = Field(description="Accepted events that repeated an id.")
    bots: int = Field(description="Accepted events that a program sent.")
    redacted: int = Field(description="Accepted events that something was redacted from.")
    plan_violations: int = Field(description="Accepted events that contradict the tracking plan.")
    by_site: list[SiteCount] = Field(description="The 1,000 busiest sites.")


class RecentEvent(BaseModel):
    """A row of the buffer."""

    received_at: datetime
    occurred_at: datetime
    event_id: UUID
    site_id: str
    event_type: str
    payload: dict[str, Any]


class RecentEvents(BaseModel):
    """The newest first."""

    events: list[RecentEvent]


@router.get("/count")
async def count_events(request: Request) -> EventCount:
    """Count every event ever received, without scanning any."""
    async with request.app.state.engine.connect() as connection:
        counts = await overview.read_counts(connection)
        sites = await overview.read_counts_by_site(connection)
    return EventCount(
        count=counts.accepted,
        received=counts.received,
        rejected=counts.rejected,
        rejected_by_reason=counts.rejected_by_reason,
        duplicates=counts.duplicates,
        bots=counts.bots,
        redacted=counts.redacted,
        plan_violations=counts.plan_violations,
        by_site=[SiteCount(**row._mapping) for row in sites],
    )


@router.get("/recent")
async def recent_events(
    request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 20
) -> RecentEvents:
    """The newest events that are still in the buffer, for debugging."""
    async with request.app.state.engine.connect() as connection:
        rows = await overview.read_recent_events(connection, limit)
    return RecentEvents(events=[RecentEvent(**row._mapping) for row in rows])
