"""`/sites`: which sites there are, since when, and what becomes of their events."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel, Field

from api.collector.sites import judge_site_name
from core.event import MAX_NAME_CHARS
from database import rule_changes
from database.intake_rules import SiteState
from database.segments import FenceBusy

router = APIRouter(prefix="/sites", tags=["sites"])


class Site(BaseModel):
    """One site."""

    site_id: str
    state: SiteState
    allowed: bool = Field(description="Whether ALLOWED_SITES lets it through, whatever its state.")
    first_seen_at: datetime
    first_dialect: str = Field(
        description="The protocol of its first event; management: it was named here before."
    )
    first_url: str | None = Field(description="The origin of its first event's page.")
    decided_at: datetime | None = Field(description="When somebody decided its state.")
    accepted: int
    rejected: int


class Sites(BaseModel):
    """By name."""

    sites: list[Site]


class Decision(BaseModel):
    """What is to become of a site's events."""

    state: SiteState


class DecidedSite(BaseModel):
    """What became of a decision; it holds for every event that is not stored yet."""

    site_id: str
    state: SiteState
    allowed: bool
    decided_at: datetime
    waiting_dead_letters: int = Field(description="Kept from its quarantine, not taken in yet.")
    message: str


@router.get("")
async def list_sites(
    request: Request,
    state: SiteState | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    after: Annotated[
        str, Query(description="The last site_id of the page before.", pattern=r"^[^\x00]*$")
    ] = "",
) -> Sites:
    """Every site that was ever named, with when and where it was first seen, and its counts."""
    allows = request.app.state.settings.site_policy.allows
    async with request.app.state.engine.connect() as connection:
        rows = await rule_changes.read_sites(connection, state=state, after=after, most=limit)
    return Sites(sites=[Site(allowed=allows(r.site_id), **r._mapping) for r in rows])


@router.put("/{site_id:path}")
async def decide_site(request: Request, site_id: str, decision: Decision) -> DecidedSite:
    """Accept, quarantine or refuse a site, known already or not.

    When this answers, no event of a site that is not accepted will be stored any more; what is
    accepted now, other workers take in within two seconds.
    """
    if refused := judge_site_name(site_id):
        raise HTTPException(422, f"{site_id!r} cannot be a site: {refused.message}.")
    if not 0 < len(site_id) <= MAX_NAME_CHARS:
        raise HTTPException(422, f"A site's name has 1 to {MAX_NAME_CHARS} characters.")
    try:
        decided = await rule_changes.decide_site(request.app.state.engine, site_id, decision.state)
    except FenceBusy as exc:
        raise fence_busy() from exc
    await request.app.state.rule_watch.look()
    allowed = request.app.state.settings.site_policy.allows(site_id)
    return DecidedSite(
        site_id=site_id,
        state=decision.state,
        allowed=allowed,
        decided_at=decided.decided_at,
        waiting_dead_letters=decided.waiting_letters,
        message=_message(decision.state, decided.waiting_letters, allowed=allowed),
    )


def fence_busy() -> HTTPException:
    """The answer when a writer does not let go of the fence."""
    return HTTPException(
        503,
        "Nothing was changed: a collector has been writing for too long. Ask again; one that is"
        " stuck is disconnected after 30 seconds.",
        headers={"Retry-After": "20"},
    )


def _message(state: SiteState, waiting: int, *, allowed: bool) -> str:
    if state == "accepted" and not allowed:
        return "Its events stay refused: no pattern of ALLOWED_SITES matches it."
    if state == "accepted" and waiting:
        return f"{waiting:,} kept events wait: POST /events/rejected/replay takes them in."
    return f"From now on its events are {state}."
