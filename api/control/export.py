"""`/export/*`: what was delivered, what waits, and a way to ask for more.

The API never touches a bucket: it writes down what is asked for, the exporter carries it out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException, Request, status
from pydantic import BaseModel, Field
from sqlalchemy import Row

from core.event_id import make_event_id
from database import overview

router = APIRouter(prefix="/export", tags=["export"])

RunState = Literal["requested", "delivering", "retrying", "completed", "stopped"]


class Run(BaseModel):
    """One sealing and its deliveries."""

    run_id: UUID
    trigger: Literal["schedule", "size", "manual"]
    state: RunState
    requested_at: datetime
    sealed_at: datetime | None
    segment_id: int | None
    delivered_at: datetime | None = Field(description="When the last of its sinks had it.")
    rows: int = Field(description="Rows delivered, over all sinks.")
    bytes: int
    last_error: str | None


class RequestedRun(BaseModel):
    """The run that carries out a request."""

    run_id: UUID
    state: RunState


class SinkStatus(BaseModel):
    """One bucket."""

    sink: str
    state: Literal["ok", "retrying", "stopped"]
    watermark: datetime | None = Field(
        description="Every event received before it has been delivered."
    )
    lag_seconds: float | None = Field(description="How far the watermark is behind the clock.")
    exported: int = Field(description="Rows in committed objects.")
    pending: int = Field(description="Accepted events that have not reached it.")
    pending_segments: int
    receipts_waiting: int = Field(description="Segments that it has without their receipt.")
    last_delivered_at: datetime | None
    last_error: str | None


class Conservation(BaseModel):
    """received = accepted + rejected; in each sink accepted = exported + pending + duplicates."""

    received: int
    accepted: int
    rejected: int
    duplicates: int
    holds: bool


class ExportStatus(BaseModel):
    """The exporter as a whole."""

    state: Literal["ok", "retrying", "stopped", "unknown"]
    next_export_at: datetime | None
    exporter_seen_at: datetime | None
    conservation: Conservation
    sinks: list[SinkStatus]
    segments: dict[str, int] = Field(description="Segments in the buffer, by state.")
    recent_runs: list[Run]


class ExportConfig(BaseModel):
    """The exporter's settings as it runs with them; secrets say only whether they are set."""

    settings: dict[str, Any]


@router.post("/run", status_code=status.HTTP_202_ACCEPTED)
async def run_export(request: Request) -> RequestedRun:
    """Seal the open segment and deliver it now; a request that waits already is joined."""
    async with request.app.state.engine.connect() as connection:
        run_id = await overview.request_run(connection, make_event_id())
    return RequestedRun(run_id=run_id, state="requested")


@router.get("/runs/{run_id}")
async def read_run(request: Request, run_id: UUID) -> Run:
    """What became of a run."""
    async with request.app.state.engine.connect() as connection:
        found = await overview.read_runs(connection, run_id=run_id)
    if not found:
        raise HTTPException(404, f"There is no run {run_id}.")
    return _run(found[0])


@router.get("/status")
async def export_status(request: Request) -> ExportStatus:
    """State, watermark, lag and backlog of each sink, and the conservation law's numbers."""
    now: datetime = request.app.state.clock()
    async with request.app.state.engine.connect() as connection:
        # One snapshot: the law holds at every instant, but not between two.
        await connection.execution_options(isolation_level="REPEATABLE READ")
        counts = await overview.read_counts(connection)
        pending = await overview.read_pending(connection)
        deliveries = await overview.read_deliveries(connection)
        watermarks = await overview.read_watermarks(connection)
        segments = await overview.read_segment_states(connection)
        exporter = await overview.read_exporter(connection)
        runs = await overview.read_runs(connection, most=10)
    sinks = [
        _sink_status(d, pending=pending[d.sink], watermark=watermarks[d.sink], now=now)
        for d in deliveries
    ]
    accounted = [s.exported + s.pending + counts.duplicates for s in sinks]
    return ExportStatus(
        state=_overall(sinks) if exporter else "unknown",
        next_export_at=exporter.next_seal_at if exporter else None,
        exporter_seen_at=exporter.last_seen_at if exporter else None,
        conservation=Conservation(
            received=counts.received,
            accepted=counts.accepted,
            rejected=counts.rejected,
            duplicates=counts.duplicates,
            holds=all(total == counts.accepted for total in accounted),
        ),
        sinks=sinks,
        segments=segments,
        recent_runs=[_run(row) for row in runs],
    )


@router.get("/config")
async def export_config(request: Request) -> ExportConfig:
    """The settings that the running exporter was started with."""
    async with request.app.state.engine.connect() as connection:
        exporter = await overview.read_exporter(connection)
    if exporter is None:
        raise HTTPException(404, "No exporter has ever run on this database: start it first.")
    return ExportConfig(settings=exporter.config)


def _sink_status(
    delivery: Row[Any], *, pending: Row[Any], watermark: datetime | None, now: datetime
) -> SinkStatus:
    return SinkStatus(
        sink=delivery.sink,
        state="stopped" if delivery.stopped else "retrying" if delivery.last_error else "ok",
        watermark=watermark,
        lag_seconds=(now - watermark).total_seconds() if watermark else None,
        exported=delivery.exported,
        pending=pending.events,
        pending_segments=pending.segments,
        receipts_waiting=delivery.receipts_waiting,
        last_delivered_at=delivery.last_delivered_at,
        last_error=delivery.last_error,
    )


def _overall(sinks: list[SinkStatus]) -> Literal["ok", "retrying", "stopped"]:
    states = {sink.state for sink in sinks}
    if "stopped" in states:
        return "stopped"
    return "retrying" if "retrying" in states else "ok"


def _run(row: Row[Any]) -> Run:
    return Run(
        run_id=row.run_id,
        trigger=row.trigger,
        state=_run_state(row),
        requested_at=row.requested_at,
        sealed_at=row.sealed_at,
        segment_id=row.segment_id,
        delivered_at=None if row.undelivered else row.delivered_at,
        rows=row.rows,
        bytes=row.bytes,
        last_error=row.last_error,
    )


def _run_state(row: Row[Any]) -> RunState:
    if row.sealed_at is None:
        return "requested"
    if row.stopped:
        return "stopped"
    if row.undelivered:
        return "retrying" if row.retrying else "delivering"
    return "completed"
