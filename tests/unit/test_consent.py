from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from api.collector.consent import find_signal
from tests.conftest import a_batch, an_event
from tests.unit.accepting import FACTS, accept, read_row

GRANTED = {"consent": "granted"}
INFORMED = {"consent": "granted", "consentPolicy": "2026-05"}


@pytest.mark.parametrize(
    ("headers", "signal"),
    [
        ({}, None),
        ({b"dnt": b"1"}, "DNT"),
        ({b"dnt": b"0"}, None),
        ({b"dnt": b"null"}, None),
        ({b"sec-gpc": b"1"}, "Sec-GPC"),
        ({b"sec-gpc": b"0"}, None),
        ({b"dnt": b"1", b"sec-gpc": b"1"}, "Sec-GPC"),
    ],
)
def test_signals_are_read_as_their_specifications_say(
    headers: dict[bytes, bytes], signal: str | None
) -> None:
    assert find_signal(headers) == signal


def outcome(mode: str, signal: str | None, event: dict[str, Any], **facts: Any) -> str:
    """The reason of the refusal, or accepted."""
    acceptance = accept(
        an_event(**event),
        facts=structs.replace(FACTS, do_not_track=signal, **facts),
        consent_mode=mode,
    )
    return str(acceptance.refused[0].reason) if acceptance.refused else "accepted"


@pytest.mark.parametrize(
    ("signal", "event", "respect_signals", "require"),
    [
        (None, {}, "accepted", "no_consent"),
        (None, {"consent": "unknown"}, "accepted", "no_consent"),
        (None, {"consent": "pending"}, "no_consent", "no_consent"),
        (None, {"consent": "denied"}, "no_consent", "no_consent"),
        (None, GRANTED, "accepted", "accepted"),
        (None, INFORMED, "accepted", "accepted"),
        ("DNT", {}, "do_not_track", "do_not_track"),
        ("DNT", {"consent": "denied"}, "do_not_track", "do_not_track"),
        ("DNT", GRANTED, "do_not_track", "do_not_track"),
        ("DNT", INFORMED, "accepted", "accepted"),
        ("Sec-GPC", {}, "do_not_track", "do_not_track"),
        ("Sec-GPC", GRANTED, "do_not_track", "do_not_track"),
        ("Sec-GPC", INFORMED, "do_not_track", "do_not_track"),
    ],
)
def test_what_overrides_what(
    signal: str | None, event: dict[str, Any], respect_signals: str, require: str
) -> None:
    assert outcome("respect_signals", signal, event) == respect_signals
    assert outcome("require", signal, event) == require
    assert outcome("ignore", signal, event) == "accepted"


def test_a_servers_headers_say_nothing_of_the_visitor() -> None:
    assert outcome("respect_signals", "Sec-GPC", {}, has_write_key=True) == "accepted"
    assert outcome("respect_signals", "DNT", {"consent": "denied"}, has_write_key=True) == (
        "no_consent"
    )
    assert outcome("require", None, {}, has_write_key=True) == "no_consent"


def test_the_envelopes_consent_holds_for_events_that_say_nothing() -> None:
    batch = a_batch(an_event(), an_event(consent="granted"), consent="denied")
    acceptance = accept(batch)
    assert [r.index for r in acceptance.refused] == [0]
    assert [e.place for e in acceptance.accepted] == [1]


def test_state_and_policy_stay_on_the_row() -> None:
    (event,) = accept(an_event(**INFORMED)).accepted
    payload = read_row(event.row).payload
    assert (payload["consent"], payload["consentPolicy"]) == ("granted", "2026-05")


def test_a_refusal_for_consent_is_no_error_of_the_senders() -> None:
    assert accept(an_event(consent="denied")).status == 200
