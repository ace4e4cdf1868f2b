"""`/export/sinks/{sink}/…`: hold deliveries to a sink back, and let them go on."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field
from sqlalchemy import Row

from database import circuits

router = APIRouter(prefix="/export/sinks", tags=["export"])


class Pause(BaseModel):
    """Why, for whoever reads the status later."""

    reason: str = Field(default="paused by hand", min_length=1, max_length=500)


class SinkCircuit(BaseModel):
    """Whether deliveries to a sink go through."""

    sink: str
    circuit: Literal["closed", "open", "paused"] = Field(
        description="closed: deliveries go through. open: they failed, and only one is let"
        " through now and then. paused: by hand, until it is resumed."
    )
    since: datetime
    reason: str | None
    probe_at: datetime | None = Field(description="When an open circuit lets the next one through.")


@router.post("/{sink}/pause")
async def pause(request: Request, sink: str, body: Pause | None = None) -> SinkCircuit:
    """Deliver nothing more to a sink; the segment under way is delivered to its end.

    The other sinks go on. The buffer keeps what the sink has not got.
    """
    async with request.app.state.engine.connect() as connection:
        row = await circuits.pause_sink(connection, sink, (body or Pause()).reason)
    return _shown(row, sink)


@router.post("/{sink}/resume")
async def resume(request: Request, sink: str) -> SinkCircuit:
    """Go on with a sink that was paused or has stopped, at once; its failures are forgiven."""
    async with request.app.state.engine.connect() as connection:
        row = await circuits.resume_sink(connection, sink)
    return _shown(row, sink)


def _shown(row: Row[Any] | None, sink: str) -> SinkCircuit:
    if row is None:
        raise HTTPException(404, f"There is no sink {sink}: GET /export/status lists them.")
    return SinkCircuit.model_validate(dict(row._mapping))
