"""Consent: what the visitor, or the browser in their name, allows.

Two signals come with every request of a browser that was told to send them. Global Privacy Control
(`Sec-GPC: 1`) is an opt-out that some laws give force to, California's among them; consent undoes
it only when it was given in the face of it, which no event can prove: so nothing here overrides
it. `DNT: 1` is a wish without a law: it gives way to a consent that names what was consented to
(`consent: granted` with a `consentPolicy`), so that the row shows why it is there.

A request that shows a write key comes from a server, whose headers say nothing of the visitor.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from api.collector.dialects.dialect import Headers
from core.refusal import RefusalReason, Refused

if TYPE_CHECKING:
    from api.collector.acceptance import RequestFacts
    from api.collector.steps import Draft

ConsentMode = Literal["ignore", "respect_signals", "require"]
Signal = Literal["DNT", "Sec-GPC"]


def find_signal(headers: Headers) -> Signal | None:
    """The header that forbids tracking; of both the one that nothing overrides."""
    if headers.get(b"sec-gpc") == b"1":
        return "Sec-GPC"
    return "DNT" if headers.get(b"dnt") == b"1" else None


def honour_consent(draft: Draft) -> Refused | None:
    """Refuse what the browser's signal or the event's own consent forbids."""
    if draft.facts.do_not_track is not None and (refused := _judge_signal(draft)):
        return refused
    consent = draft.event.consent
    return _NO_CONSENT if consent is not None and consent in _WITHHELD else None


def require_consent(draft: Draft) -> Refused | None:
    """The same, and refuse whatever comes without a consent that was granted."""
    if draft.facts.do_not_track is not None and (refused := _judge_signal(draft)):
        return refused
    return None if draft.event.consent == "granted" else _NO_CONSENT


def may_keep_unread(payload: bytes, facts: RequestFacts, mode: ConsentMode) -> bool:
    """Whether to keep what no event could be read from: unless it, or its browser, may forbid it.

    Nobody can tell whose word in it holds for which event; so one that withholds is enough, and
    where consent is required, one that grants is needed.
    """
    if mode == "ignore":
        return True
    said = {match[1].decode() for match in _SAID.finditer(payload)}
    if facts.do_not_track is not None or said & set(_WITHHELD):
        return False
    return mode != "require" or "granted" in said


def _judge_signal(draft: Draft) -> Refused | None:
    facts, event = draft.facts, draft.event
    signal = facts.do_not_track
    if signal is None or facts.has_write_key:
        return None
    is_overridden = (
        signal == "DNT" and event.consent == "granted" and event.consent_policy is not None
    )
    return None if is_overridden else _SIGNALLED[signal]


_WITHHELD: Final = ("denied", "pending")
_SAID: Final = re.compile(rb"consent[\"'\s]*[:=][\"'\s]*(granted|denied|pending)\b")
_NO_CONSENT: Final = Refused(
    RefusalReason.NO_CONSENT, "the visitor has not consented", field="consent"
)
_SIGNALLED: Final[dict[Signal, Refused]] = {
    signal: Refused(RefusalReason.DO_NOT_TRACK, f"the browser says {signal}: 1", field=signal)
    for signal in ("DNT", "Sec-GPC")
}
