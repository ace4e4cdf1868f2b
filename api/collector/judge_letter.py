"""What acceptance says today of an event that was refused before: pure, like acceptance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row

from api.collector.acceptance import Acceptance, Policy, RequestFacts, accept
from api.collector.bots import judge_user_agent
from api.collector.dead_letters import keep_letters
from api.collector.dialects.dialect import Dialect, IntakeRequest
from api.collector.redaction.detector import MARKED
from core.event import Event
from core.refusal import RefusalReason, Refused
from database.letter import MAX_LETTERS

_AS_AN_EVENT: Final = "POST /collect"
_FORM: Final = b"application/x-www-form-urlencoded"
_HOLDS_NOTHING: Final = Refused(RefusalReason.EMPTY_BATCH, "it holds no event")


@dataclass(slots=True)
class JudgedLetter:
    """A letter, and what acceptance says of it today."""

    letter: Row[Any]
    acceptance: Acceptance
    refused: Refused | None = None
    """Why the letter as a whole has to stay."""


def why_not(letter: Row[Any]) -> str:
    """Why a letter cannot be taken in, whatever is mended; "" when it can."""
    if letter.replayed_at is not None:
        return f"it was taken in already, at {letter.replayed_at.isoformat(timespec='seconds')}"
    if letter.is_cut:
        return "a part of what was sent is missing: it was too long to be kept whole"
    if not letter.payload:
        return "nothing was kept of what was sent"
    return ""


def judge_letter(
    letter: Row[Any], *, dialects: Mapping[str, Dialect], policy: Policy
) -> JudgedLetter:
    """Accept what a letter holds as it would have been accepted when it came, by today's rules."""
    facts = RequestFacts(
        arrived_at=letter.arrived_at,
        fallback_site_id=letter.site_id,
        user_agent=letter.user_agent,
        ip=letter.ip,
        dialect=letter.dialect,
        letter_id=letter.dead_letter_id,
    )
    request = _request_of(letter)
    dialect = dialects.get(request.path)
    if dialect is None:
        refused = Refused(RefusalReason.UNSUPPORTED_TYPE, f"nothing here reads {letter.request}")
        return JudgedLetter(letter, Acceptance(), refused)
    decoded = dialect.decode(request, limits=policy.limits)
    if not isinstance(decoded, Refused):
        _forget_marks(decoded.events)
        if not any(isinstance(e, Event) and e.user_agent for e in decoded.events):
            # A program's events stay a program's, though they waited for their site.
            facts.bot_reason = judge_user_agent(letter.user_agent)
    acceptance = accept(decoded, facts=facts, policy=policy)
    refused_again = acceptance.refused
    mistakes = [one for one in refused_again if one.reason is RefusalReason.COLLECTOR_ERROR]
    if not acceptance.accepted or len(refused_again) > MAX_LETTERS or mistakes:
        first = next(iter(mistakes or refused_again), _HOLDS_NOTHING)
        return JudgedLetter(letter, Acceptance(), first)
    if refused_again:
        # A request of which only a part is accepted: the rest becomes letters of their own.
        acceptance.letters = keep_letters(
            refused_again, decoded, request=request, facts=facts, policy=policy
        )
        acceptance.refused = []
    return JudgedLetter(letter, acceptance)


def _forget_marks(events: Sequence[Event | Refused]) -> None:
    """A redacted id is none: it would make all events that have it one, or all sites."""
    for event in events:
        if isinstance(event, Event):
            if event.event_id is not None and MARKED.search(event.event_id):
                event.event_id = None
            if event.site_id is not None and MARKED.search(event.site_id):
                event.site_id = None  # the letter knows which it was


def _request_of(letter: Row[Any]) -> IntakeRequest:
    method, _, target = (letter.request or _AS_AN_EVENT).partition(" ")
    path, _, query = target.partition("?")
    sent = letter.payload.encode()
    if method == "GET":
        return IntakeRequest(method, path, sent, {}, b"")
    content_type = b"application/json" if sent[:1] in b"{[" else _FORM
    return IntakeRequest(method, path, query.encode(), {b"content-type": content_type}, sent)
