"""Accept or refuse each event of a request: a pure function, no clock, no I/O.

An event goes through the policy's steps, in order; the first that refuses it ends its way. A
step that has nothing to do under a policy is none of its steps, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from traceback import extract_tb
from typing import Final
from uuid import UUID

from msgspec import Struct, structs

from api.addresses import read_address
from api.collector.consent import ConsentMode, Signal, honour_consent, require_consent
from api.collector.cookieless import SaltKeeper
from api.collector.dialects.dialect import DecodedBody, status_of
from api.collector.geo import Place, nowhere
from api.collector.identity import DEFAULT_IDENTITY_EVENTS, links_of, parse_identity_events
from api.collector.plan_in_force import PlanInForce
from api.collector.redaction import Redactor
from api.collector.rules import Rules
from api.collector.sender import IpMode
from api.collector.sender_steps import (
    BotMode,
    CookielessMode,
    flag_bot,
    locate,
    name_visitor,
    redact,
)
from api.collector.sites import SiteRules, new_site
from api.collector.steps import (
    Draft,
    check_payload,
    check_site,
    encode_payload,
    hold_to_plan,
    identify,
    place_in_time,
    refuse_suppressed,
)
from api.collector.write_keys import ANY_SITE, WriteKeys
from core.event import Event, ServerFacts
from core.refusal import RefusalReason, Refused
from database.intake_batch import DeadLetter, IdentityLink, NewSite
from database.row import encode_row

Step = Callable[[Draft], Refused | None]

STEPS: Final[tuple[Step, ...]] = (
    # Whatever forbids to keep an event comes first: what is refused later may be kept as a dead
    # letter.
    honour_consent,
    require_consent,
    refuse_suppressed,
    check_site,
    flag_bot,
    name_visitor,
    identify,
    place_in_time,
    locate,
    # The plan is about what was sent; what it refuses is redacted in its dead letter.
    hold_to_plan,
    redact,
    encode_payload,
    check_payload,
)
_FORBIDDING: Final = frozenset({honour_consent, require_consent, refuse_suppressed})
_NEEDED: Final[Mapping[Step, Callable[[Policy], bool]]] = {
    honour_consent: lambda policy: policy.consent_mode == "respect_signals",
    require_consent: lambda policy: policy.consent_mode == "require",
    refuse_suppressed: lambda policy: bool(policy.rules.suppressions),
    name_visitor: lambda policy: policy.salts is not None and policy.cookieless != "off",
    hold_to_plan: lambda policy: policy.plan is not None,
    redact: lambda policy: policy.redactor is not None,
}
"""When a step has something to do; those that are not named here always have."""


def steps_of(policy: Policy) -> tuple[Step, ...]:
    """The steps that have something to do under a policy, in order."""
    return tuple(step for step in STEPS if step not in _NEEDED or _NEEDED[step](policy))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a request, and an event in it, may be."""

    max_batch_events: int
    max_event_bytes: int
    max_depth: int
    max_string_chars: int = 16_384
    """Of a text in the properties."""
    max_stored_bytes: int
    """Of all events of a request: what they share is stored with each."""


class RequestFacts(Struct, kw_only=True, gc=False):
    """What the request says beside its body."""

    arrived_at: datetime
    fallback_site_id: str
    user_agent: str | None = None
    ip: str | None = None
    """As it may be stored."""
    whole_ip: str | None = None
    """For the visitor's id of the day; it goes no further than acceptance."""
    country: str | None = None
    region: str | None = None
    bot_reason: str | None = None
    """What the request's own headers tell of a program."""
    dialect: str = ""
    is_cookieless: bool = False
    """Whether its senders count on the server to tell visitors apart."""
    is_exempt: bool = False
    """Whether no limit of its address holds: a server, by its write key."""
    is_suspect: bool = True
    """Whether anything in it may have to be redacted."""
    is_server: bool = False
    """Whether a server sent it, which passes on what others did."""
    from_page: bool = True
    """Whether it says which page it comes from (Origin, Referer): only a browser's does."""
    do_not_track: Signal | None = None
    """The header by which the browser says so."""
    has_write_key: bool = False
    """A valid one, of a server: what stands in a page, every visitor of it knows."""
    letter_id: UUID | None = None
    """Of the dead letter that it is taken in from once more."""

    __repr__ = object.__repr__  # no address gets into a log by accident


def as_text(payload: bytes) -> str:
    """A payload as it is, for a stack that redacts nothing."""
    return payload.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What this stack accepts, and what it does to an event first."""

    limits: Limits
    rules: Rules = Rules()
    write_keys: WriteKeys | None = None
    """None while there are none: then any key is ignored."""
    consent_mode: ConsentMode = "respect_signals"
    identity_events: frozenset[str] = parse_identity_events(DEFAULT_IDENTITY_EVENTS)
    plan: PlanInForce | None = None
    """What events have to be like; None where nobody said."""
    redactor: Redactor | None = None
    bots: BotMode = "flag"
    cookieless: CookielessMode = "off"
    salts: SaltKeeper | None = None
    ip_mode: IpMode = "truncate"
    locate: Callable[[str], Place] = nowhere
    """Where an address is."""
    redact_letter: Callable[[bytes], str] = as_text
    """What may be kept of a refused payload, as text."""
    steps: tuple[Step, ...] = field(init=False, compare=False)
    """The way of an event: those of `STEPS` that have something to do here."""
    steps_of_clean: tuple[Step, ...] = field(init=False, compare=False)
    """Likewise, of an event in whose request nothing has to be redacted."""

    def __post_init__(self) -> None:
        steps = steps_of(self)
        object.__setattr__(self, "steps", steps)
        clean = tuple(step for step in steps if step is not redact)
        object.__setattr__(self, "steps_of_clean", clean)


class AcceptedEvent(Struct, frozen=True, gc=False):
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

    __repr__ = object.__repr__


class Acceptance(Struct, gc=False):
    """What became of a request's events."""

    accepted: list[AcceptedEvent] = []
    refused: list[Refused] = []
    refused_site_id: str = ""
    whole_request_refused: bool = False
    refused_events: int = 0
    """How many events the refusals stand for."""
    rules_version: int = 0
    """Of the rules that its events were judged by."""
    letters: list[DeadLetter] = []
    sites: list[NewSite] = []
    named: set[str] = set()
    """The same by name, while events are accepted: a batch may name thousands."""
    links: list[IdentityLink] = []

    __repr__ = object.__repr__

    @property
    def row_bytes(self) -> int:
        """How much the rows, and what is kept of the refused, weigh while they wait."""
        weight = sum([len(event.row) for event in self.accepted])
        if self.letters:
            weight += sum([len(letter.payload) for letter in self.letters])
        return weight

    @property
    def status(self) -> int:
        """200 when anything was stored, or nothing sent; else what the first refusal comes to."""
        return 200 if self.accepted or not self.refused else status_of(self.refused[0].reason)

    def refuse(self, refused: Refused) -> None:
        """Refuse one more."""
        self.refused.append(refused)
        self.refused_events += 1


_TOO_MUCH_TOGETHER: Final = Refused(
    RefusalReason.TOO_LARGE, "the events of this request are too large together: split the batch"
)


def accept(decoded: DecodedBody | Refused, *, facts: RequestFacts, policy: Policy) -> Acceptance:
    """Accept or refuse each event of a request; never raises for what a client sent."""
    if isinstance(decoded, Refused):
        return refuse_request(decoded, site_id=facts.fallback_site_id)
    judged = _judge_key(decoded.write_key, facts, policy.write_keys)
    if isinstance(judged, Refused):
        events = max(1, len(decoded.events))
        return refuse_request(judged, site_id=facts.fallback_site_id, events=events)
    facts, sites = judged, policy.rules.sites
    acceptance = Acceptance(
        refused_site_id=facts.fallback_site_id, rules_version=policy.rules.version
    )
    stored_bytes, familiar, ips = 0, sites.accepted, decoded.ips
    for index, event in enumerate(decoded.events):
        if isinstance(event, Refused):
            acceptance.refuse(replace(event, index=index))
            continue
        outcome = _accept_event(event, index, facts, policy, _claimed(ips, index) if ips else None)
        if isinstance(outcome, Refused):
            _refuse_event(outcome, event, index, acceptance, facts, sites)
        elif stored_bytes + outcome.payload_bytes > policy.limits.max_stored_bytes:
            _refuse_event(_TOO_MUCH_TOGETHER, event, index, acceptance, facts, sites)
        elif outcome.site_id not in familiar and (
            no_room := _note_site(event, acceptance, facts, sites)
        ):
            _refuse_event(no_room, event, index, acceptance, facts, sites)
        else:
            stored_bytes += outcome.payload_bytes
            acceptance.accepted.append(outcome)
            if event.user_id is not None:
                acceptance.links += links_of(event, policy.identity_events)
    return acceptance


def _claimed(ips: Mapping[int, str], index: int) -> str | None:
    """A visitor's address as a server tells it; what is none says that none is known."""
    ip = ips.get(index)
    return None if ip is None else read_address(ip) or ""


def _judge_key(
    key: str | None, facts: RequestFacts, write_keys: WriteKeys | None
) -> RequestFacts | Refused:
    """The facts with what a write key adds to them; refused when it is not one of ours."""
    if write_keys is None:
        # Any key will do for SDKs that must show one; from no page it is a server that shows it.
        is_server = key is not None and not facts.from_page
        return structs.replace(facts, is_server=True) if is_server else facts
    site_id = write_keys.judge(key, from_page=facts.from_page)
    if site_id is None or isinstance(site_id, Refused):
        return site_id or facts
    return structs.replace(
        facts,
        has_write_key=not facts.from_page,
        is_server=not facts.from_page,
        fallback_site_id=facts.fallback_site_id if site_id == ANY_SITE else site_id,
    )


def _refuse_event(
    refused: Refused,
    event: Event,
    index: int,
    acceptance: Acceptance,
    facts: RequestFacts,
    sites: SiteRules,
) -> None:
    if refused.reason is RefusalReason.SITE_QUARANTINED:
        refused = _note_site(event, acceptance, facts, sites) or refused
    site_id = event.site_id or facts.fallback_site_id
    acceptance.refuse(replace(refused, index=index, site_id=site_id))


def _note_site(
    event: Event, acceptance: Acceptance, facts: RequestFacts, sites: SiteRules
) -> Refused | None:
    """Record a site that is new; refused when this request names more than there is room for."""
    site_id = event.site_id
    assert site_id is not None  # filled in by `check_site`
    state = sites.judge(site_id).note_as
    if state is None or site_id in acceptance.named:
        return None
    if len(acceptance.sites) >= sites.room:
        return sites.full()
    acceptance.named.add(site_id)
    acceptance.sites.append(new_site(site_id, state, dialect=facts.dialect, url=event.url))
    return None


def refuse_request(refused: Refused, *, site_id: str, events: int = 1) -> Acceptance:
    """An acceptance of nothing: the request failed as a whole."""
    return Acceptance(
        refused=[refused],
        refused_site_id=site_id,
        whole_request_refused=True,
        refused_events=events,
    )


def _accept_event(
    event: Event, index: int, facts: RequestFacts, policy: Policy, visitor_ip: str | None
) -> AcceptedEvent | Refused:
    draft = Draft(event, index, facts, policy, visitor_ip)
    step = None
    try:
        for step in policy.steps if facts.is_suspect else policy.steps_of_clean:
            if refused := step(draft):
                return refused
    except Exception as exc:
        # Of a batch of a thousand this one alone is to be refused; but what may forbid to keep it
        # has to have had its say.
        if step in _FORBIDDING:
            raise
        return _mistaken(exc)
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
    marks = draft.marks or _UNMARKED
    return AcceptedEvent(
        index,
        row,
        draft.site_id,
        event.event_type,
        len(draft.payload),
        event.visitor_id,
        event.user_id,
        marks.is_bot,
        marks.redactions or 0,
        marks.plan_violation is not None,
    )


def _mistaken(exc: Exception) -> Refused:
    """Names the place and no value: messages of errors quote what was sent."""
    place = extract_tb(exc.__traceback__)[-1]
    where = f"{type(exc).__name__} in {Path(place.filename).name}, line {place.lineno}"
    return Refused(
        RefusalReason.COLLECTOR_ERROR, f"a mistake of the collector's own ({where}): report it"
    )


_UNMARKED: Final = ServerFacts()
