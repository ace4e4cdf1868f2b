"""What is kept of refused events: what was sent, redacted and cut, beside the reason.

Whatever a letter holds can be read again: an event that was decoded is written in Sluice's own
words, with all that its envelope said; anything else is as it was sent, with the request's method
and path. Refusals that nothing is wrong with (`POLICY_REASONS`) are counted, and never kept; nor
is what could not be read when the sender forbids to be tracked, or may have.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from api.collector.consent import may_keep_unread
from core.event import MAX_NAME_CHARS, Event
from core.event_id import make_id_at
from core.refusal import POLICY_REASONS, RefusalReason, Refused
from database.letter import MAX_LETTERS, DeadLetter, fit_payload, storable

if TYPE_CHECKING:
    from api.collector.acceptance import Policy, RequestFacts
    from api.collector.dialects.dialect import DecodedBody, IntakeRequest

Redact = Callable[[bytes], str]

_encode: Final = msgspec.json.Encoder().encode
_EVENT_TYPE: Final = re.compile(rb'"event_?[tT]ype"\s*:\s*"([^"\\]{1,%d})"' % MAX_NAME_CHARS)
_MAX_MESSAGE_CHARS: Final = 1_000
_MILLISECOND: Final = timedelta(milliseconds=1)
# What is beyond the letter's end is redacted too, since a cut number or name is not recognised;
# and that much of the end is left out, since it was cut itself.
_REDACTED_BYTES: Final = 16_384
_CONTEXT_CHARS: Final = 512


class _Sent(NamedTuple):
    """What a refusal is about, and how it is to be read again."""

    payload: bytes
    request: str
    event_type: str
    site_id: str
    is_understood: bool


def keep_letters(
    refused: Sequence[Refused],
    decoded: DecodedBody | Refused,
    *,
    request: IntakeRequest,
    facts: RequestFacts,
    policy: Policy,
    most: int = sys.maxsize,
) -> list[DeadLetter]:
    """A letter for each refusal that something is wrong with, 100 at most.

    Events that wait for their site to be approved are kept all of them: they are no mistakes.
    `most` bounds both.
    """
    if not most:
        return []
    events = () if isinstance(decoded, Refused) else decoded.events
    wrong = [r for r in refused if r.reason not in POLICY_REASONS]
    waiting = [r for r in wrong if r.reason is RefusalReason.SITE_QUARANTINED]
    others = [r for r in wrong if r.reason is not RefusalReason.SITE_QUARANTINED]
    letters = []
    for one in [*waiting, *others[:MAX_LETTERS]][:most]:
        sent = _sent(one, events, request, facts, policy.redact_letter)
        # Of what was understood, consent was judged before anything else.
        if sent.is_understood or may_keep_unread(sent.payload, facts, policy.consent_mode):
            letters.append(_letter(one, sent, facts, policy.redact_letter))
    return letters


def _sent(
    refused: Refused,
    events: Sequence[Event | Refused],
    request: IntakeRequest,
    facts: RequestFacts,
    redact: Redact,
) -> _Sent:
    event = events[refused.index] if refused.index is not None else None
    if isinstance(event, Event):
        site_id = event.site_id or facts.fallback_site_id
        return _Sent(_encode(event), "", event.event_type, site_id, is_understood=True)
    payload, named = refused.payload or b"", f"{request.method} {request.path}"
    if refused.payload is None and len(events) <= 1:
        if request.body:
            payload = request.body
            if request.query:
                named += "?" + storable(redact(request.query))[:_MAX_MESSAGE_CHARS]
        elif request.query:
            payload, named = request.query, f"GET {request.path}"
    event_type = refused.event_type or _find_event_type(payload)
    return _Sent(payload, named, event_type, facts.fallback_site_id, is_understood=False)


def _find_event_type(payload: bytes) -> str:
    match = _EVENT_TYPE.search(payload)
    found = match[1].decode("utf-8", "replace") if match else ""
    return "" if found == "batch" else found


def _letter(refused: Refused, sent: _Sent, facts: RequestFacts, redact: Redact) -> DeadLetter:
    payload, is_cut = _written(sent.payload, redact)
    # What is left of a letter stands before it: a replay that goes on from there is done with it.
    moment = facts.arrived_at if facts.letter_id is None else facts.arrived_at - _MILLISECOND
    return DeadLetter(
        dead_letter_id=make_id_at(moment),
        arrived_at=facts.arrived_at,
        site_id=storable(sent.site_id),
        reason=str(refused.reason),
        # What was expected may quote what was there instead.
        field=_short(refused.field, redact) if refused.field else None,
        message=_short(refused.message, redact),
        event_type=_short(sent.event_type, redact)[:MAX_NAME_CHARS],
        dialect=facts.dialect,
        request=sent.request,
        payload=payload,
        payload_bytes=len(sent.payload),
        is_cut=is_cut,
        user_agent=_short(facts.user_agent, redact) if facts.user_agent else None,
        ip=facts.ip,
    )


def _written(payload: bytes, redact: Redact) -> tuple[str, bool]:
    """A payload as it may be stored, and whether its end is missing."""
    if len(payload) <= _REDACTED_BYTES:
        return fit_payload(redact(payload))
    return fit_payload(redact(payload[:_REDACTED_BYTES])[:-_CONTEXT_CHARS])[0], True


def _short(text: str, redact: Redact) -> str:
    return storable(redact(text.encode("utf-8", "replace")))[:_MAX_MESSAGE_CHARS]
