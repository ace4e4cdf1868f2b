"""Accept or refuse each event of a request: a pure function, no clock, no I/O.

An event goes through `STEPS`, in order; the first that refuses it ends its way. What the policy
leaves out is not in `steps_of`, so that a step which has nothing to do costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, NamedTuple

from api.collector.dialects.dialect import DecodedBody, status_of
from api.collector.steps import (
    Draft,
    check_payload,
    check_site,
    encode_payload,
    identify,
    place_in_time,
)
from core.event import Event
from core.refusal import RefusalReason, Refused
from database.intake_batch import (
    DeadLetter,
    IdentityLink,
    Intake,
    LedgerCount,
    LedgerKey,
    NewSite,
)
from database.row import encode_row


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a request, and an event in it, may be."""

    max_batch_events: int
    max_event_bytes: int
    max_depth: int
    max_stored_bytes: int
    """Of all events of a request: what they share is stored with each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """What the request says beside its body."""

    arrived_at: datetime
    fallback_site_id: str
    user_agent: str | None = None
    ip: str | None = None
    """Already truncated: the whole address goes no further than the connection."""
    dialect: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What this stack accepts, and what it does to an event first."""

    limits: Limits


class AcceptedEvent(NamedTuple):
    """One row for the buffer, its place in the request, and what the ledger counts it under."""

    place: int
    row: bytes
    site_id: str
    event_type: str
    payload_bytes: int
    visitor_id: str | None = None
    user_id: str | None = None
    is_bot: bool = False
    redactions: int = 0
    violates_plan: bool = False


@dataclass(slots=True)
class Acceptance:
    """What became of a request's events."""

    accepted: list[AcceptedEvent] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    refused_site_id: str = ""
    whole_request_refused: bool = False
    refused_events: int = 0
    """How many events the refusals stand for."""
    letters: list[DeadLetter] = field(default_factory=list)
    sites: list[NewSite] = field(default_factory=list)
    links: list[IdentityLink] = field(default_factory=list)

    @property
    def row_bytes(self) -> int:
        """How much the rows weigh while they wait."""
        return sum([len(event.row) for event in self.accepted])

    @property
    def status(self) -> int:
        """200 when anything was stored, or nothing sent; else what the first refusal comes to."""
        return 200 if self.accepted or not self.refused else status_of(self.refused[0].reason)

    def refuse(self, refused: Refused) -> None:
        """Refuse one more."""
        self.refused.append(refused)
        self.refused_events += 1


Step = Callable[[Draft], Refused | None]

STEPS: Final[tuple[Step, ...]] = (
    check_site,
    identify,
    place_in_time,
    encode_payload,
    check_payload,
)

_TOO_MUCH_TOGETHER: Final = Refused(
    RefusalReason.TOO_LARGE, "the events of this request are too large together: split the batch"
)


def accept(decoded: DecodedBody | Refused, *, facts: RequestFacts, policy: Policy) -> Acceptance:
    """Accept or refuse each event of a request; never raises for what a client sent."""
    if isinstance(decoded, Refused):
        return refuse_request(decoded, site_id=facts.fallback_site_id)
    acceptance = Acceptance(refused_site_id=facts.fallback_site_id)
    stored_bytes = 0
    for index, event in enumerate(decoded.events):
        outcome = (
            event if isinstance(event, Refused) else _accept_event(event, index, facts, policy)
        )
        if isinstance(outcome, Refused):
            acceptance.refuse(replace(outcome, index=index))
        elif stored_bytes + outcome.payload_bytes > policy.limits.max_stored_bytes:
            acceptance.refuse(replace(_TOO_MUCH_TOGETHER, index=index))
        else:
            stored_bytes += outcome.payload_bytes
            acceptance.accepted.append(outcome)
    return acceptance


def refuse_request(refused: Refused, *, site_id: str, events: int = 1) -> Acceptance:
    """An acceptance of nothing: the request failed as a whole."""
    return Acceptance(
        refused=[refused],
        refused_site_id=site_id,
        whole_request_refused=True,
        refused_events=events,
    )


def intake_of(acceptances: Iterable[Acceptance]) -> Intake:
    """What one transaction writes for some requests."""
    intake = Intake(rows=[], counts={}, letters=[], sites=[], links=[])
    for acceptance in acceptances:
        intake.rows += [event.row for event in acceptance.accepted]
        _count(acceptance, intake)
        intake.letters += acceptance.letters
        intake.sites += acceptance.sites
        intake.links += acceptance.links
    return intake


def _count(acceptance: Acceptance, intake: Intake) -> None:
    totals: dict[tuple[str, str], list[int]] = {}
    for event in acceptance.accepted:
        total = totals.get((event.site_id, event.event_type))
        if total is None:
            total = totals[event.site_id, event.event_type] = [0, 0, 0, 0, 0]
        total[0] += 1
        total[1] += event.payload_bytes
        if event.is_bot:
            total[2] += 1
        if event.redactions:
            total[3] += 1
        if event.violates_plan:
            total[4] += 1
    for name, total in totals.items():
        intake.add(LedgerKey(*name, "accepted"), LedgerCount(*total))
    if not acceptance.refused:
        return
    # The site of a refused event cannot be believed; the request's own can.
    site_id = acceptance.refused_site_id
    if acceptance.whole_request_refused:
        reason = str(acceptance.refused[0].reason)
        intake.add(LedgerKey(site_id, "", reason), LedgerCount(acceptance.refused_events, 0))
        return
    for refused in acceptance.refused:
        intake.add(LedgerKey(site_id, "", str(refused.reason)), LedgerCount(1, 0))


def _accept_event(
    event: Event, index: int, facts: RequestFacts, policy: Policy
) -> AcceptedEvent | Refused:
    draft = Draft(event, facts, policy)
    for step in STEPS:
        if refused := step(draft):
            return refused
    row = encode_row(
        event_id=draft.event_id,
        event_type=event.event_type,
        site_id=draft.site_id,
        visitor_id=event.visitor_id,
        session_id=event.session_id,
        user_id=event.user_id,
        occurred_at_us=draft.occurred_at_us,
        payload=draft.payload,
    )
    return AcceptedEvent(
        index,
        row,
        draft.site_id,
        event.event_type,
        len(draft.payload),
        event.visitor_id,
        event.user_id,
    )
