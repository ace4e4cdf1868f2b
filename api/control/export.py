"""`/export/*`: what was delivered, what waits, and a way to ask for more.

The API never touches a bucket: it writes down what is asked for, the exporter carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request, status
from pydantic import BaseModel, Field
from sqlalchemy import Row

from api.control.alerts import ActiveAlert, active_alerts
from core.event_id import make_event_id
from core.promise import EXPORTER_SILENCE
from database import circuits, overview

router = APIRouter(prefix="/export", tags=["export"])

MAX_RUNS: Final = 200

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


class Delivery(BaseModel):
    """A run's segment on its way into one sink."""

    sink: str
    state: Literal["pending", "running", "delivered", "stopped"]
    attempts: int
    started_at: datetime | None = Field(description="Of the last attempt.")
    delivered_at: datetime | None
    rows: int | None
    bytes: int | None
    objects: int | None
    manifest_key: str | None
    last_error: str | None


class RunInDetail(Run):
    """A run, sink by sink."""

    deliveries: list[Delivery]


class Runs(BaseModel):
    """A page of runs, the newest first."""

    runs: list[Run]
    next: UUID | None = Field(description="For ?before=, to read on; null at the end.")


class RequestedRun(BaseModel):
    """The run that carries out a request."""

    run_id: UUID
    state: RunState


class Progress(BaseModel):
    """The delivery under way, as of the exporter's last heartbeat."""

    segment_id: int
    begun_at: datetime
    stage_begun_at: datetime
    stage: Literal["encoding", "uploading", "committing"]
    rows: int
    of_rows: int = Field(description="Rows of the segment, duplicates included.")
    objects: int
    of_objects: int = Field(description="0 until it is encoded.")
    estimated_seconds_left: float | None = Field(
        description="Of this stage, at its pace; null until there is one."
    )


class Disk(BaseModel):
    """The stack's disk, as the exporter sees it."""

    free_bytes: int
    total_bytes: int
    hours_until_full: float | None = Field(
        description="At the rate of the last hour; null while it is not filling up."
    )


class SinkStatus(BaseModel):
    """One bucket."""

    sink: str
    state: Literal["ok", "retrying", "stopped", "paused"]
    circuit: Literal["closed", "open", "paused"]
    circuit_since: datetime
    circuit_reason: str | None
    watermark: datetime | None = Field(
        description="Every event received before it has been delivered."
    )
    lag_seconds: float | None = Field(description="How far the watermark is behind the clock.")
    exported: int = Field(description="Rows in committed objects.")
    pending: int = Field(description="Accepted events that have not reached it.")
    pending_segments: int
    pending_bytes: int = Field(description="Of those events, as they were accepted.")
    next_run_at: datetime | None = Field(
        description="When the next delivery is tried; the next sealing while nothing waits."
    )
    current_run: Progress | None
    orphans: int = Field(description="Objects that no manifest lists, still to be removed.")
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

    state: Literal["ok", "retrying", "paused", "stopped", "unknown"]
    next_export_at: datetime | None
    exporter_seen_at: datetime | None
    disk: Disk | None = Field(description="Null until the exporter has looked.")
    files_per_day: int | None = Field(
        description="That the partition template makes in the client's bucket, at the rate of the"
        " last day; null while too little is known."
    )
    conservation: Conservation
    alerts: list[ActiveAlert] = Field(description="What somebody has to look at (docs/alerts.md).")
    sinks: list[SinkStatus]
    segments: dict[str, int] = Field(description="Segments in the buffer, by state.")
    recent_runs: list[Run]


class ExportConfig(BaseModel):
    """The exporter's settings as it runs with them; secrets say only whether they are set."""

    settings: dict[str, Any]


@router.post("/run", status_code=status.HTTP_202_ACCEPTED)
async def run_export(request: Request) -> RequestedRun:
    """Seal the open segment and deliver it now.

    A request joins the run that waits or is under way, unless something came in since that run
    was sealed: then it is one of its own.
    """
    async with request.app.state.engine.connect() as connection:
        run_id = await overview.request_run(connection, make_event_id())
        (run,) = await overview.read_runs(connection, run_id=run_id)
    return RequestedRun(run_id=run_id, state=_run_state(run))


@router.get("/runs")
async def list_runs(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_RUNS)] = 50,
    before: UUID | None = None,
) -> Runs:
    """The runs that are remembered, the newest first: those of the last 2,000 segments."""
    async with request.app.state.engine.connect() as connection:
        if before is not None and not await overview.read_runs(connection, run_id=before):
            raise HTTPException(404, f"There is no run {before} any more: begin anew.")
        found = await overview.read_runs(connection, before=before, most=limit + 1)
    more = len(found) > limit
    return Runs(
        runs=[_run(row) for row in found[:limit]], next=found[limit - 1].run_id if more else None
    )


@router.get("/runs/{run_id}")
async def read_run(request: Request, run_id: UUID) -> RunInDetail:
    """What became of a run, sink by sink."""
    async with request.app.state.engine.connect() as connection:
        found = await overview.read_runs(connection, run_id=run_id)
        deliveries = await overview.read_deliveries_of_run(connection, run_id)
    if not found:
        raise HTTPException(404, f"There is no run {run_id}.")
    return RunInDetail(
        **dict(_run(found[0])),
        deliveries=[Delivery.model_validate(dict(row._mapping)) for row in deliveries],
    )


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
        segments = await overview.read_segment_states(connection)
        exporter = await overview.read_exporter(connection)
        runs = await overview.read_runs(connection, most=10)
        alerts = await active_alerts(connection)
        heard_of = (
            exporter if exporter and now - exporter.last_seen_at <= EXPORTER_SILENCE else None
        )
        by_sink = _BySink(
            pending=pending,
            watermarks=await overview.read_watermarks(connection),
            circuits=await circuits.read_circuits(connection),
            orphans=await overview.read_orphans(connection),
            progress=heard_of.seen.get("progress", {}) if heard_of else {},
        )
    sinks = [
        _sink_status(d, by_sink, now=now, next_seal_at=exporter and exporter.next_seal_at)
        for d in deliveries
    ]
    accounted = [s.exported + s.pending + counts.duplicates for s in sinks]
    return ExportStatus(
        state=_overall(sinks) if heard_of else "unknown",
        next_export_at=exporter.next_seal_at if exporter else None,
        exporter_seen_at=exporter.last_seen_at if exporter else None,
        disk=exporter.seen.get("disk") if exporter else None,
        files_per_day=exporter.seen.get("files_per_day") if exporter else None,
        conservation=Conservation(
            received=counts.received,
            accepted=counts.accepted,
            rejected=counts.rejected,
            duplicates=counts.duplicates,
            holds=all(total == counts.accepted for total in accounted),
        ),
        alerts=alerts,
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


@dataclass(frozen=True, slots=True)
class _BySink:
    """What is known of each sink, by its name."""

    pending: dict[str, Row[Any]]
    watermarks: dict[str, datetime | None]
    circuits: dict[str, Row[Any]]
    orphans: dict[str, int]
    progress: dict[str, Any]


def _sink_status(
    delivery: Row[Any], by_sink: _BySink, *, now: datetime, next_seal_at: datetime | None
) -> SinkStatus:
    sink = delivery.sink
    pending, circuit = by_sink.pending[sink], by_sink.circuits[sink]
    watermark = by_sink.watermarks[sink]
    return SinkStatus(
        sink=sink,
        state=_sink_state(delivery, circuit),
        circuit=circuit.circuit,
        circuit_since=circuit.since,
        circuit_reason=circuit.reason,
        watermark=watermark,
        lag_seconds=(now - watermark).total_seconds() if watermark else None,
        exported=delivery.exported,
        pending=pending.events,
        pending_segments=pending.segments,
        pending_bytes=pending.bytes,
        next_run_at=_next_run_at(pending, circuit, next_seal_at),
        current_run=_progress(by_sink.progress.get(sink), now),
        orphans=by_sink.orphans.get(sink, 0),
        receipts_waiting=delivery.receipts_waiting,
        last_delivered_at=delivery.last_delivered_at,
        last_error=delivery.last_error,
    )


def _sink_state(
    delivery: Row[Any], circuit: Row[Any]
) -> Literal["ok", "retrying", "stopped", "paused"]:
    if circuit.circuit == "paused":
        return "paused"
    if delivery.stopped or circuit.circuit == "open":
        return "stopped"
    return "retrying" if delivery.last_error else "ok"


def _next_run_at(
    pending: Row[Any], circuit: Row[Any], next_seal_at: datetime | None
) -> datetime | None:
    if circuit.circuit == "paused":
        return None
    if circuit.circuit == "open":
        probe_at: datetime | None = circuit.probe_at
        return probe_at
    return pending.next_attempt_at or next_seal_at


def _progress(seen: dict[str, Any] | None, now: datetime) -> Progress | None:
    if seen is None:
        return None
    taken = (now - datetime.fromisoformat(seen["stage_begun_at"])).total_seconds()
    counted = "rows" if seen["stage"] == "encoding" else "objects"
    done, of = seen[counted], seen[f"of_{counted}"]
    left = taken * (of - done) / done if done and taken > 0 else None
    return Progress(**seen, estimated_seconds_left=left)


def _overall(sinks: list[SinkStatus]) -> Literal["ok", "retrying", "paused", "stopped"]:
    states = {sink.state for sink in sinks}
    for state in ("stopped", "paused", "retrying"):
        if state in states:
            return state
    return "ok"


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
