"""`/export/sinks/{sink}/test`: have a bucket examined, step by step.

The API never touches a bucket: it writes down what is asked for, the exporter carries it out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, HTTPException, Request, Response, status
from pydantic import BaseModel, Field
from sqlalchemy import Row

from core.event_id import make_event_id
from database import sink_test_requests

router = APIRouter(prefix="/export/sinks", tags=["export"])

TestState = Literal["requested", "running", "passed", "failed"]


class RequestedTest(BaseModel):
    """The test that carries out a request."""

    test_id: UUID
    state: TestState


class TestStep(BaseModel):
    """What one step came to."""

    step: str
    outcome: Literal["PASSED", "FAILED", "SKIPPED"]
    seen: str
    remedy: str = Field(description="What to do; empty unless it failed.")
    seconds: float


class SinkTest(BaseModel):
    """An examination of a bucket, as far as it has come."""

    test_id: UUID
    sink: str
    state: TestState = Field(description="failed as soon as it is finished and one step failed.")
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    steps: list[TestStep]


@router.post("/{sink}/test", status_code=status.HTTP_202_ACCEPTED)
async def test_sink(request: Request, response: Response, sink: str) -> RequestedTest:
    """Have the exporter examine a bucket now; a test that waits or is under way is joined."""
    async with request.app.state.engine.connect() as connection:
        known = await sink_test_requests.knows_sink(connection, sink)
        await connection.rollback()
        if not known:
            raise HTTPException(
                404, f"There is no sink {sink}, or no exporter has ever run: see /export/status."
            )
        test_id = await sink_test_requests.request_test(connection, sink, make_event_id())
        found = await sink_test_requests.read_test(connection, sink, test_id)
    response.headers["Location"] = f"/export/sinks/{sink}/tests/{test_id}"
    return RequestedTest(test_id=test_id, state=_state(found) if found else "requested")


@router.get("/{sink}/tests/{test_id}")
async def read_test(request: Request, sink: str, test_id: UUID) -> SinkTest:
    """What the steps of a test came to; the newest 20 of each sink are kept."""
    async with request.app.state.engine.connect() as connection:
        found = await sink_test_requests.read_test(connection, sink, test_id)
    if found is None:
        raise HTTPException(404, f"There is no test {test_id} of a sink {sink}.")
    return SinkTest(**found._mapping, state=_state(found))


def _state(test: Row[Any]) -> TestState:
    if test.started_at is None:
        return "requested"
    if test.finished_at is None:
        return "running"
    return "failed" if any(s["outcome"] == "FAILED" for s in test.steps) else "passed"
