"""`/recordings/count`: what became of the chunks of recordings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from core.event import MAX_NAME_CHARS
from database.recording_counts import READ_ALL, sum_chunks

router = APIRouter(prefix="/recordings", tags=["recordings"])


class RecordingCounts(BaseModel):
    """received = stored + repeated + refused; stored = delivered + pending + erased."""

    received: int
    stored: int
    repeated: int
    refused: int
    refused_by_reason: dict[str, int]
    delivered: int = Field(description="In the client's bucket, listed in a manifest.")
    pending: int
    erased: int
    removed: int = Field(description="Erased from the buffer when they had been delivered.")
    bytes: int = Field(description="Of those stored, gzipped.")


@router.get("/count")
async def count_recordings(
    request: Request,
    site_id: Annotated[str | None, Query(min_length=1, max_length=MAX_NAME_CHARS)] = None,
) -> RecordingCounts:
    """Count chunks, of one site or of all."""
    async with request.app.state.engine.connect() as connection:
        rows = (await connection.execute(READ_ALL, {"site_id": site_id})).all()
    counts = sum_chunks((row.outcome, row.chunks, row.bytes) for row in rows)
    return RecordingCounts(
        received=counts.received,
        stored=counts.stored,
        repeated=counts.repeated,
        refused=sum(counts.refused.values()),
        refused_by_reason=dict(counts.refused),
        delivered=counts.delivered,
        pending=counts.pending,
        erased=counts.erased,
        removed=counts.removed,
        bytes=counts.bytes,
    )
