"""`/privacy/suppressions`: who is refused at intake, from the moment of the answer on."""

from __future__ import annotations

import logging
from typing import Annotated, Self

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StringConstraints, model_validator

from api.control.sites import fence_busy
from core.event import MAX_NAME_CHARS
from core.suppression import PersonKind
from database import rule_changes
from database.recording_erasure import ErasedChunks, erase_chunks
from database.segments import FenceBusy

log = logging.getLogger("sluice.control")

router = APIRouter(prefix="/privacy/suppressions", tags=["privacy"])

_MOST_PERSONS = 10_000

_Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARS)]
_Ids = Annotated[list[_Id], Field(max_length=_MOST_PERSONS)]


class Persons(BaseModel):
    """Visitors and users, by the ids that their events carry."""

    visitor_ids: _Ids = []
    user_ids: _Ids = []

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if not self.visitor_ids and not self.user_ids:
            raise ValueError("name somebody: visitor_ids, user_ids, or both")
        return self

    def by_kind(self) -> list[tuple[PersonKind, str]]:
        """Each with what kind of person it is."""
        visitors: list[tuple[PersonKind, str]] = [("visitor", v) for v in self.visitor_ids]
        return [*visitors, *(("user", u) for u in self.user_ids)]


class Suppressed(BaseModel):
    """How many are on the list; whom it names, it cannot tell."""

    visitors: int
    users: int


class Changed(Suppressed):
    """What a request changed; it holds for every event that is not stored yet."""

    changed: int = Field(description="Of those named, how many were not as asked before.")


class Erased(Changed):
    """What a suppression changed, and what it erased."""

    recording_chunks_erased: int = Field(
        description="Chunks of recordings that waited in the buffer, and reach no bucket any more."
    )
    recording_chunks_removed: int = Field(
        description="Likewise, of which the client's bucket has a copy: its index names the keys."
    )


@router.get("")
async def count_suppressed(request: Request) -> Suppressed:
    """Count whom intake refuses."""
    counts = await rule_changes.count_suppressed(request.app.state.engine)
    return Suppressed(visitors=counts["visitor"], users=counts["user"])


@router.post("")
async def suppress(request: Request, persons: Persons) -> Erased:
    """Refuse these persons' events: when this answers, none that is not stored yet will be.

    Chunks of their recordings that wait in the buffer are erased.
    """
    engine = request.app.state.engine
    try:
        changed = await rule_changes.suppress(engine, persons.by_kind())
        # After it, for then no chunk of theirs can come behind our back.
        found = await erase_chunks(engine, visitors=persons.visitor_ids, users=persons.user_ids)
    except FenceBusy as exc:
        raise fence_busy() from exc
    facts = {"persons": changed, "chunks": found.erased + found.removed}
    log.info("persons suppressed", extra=facts)
    return await _erased(request, changed, found)


@router.delete("")
async def lift(request: Request, persons: Persons) -> Changed:
    """Take these persons' events in again; other workers do within two seconds."""
    try:
        changed = await rule_changes.lift(request.app.state.engine, persons.by_kind())
    except FenceBusy as exc:
        raise fence_busy() from exc
    log.info("suppressions lifted", extra={"persons": changed})
    return await _changed(request, changed)


async def _changed(request: Request, changed: int) -> Changed:
    await request.app.state.rule_watch.look()
    counts = await rule_changes.count_suppressed(request.app.state.engine)
    return Changed(changed=changed, visitors=counts["visitor"], users=counts["user"])


async def _erased(request: Request, changed: int, found: ErasedChunks) -> Erased:
    after = await _changed(request, changed)
    return Erased(
        changed=after.changed,
        visitors=after.visitors,
        users=after.users,
        recording_chunks_erased=found.erased,
        recording_chunks_removed=found.removed,
    )
