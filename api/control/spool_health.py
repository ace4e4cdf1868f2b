"""What `/health` tells of the spool: how much waits in it, and how long it can go on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, Field

from api.collector.async_spool import AsyncSpool
from api.collector.spool import Spool, SpoolBroken, SpoolFull, SpoolStatus


class SpoolHealth(BaseModel):
    """What waits for PostgreSQL to take it."""

    events: int
    bytes: int
    oldest_seconds: float | None = Field(description="How long its oldest entry has been in it.")
    room_bytes: int = Field(description="What still fits, by SPOOL_MAX_BYTES and by the disk.")
    seconds_until_full: float | None = Field(
        description="At the rate since the outage began; null while nothing goes in."
    )
    set_aside: int = Field(
        description="Entries that could not be written, and damaged files: kept for a person."
    )


@dataclass(frozen=True, slots=True)
class SpoolReading:
    """What the spool says of itself, or why it cannot."""

    status: SpoolStatus | None = None
    error: str | None = None

    @property
    def takes_events(self) -> bool:
        """Whether it would, if PostgreSQL were away."""
        return self.status is not None and self.status.room_bytes > 0

    def health(self, now: datetime) -> SpoolHealth | None:
        """As it stands in the answer; None when there is no spool or it cannot be read."""
        if self.status is None:
            return None
        oldest = self.status.oldest_appended_at
        return SpoolHealth(
            events=self.status.events,
            bytes=self.status.bytes,
            oldest_seconds=(now - oldest).total_seconds() if oldest else None,
            room_bytes=self.status.room_bytes,
            seconds_until_full=self.status.seconds_until_full,
            set_aside=self.status.set_aside_entries + self.status.damaged_files,
        )

    def problems(self, now: datetime) -> list[str]:
        """What is not as it should be, though no promise is broken by it."""
        if self.error is not None:
            return [
                f"The spool cannot be used ({self.error}): while PostgreSQL is away, events would"
                " be refused."
            ]
        status = self.status
        if status is None:
            return []
        problems = []
        if status.entries and status.oldest_appended_at is not None:
            seconds = (now - status.oldest_appended_at).total_seconds()
            problems.append(
                f"{status.events} events ({status.bytes} bytes) wait in the spool, the oldest for"
                f" {seconds:.0f} s; {_room(status)}."
            )
        if not self.takes_events:
            problems.append(
                "The spool has no room left, by SPOOL_MAX_BYTES or SPOOL_MIN_FREE_BYTES: while"
                " PostgreSQL is away, events are refused."
            )
        return problems

    def losses(self) -> list[str]:
        """What was acknowledged, and is not delivered until somebody looks after it."""
        status = self.status
        problems = []
        if status is not None and status.set_aside_entries:
            problems.append(
                f"{status.set_aside_entries} entries of the spool could not be written and are kept"
                " in it: the log says why. They are tried again when the collector starts."
            )
        if status is not None and status.damaged_files:
            problems.append(
                f"{status.damaged_files} damaged spool files are kept in SPOOL_DIR: damaged-… are"
                " still to be looked into; of unreadable-… something that was acknowledged is lost."
            )
        return problems


async def read_spool(spool: AsyncSpool | None) -> SpoolReading:
    """Never raises."""
    if spool is None:
        return SpoolReading()
    try:
        return SpoolReading(await spool.run(Spool.status))
    except (SpoolBroken, SpoolFull) as exc:
        return SpoolReading(error=str(exc))


def _room(status: SpoolStatus) -> str:
    room = f"{status.room_bytes} bytes still fit"
    if status.seconds_until_full is None:
        return room
    return f"{room}, for {status.seconds_until_full:.0f} s at this rate"
