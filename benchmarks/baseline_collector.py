"""The obvious collector, to measure ours against: what a tutorial would have you write.

FastAPI with a Pydantic model, a SQLAlchemy session for each request, one INSERT and one commit
for each event, the table indexed as one would for reading. It takes single events only, validates
little, redacts nothing, counts nothing, and is served by as many processes as ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from pydantic import BaseModel, ConfigDict
from sqlalchemy import BigInteger, DateTime, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from database.engine import sync_engine


class Base(DeclarativeBase):
    """Declarative base."""


class EventLog(Base):
    """One event."""

    __tablename__ = "baseline_events"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    event_type: Mapped[str] = mapped_column(Text)
    site_id: Mapped[str | None] = mapped_column(Text, index=True)
    session_id: Mapped[str | None] = mapped_column(Text)
    visitor_id: Mapped[str | None] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)


class EventIn(BaseModel):
    """The body."""

    model_config = ConfigDict(extra="allow")

    eventType: str  # noqa: N815 - the wire's name
    siteId: str | None = None  # noqa: N815
    sessionId: str | None = None  # noqa: N815
    visitorId: str | None = None  # noqa: N815


engine = sync_engine(os.environ["DATABASE_URL"], application_name="baseline")
app = FastAPI()


def get_session() -> Iterator[Session]:
    """A session a request."""
    with Session(engine) as session:
        yield session


@app.post("/collect")
def collect(event: EventIn, session: Annotated[Session, Depends(get_session)]) -> dict[str, int]:
    """Insert one event and commit."""
    session.add(
        EventLog(
            event_type=event.eventType,
            site_id=event.siteId,
            session_id=event.sessionId,
            visitor_id=event.visitorId,
            received_at=datetime.now(UTC),
            payload=event.model_dump(),
        )
    )
    session.commit()
    return {"accepted": 1, "rejected": 0}


@app.get("/events/count")
def count() -> dict[str, str]:
    """Says that it is up."""
    return {"status": "ok"}


if __name__ == "__main__":
    import uvicorn

    from api.workers import cores

    Base.metadata.create_all(engine)
    uvicorn.run(
        "benchmarks.baseline_collector:app",
        port=int(os.environ["API_PORT"]),
        workers=cores(),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
