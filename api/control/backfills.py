"""`/export/backfill`: have a window delivered once more, into a set of objects of its own.

The API writes the request down; the exporter carries it out, one at a time, beside the schedule.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request, status
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Row

from core.event_id import make_event_id
from database import backfills, overview

router = APIRouter(prefix="/export", tags=["export"])

_HOUR = timedelta(hours=1)


class BackfillRequest(BaseModel):
    """A window of whole hours, by the time of receipt."""

    model_config = ConfigDict(extra="forbid")

    from_: AwareDatetime = Field(alias="from", description="A whole hour; the first.")
    to: AwareDatetime = Field(description="A whole hour; the first that is not wanted.")
    sink: Literal["client", "metering"] = "client"
    format: Literal["parquet", "csv", "json"] = "parquet"


class Backfill(BaseModel):
    """A window on its way into a set of its own."""

    backfill_id: UUID
    state: Literal["requested", "running", "completed", "failed", "cancelled"]
    requested_at: datetime
    from_: datetime = Field(serialization_alias="from")
    to: datetime
    sink: str
    format: str
    prefix: str | None = Field(description="The set's keys begin with it.")
    segments: int | None = Field(description="Null until they are counted.")
    done_segments: int
    rows: int
    bytes: int
    objects: int
    started_at: datetime | None
    finished_at: datetime | None
    estimated_finish_at: datetime | None = Field(
        description="At its pace so far; null until there is one."
    )
    last_error: str | None


@router.post("/backfill", status_code=status.HTTP_202_ACCEPTED)
async def backfill(request: Request, wanted: BackfillRequest) -> Backfill:
    """Deliver a window once more, from the buffer or from the backup in the vendor's bucket.

    Nothing of it goes into the live set, and nothing of it is billed.
    """
    try:
        from_at, to_at = wanted.from_.astimezone(UTC), wanted.to.astimezone(UTC)
    except OverflowError:
        raise HTTPException(422, "from and to have to be times of our era.") from None
    if not (_is_whole_hour(from_at) and _is_whole_hour(to_at)):
        raise HTTPException(422, "from and to have to be whole hours: 2026-11-29T10:00:00Z.")
    if from_at >= to_at:
        raise HTTPException(422, "from has to be before to.")
    backfill_id = make_event_id()
    async with request.app.state.engine.connect() as connection:
        watermarks = (await overview.read_watermarks(connection)).values()
        known = [mark for mark in watermarks if mark is not None]
        if not known or len(known) < len(watermarks) or to_at > min(known):
            reached = f"{min(known):%Y-%m-%dT%H:%M:%SZ}" if known else "nowhere yet"
            raise HTTPException(
                409,
                f"Delivery has come to {reached}: what is received later is still on its way into"
                " the live set. Ask for a window before that.",
            )
        await connection.rollback()
        carrying_out = await backfills.request_backfill(
            connection, backfill_id,
            from_at=from_at, to_at=to_at, sink=wanted.sink, form=wanted.format,
        )  # fmt: skip
        if carrying_out is None:
            raise HTTPException(
                429, f"{backfills.MOST_WAITING} backfills wait already: ask again when one is over."
            )
        return await _read(request, connection, carrying_out)


@router.get("/backfills")
async def list_backfills(
    request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[Backfill]:
    """The newest first."""
    async with request.app.state.engine.connect() as connection:
        rows = await backfills.list_backfills(connection, limit)
    return [_shown(row, request.app.state.clock()) for row in rows]


@router.get("/backfills/{backfill_id}")
async def read_backfill(request: Request, backfill_id: UUID) -> Backfill:
    """How far it has come."""
    async with request.app.state.engine.connect() as connection:
        return await _read(request, connection, backfill_id)


@router.post("/backfills/{backfill_id}/cancel")
async def cancel_backfill(request: Request, backfill_id: UUID) -> Backfill:
    """End it after the segment under way; what is in the set stays there."""
    async with request.app.state.engine.connect() as connection:
        if not await backfills.cancel_backfill(connection, backfill_id):
            await _refuse(request, connection, backfill_id, "cancelled")
        return await _read(request, connection, backfill_id)


@router.post("/backfills/{backfill_id}/resume")
async def resume_backfill(request: Request, backfill_id: UUID) -> Backfill:
    """Go on where it failed or was cancelled."""
    async with request.app.state.engine.connect() as connection:
        if not await backfills.resume_backfill(connection, backfill_id):
            await _refuse(request, connection, backfill_id, "resumed")
        return await _read(request, connection, backfill_id)


async def _refuse(request: Request, connection: Any, backfill_id: UUID, what: str) -> None:
    state = (await _read(request, connection, backfill_id)).state
    raise HTTPException(409, f"A backfill that is {state} cannot be {what}.")


async def _read(request: Request, connection: Any, backfill_id: UUID) -> Backfill:
    row = await backfills.read_backfill(connection, backfill_id)
    if row is None:
        raise HTTPException(404, f"There is no backfill {backfill_id}.")
    return _shown(row, request.app.state.clock())


def _shown(row: Row[Any], now: datetime) -> Backfill:
    facts = dict(row._mapping)
    return Backfill.model_validate(
        facts
        | {
            "from_": facts.pop("from_at"),
            "to": facts.pop("to_at"),
            "estimated_finish_at": _estimate(row, now),
        }
    )


def _estimate(row: Row[Any], now: datetime) -> datetime | None:
    if row.state != "running" or not row.done_segments or row.started_at is None:
        return None
    taken: timedelta = now - row.started_at
    left: float = (row.segments - row.done_segments) / row.done_segments
    return now + taken * left


def _is_whole_hour(moment: datetime) -> bool:
    return moment.replace(minute=0, second=0, microsecond=0) == moment
