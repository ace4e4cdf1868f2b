"""`/events/rejected`: what was refused and why, and taking it in again after a fix."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Row

from api.collector.judge_letter import why_not
from api.collector.letter_replay import MAX_AT_ONCE, LetterReplay, Replayed, ReplayFailed
from core.refusal import RefusalReason
from database import dead_letters
from database.dead_letters import MAX_COUNTED, LetterFilter

router = APIRouter(prefix="/events/rejected", tags=["events"])

_NO_NUL: Final = r"^[^\x00]*$"
_RETRY_AFTER: Final = {"Retry-After": "5"}


class WantedLetters(BaseModel):
    """Which dead letters are meant: those that fit everything that is said."""

    model_config = ConfigDict(extra="forbid")

    site_id: str | None = Field(
        None, pattern=_NO_NUL, description="Of the event, or of the request's origin."
    )
    reason: RefusalReason | None = Field(None, description="Why they were refused last.")
    event_type: str | None = Field(None, pattern=_NO_NUL, description="As far as it could be read.")
    since: AwareDatetime | None = Field(None, description="Arrived then or later.")
    until: AwareDatetime | None = Field(None, description="Arrived before.")

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        if self.since and self.until and self.since >= self.until:
            raise ValueError("nothing arrives between `since` and an earlier `until`")
        return self

    def as_filter(self, *, is_replayed: bool | None) -> LetterFilter:
        """In the database's words."""
        return LetterFilter(
            site_id=self.site_id,
            reason=self.reason,
            event_type=self.event_type,
            since=self.since,
            until=self.until,
            is_replayed=is_replayed,
        )


class ListedLetters(WantedLetters):
    """Which dead letters to list, and which page of them."""

    replayed: bool | None = Field(None, description="Only those that were, or were not, replayed.")
    limit: int = Field(50, ge=1, le=500, description="Letters on a page.")
    cursor: UUID | None = Field(None, description="`next_cursor` of the page before.")


class RejectedEvent(BaseModel):
    """A dead letter: what was refused, and why."""

    dead_letter_id: UUID
    arrived_at: datetime = Field(description="When it came, by the server's clock.")
    site_id: str
    reason: str
    field: str | None = Field(description="Which field is wrong, where it is one.")
    message: str = Field(description="What was expected.")
    event_type: str = Field(description="As far as it could be read; empty where it could not.")
    dialect: str = Field(description="The protocol it came in; empty for Sluice's own.")
    request: str = Field(
        description="How the payload is to be read: as the body of a POST, as the query of a "
        "GET; empty for an event in Sluice's own words."
    )
    payload: str = Field(description="What was sent: redacted, and cut after 8,192 bytes.")
    payload_bytes: int = Field(description="Of what was sent.")
    user_agent: str | None
    ip: str | None = Field(description="Truncated, as on an accepted event.")
    version: str = Field(description="Of Sluice, that refused it last.")
    replayed_at: datetime | None = Field(description="When it was taken in after all.")
    not_replayable: str | None = Field(description="Why it cannot be taken in, whatever is mended.")


class RejectedEvents(BaseModel):
    """A page of dead letters, the newest first."""

    rejected: list[RejectedEvent]
    next_cursor: UUID | None = Field(description="`cursor` of the next page; null on the last.")
    total: int = Field(description=f"Letters that match; {MAX_COUNTED:,} stands for more too.")
    by_reason: dict[str, int] = Field(description="The same by reason.")
    not_kept: dict[str, int] = Field(
        description="Refused events since the stack was set up that are no dead letters because "
        "there were too many at once, by reason. What policy refuses (robots, no consent, rate "
        "limits and the like) is never kept, and stands in /events/count only."
    )


class ReplayRequest(BaseModel):
    """Which letters to take in again: by their ids, or by what they have in common."""

    model_config = ConfigDict(extra="forbid")

    ids: list[UUID] | None = Field(None, min_length=1, max_length=MAX_AT_ONCE)
    filter: WantedLetters | None = None
    cursor: UUID | None = Field(
        None, description="With `filter`: `next_cursor` of the last answer."
    )

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("say which letters: either `ids` or `filter`")
        if self.cursor is not None and self.filter is None:
            raise ValueError("`cursor` goes with `filter`")
        return self


class RefusedLetter(BaseModel):
    """A letter that stays, with its new reason."""

    dead_letter_id: UUID
    reason: str
    field: str | None
    message: str


class LetterLeftOut(BaseModel):
    """A letter that cannot be taken in, whatever is mended."""

    dead_letter_id: UUID
    why: str


class ReplayAnswer(BaseModel):
    """What became of the letters; everything taken in is durable, and cannot be taken in twice."""

    replayed: int = Field(description="Letters taken in.")
    accepted: int = Field(description="Events accepted out of them.")
    refused: list[RefusedLetter] = Field(description="Refused again; they stay.")
    left_out: list[LetterLeftOut] = Field(description="Of `ids`: those that cannot be replayed.")
    remaining: int = Field(description="Letters that were meant too and have not been looked at.")
    next_cursor: UUID | None = Field(
        description="With `filter`, while some remain: where to go on. Without it the next "
        "request would look at those first that were refused again."
    )


@router.get("")
async def list_rejected(
    request: Request, wanted: Annotated[ListedLetters, Query()]
) -> RejectedEvents:
    """List refused events, the newest first.

    Pages are complete and stable while new ones come in: what arrives later stands before the
    first page.
    """
    matching = wanted.as_filter(is_replayed=wanted.replayed)
    async with request.app.state.engine.connect() as connection:
        found = await dead_letters.list_letters(
            connection, matching, before=wanted.cursor, most=wanted.limit + 1
        )
        by_reason = await dead_letters.count_by_reason(connection, matching)
        not_kept = await dead_letters.read_not_kept(connection)
    page = found[: wanted.limit]
    return RejectedEvents(
        rejected=[_shown(letter) for letter in page],
        next_cursor=page[-1].dead_letter_id if len(found) > len(page) else None,
        total=sum(by_reason.values()),
        by_reason=by_reason,
        not_kept=not_kept,
    )


def _shown(letter: Row[Any]) -> RejectedEvent:
    return RejectedEvent(**letter._mapping, not_replayable=why_not(letter) or None)


@router.post("/replay", responses={503: {"description": "PostgreSQL is away: replay again."}})
async def replay_rejected(request: Request, wanted: ReplayRequest) -> ReplayAnswer:
    """Take refused events in again, after a fix; 1,000 letters at most.

    Each is dated as it was: by its own time, or by when it arrived. What is refused again stays,
    with its new reason. Safe to repeat: a letter is taken in once.
    """
    replay: LetterReplay = request.app.state.letter_replay
    try:
        if wanted.filter is not None:
            matching = wanted.filter.as_filter(is_replayed=False)
            return _answer(await replay.replay_letters(matching, after=wanted.cursor), paged=True)
        assert wanted.ids is not None
        return _answer(await replay.replay_ids(list(dict.fromkeys(wanted.ids))), paged=False)
    except ReplayFailed as exc:
        raise HTTPException(
            503,
            f"The replay did not come to its end ({exc}). Send the same request again: "
            "what was taken in is marked, and is not taken in twice.",
            headers=_RETRY_AFTER,
        ) from exc


def _answer(outcome: Replayed, *, paged: bool) -> ReplayAnswer:
    return ReplayAnswer(
        replayed=outcome.letters,
        accepted=outcome.events,
        refused=[
            RefusedLetter(
                dead_letter_id=r.dead_letter_id, reason=r.reason, field=r.field, message=r.message
            )
            for r in outcome.refused
        ],
        left_out=[
            LetterLeftOut(dead_letter_id=n.dead_letter_id, why=n.why) for n in outcome.not_replayed
        ],
        remaining=outcome.remaining,
        next_cursor=outcome.last if paged and outcome.remaining else None,
    )
