"""The steps of acceptance that look at who sent an event: bot, visitor, place, private values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from api.collector.bots import judge_user_agent
from api.collector.cookieless import DAILY_PREFIX, make_visitor_id
from api.collector.rules import SUPPRESSED
from api.collector.sender import ip_to_store
from api.collector.steps import check_size
from core.refusal import RefusalReason, Refused

if TYPE_CHECKING:
    from api.collector.steps import Draft
    from core.event import Event

BotMode = Literal["flag", "drop"]
CookielessMode = Literal["off", "dialects", "missing", "always"]

_encode: Final = msgspec.json.Encoder().encode


def flag_bot(draft: Draft) -> Refused | None:
    """Mark what a program sent, by the event's own user agent and the request's headers."""
    facts = draft.facts
    agent = draft.event.user_agent
    reason = judge_user_agent(agent)
    # What a server sends requests with says nothing of whom its events are about: it shows a key,
    # or comes from no page and names a browser.
    if reason is None and not facts.is_server and (agent is None or facts.from_page):
        reason = facts.bot_reason
    if reason is None:
        return None
    if draft.policy.bots == "drop":
        return Refused(RefusalReason.BOT, f"sent by a program ({reason}), not by a person")
    marks = draft.mark()
    marks.is_bot, marks.bot_reason = True, reason
    return None


def name_visitor(draft: Draft) -> Refused | None:
    """Make the visitor's id for the day, where the stack's setting says so."""
    event, facts, policy = draft.event, draft.facts, draft.policy
    match policy.cookieless:
        case "always":
            pass
        case "missing":
            if event.visitor_id is not None:
                return None
        case _:
            if event.visitor_id is not None or not facts.is_cookieless:
                return None
    if draft.visitor_ip is None:
        # Of a server's request all that is known is the server's own address.
        ip = None if facts.is_server else facts.whole_ip
    else:
        ip = draft.visitor_ip
    if not ip:
        # The browser alone would make one visitor of all who have the same.
        if policy.cookieless == "always" and not facts.is_server:
            _forget_lasting_id(event)
        return None
    assert policy.salts is not None, "a step of policies with salts"
    event.visitor_id = make_visitor_id(
        policy.salts.salt_for(facts.arrived_at.date()),
        site_id=draft.site_id,
        ip=ip,
        user_agent=event.user_agent or facts.user_agent,
    )
    suppressions = policy.rules.suppressions
    if suppressions and suppressions.covers(visitor_id=event.visitor_id, user_id=None):
        return SUPPRESSED
    return None


def _forget_lasting_id(event: Event) -> None:
    """Out of a dead letter comes an id that was made when its event did."""
    if event.visitor_id is not None and not event.visitor_id.startswith(DAILY_PREFIX):
        event.visitor_id = None


def locate(draft: Draft) -> Refused | None:
    """Country and region, where the event does not bring them; then the address is cut."""
    event, facts = draft.event, draft.facts
    if draft.visitor_ip is None:
        # Where a server stands says nothing of whom its events are about.
        if event.country is None and facts.country is not None and not facts.is_server:
            event.country = facts.country
            if event.region is None:
                event.region = facts.region
        return None
    place = draft.policy.locate(draft.visitor_ip)
    if event.country is None:
        event.country, event.region = place.country, event.region or place.region
    draft.mark().ip = ip_to_store(draft.visitor_ip, mode=draft.policy.ip_mode)
    return None


def redact(draft: Draft) -> Refused | None:
    """Replace what is private by marks; no step of events whose whole request is clean."""
    redactor = draft.policy.redactor
    assert redactor is not None, "a step of policies with a redactor"
    event = draft.event
    # One that could not be stored anyway would be seconds of work, and a part of them in calls
    # that hold every thread.
    if refused := check_size(len(_encode(event)), draft.policy.limits.max_event_bytes):
        return refused
    if event.user_agent is None:  # the header's stands on the row as well, and may say anything
        event.user_agent = draft.facts.user_agent
    found = redactor.redact_event(event, site_id=draft.site_id)
    if found:
        draft.mark().redactions = found
    return None
