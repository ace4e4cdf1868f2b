from __future__ import annotations

import base64
import json
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from api.collector.acceptance import Policy
from api.collector.dead_letters import keep_letters
from api.collector.decode import decode_body
from api.collector.dialects.dialect import DecodedBody, IntakeRequest
from api.collector.dialects.native import NativeDialect
from api.collector.intake_of import intake_of
from api.collector.judge_letter import judge_letter
from api.collector.letter_redaction import redact_payload
from api.collector.redaction.detector import Detector
from api.collector.redaction.redactor import Redactor
from api.collector.rules import Rules
from api.collector.sites import SitePolicy, SiteRules
from core.event import Event
from core.event_id import first_id_at, make_id_at
from core.refusal import POLICY_REASONS, RefusalReason, Refused
from database.intake_batch import Intake, LedgerCount, LedgerKey, decode_intake
from database.letter import MAX_LETTER_BYTES, MAX_LETTERS, DeadLetter, fit_payload, letter_of_row
from tests.conftest import a_batch, an_event
from tests.unit.accepting import ARRIVED_AT, FACTS, LIMITS, accept
from tests.unit.simple_redactor import SimpleRedactor

REQUEST = IntakeRequest("POST", "/collect", b"", {}, b'{"eventType":"batch","events":[]}')
REDACTED = {"redact_letter": partial(redact_payload, redactor=SimpleRedactor())}
PRIVATE_POLICY = Policy(limits=LIMITS, **REDACTED)
OURS = Redactor(frozenset(Detector))
CARD, MAIL, SECRET = "4242424242424242", "jane.doe@mail.example", "correct horse"


def letters(body: Any, **different: Any) -> list[DeadLetter]:
    return accept(body, **different).letters


def letter(body: Any, **different: Any) -> DeadLetter:
    (only,) = letters(body, **different)
    return only


def kept(reason: RefusalReason, number: int = 1) -> list[DeadLetter]:
    """Letters of events that were understood and then refused."""
    return keep_letters(
        [Refused(reason, "no", index=place) for place in range(number)],
        DecodedBody([Event(event_type="click") for _ in range(number)]),
        request=REQUEST,
        facts=FACTS,
        policy=PRIVATE_POLICY,
    )


# --- what a letter says -------------------------------------------------------------------------


def test_a_refused_event_is_kept_with_its_field_and_the_cause() -> None:
    found = letter(a_batch(an_event(), an_event(title=3)))
    assert found.reason == "invalid_event"
    assert found.field == "title"
    assert "Expected `str" in found.message
    assert found.event_type == "page_view"
    assert found.site_id == "fallback.example", "nobody believes what was not understood"
    assert found.arrived_at == ARRIVED_AT
    assert (found.dialect, found.request) == ("", "POST /collect")
    assert (found.ip, found.user_agent) == ("203.0.113.0", None)
    assert not found.is_cut
    assert found.payload_bytes == len(found.payload)


def test_an_event_is_kept_with_all_that_its_envelope_said() -> None:
    body = a_batch(an_event(visitorId=None, title=3), an_event(), site_id="a.example", app="portal")
    found = letter(body)
    (event,) = decode_body(found.payload.encode(), max_events=10, max_shared_bytes=10_000)
    assert isinstance(event, Refused), "as refused as it was"
    assert json.loads(found.payload) == {
        "site_id": "a.example", "app": "portal", "events": [an_event(
            eventId=json.loads(found.payload)["events"][0]["eventId"], visitorId=None, title=3)],
    }  # fmt: skip
    mended = found.payload.replace('"title": 3', '"title": "three"')
    (event,) = decode_body(mended.encode(), max_events=10, max_shared_bytes=10_000)
    assert isinstance(event, Event)
    assert (event.site_id, event.app, event.title) == ("shop.example", "portal", "three")


def test_an_event_that_was_understood_is_kept_in_our_own_words() -> None:
    found = letter({"event_type": "click", "page_url": "https://a.example/", "timestamp": 1e300})
    assert (found.reason, found.field) == ("invalid_time", "occurredAt")
    assert found.request == ""
    event = msgspec.json.decode(found.payload, type=Event)
    assert (event.event_type, event.url) == ("click", "https://a.example/")
    assert found.event_type == "click"


def test_a_whole_request_is_kept_as_it_was_sent() -> None:
    found = letter(b'{"eventType":"signup","events":')
    assert found.reason == "invalid_json"
    assert found.payload == '{"eventType":"signup","events":'
    assert found.event_type == "signup", "as far as it could be read"
    assert letter(b'{"eventType":"batch","events":[]}').event_type == ""


def test_what_a_get_sends_is_its_query() -> None:
    request = IntakeRequest("GET", "/pixel.gif", b"e=open&token=abc", {}, b"")
    refused = Refused(RefusalReason.INVALID_EVENT, "no type", field="eventType")
    (found,) = keep_letters([refused], refused, request=request, facts=FACTS, policy=PRIVATE_POLICY)
    assert (found.request, found.payload) == ("GET /pixel.gif", "e=open&token=[redacted]")


def test_the_site_of_an_event_that_was_understood_is_its_own() -> None:
    found = letter(an_event(occurredAt=1e300))
    assert found.site_id == "shop.example"


def test_ids_are_in_the_order_of_arrival() -> None:
    later = structs.replace(FACTS, arrived_at=ARRIVED_AT + timedelta(milliseconds=1))
    first, second = letter(b"{"), letter(b"{", facts=later)
    assert first.dead_letter_id < second.dead_letter_id
    assert first_id_at(ARRIVED_AT) <= first.dead_letter_id < first_id_at(later.arrived_at)
    assert make_id_at(ARRIVED_AT).version == first_id_at(ARRIVED_AT).version == 7
    assert first_id_at(ARRIVED_AT.replace(year=1)).int >> 80 == 0


# --- what is kept, and how much of it -----------------------------------------------------------


@pytest.mark.parametrize("reason", sorted(RefusalReason))
def test_what_policy_refuses_is_counted_and_never_kept(reason: RefusalReason) -> None:
    assert len(kept(reason)) == (reason not in POLICY_REASONS)


BROKEN = b'{"eventType":"a","title":3%s}'


@pytest.mark.parametrize(
    ("said", "signal", "kept_in"),
    [
        (b"", None, {"ignore", "respect_signals"}),
        (b"", "DNT", {"ignore"}),
        (b',"consent":"granted"', "Sec-GPC", {"ignore"}),
        (b',"consent":"granted"', None, {"ignore", "respect_signals", "require"}),
        (b',"consent" : "denied"', None, {"ignore"}),
        (b',"consent":"pending"', None, {"ignore"}),
        (b',"properties":{"text":"consent=denied"}', None, {"ignore"}),
        (b',"consent":"granted","x":{"consent":"denied"}', None, {"ignore"}),
    ],
)
@pytest.mark.parametrize("mode", ["ignore", "respect_signals", "require"])
def test_nothing_unread_is_kept_of_who_forbids_it_or_may_have(
    said: bytes, signal: Any, kept_in: set[str], mode: Any
) -> None:
    facts = structs.replace(FACTS, do_not_track=signal)
    for body in (BROKEN % said, b'{"events":[%s]}' % (BROKEN % said)):
        acceptance = accept(body, facts=facts, consent_mode=mode)
        assert len(acceptance.refused) == 1
        assert len(acceptance.letters) == (mode in kept_in)


def test_consent_of_what_was_understood_is_judged_before_anything_is_kept() -> None:
    late = an_event(occurredAt=1e300, consent="denied")
    acceptance = accept(late, consent_mode="respect_signals")
    assert [r.reason for r in acceptance.refused] == [RefusalReason.NO_CONSENT]
    assert acceptance.letters == []


def test_a_request_leaves_a_hundred_letters_at_most() -> None:
    acceptance = accept(a_batch(*[{"title": n} for n in range(300)]))
    assert len(acceptance.refused) == 300
    assert len(acceptance.letters) == MAX_LETTERS == 100
    assert json.loads(acceptance.letters[99].payload) == {"events": [{"title": 99}]}
    assert intake_of([acceptance]).counts == {
        LedgerKey("fallback.example", "", "invalid_event"): LedgerCount(300, 0, letters=100)
    }


def test_events_that_wait_for_their_site_are_kept_all_of_them() -> None:
    assert len(kept(RefusalReason.SITE_QUARANTINED, 150)) == 150
    assert len(kept(RefusalReason.INVALID_TIME, 150)) == 100


def test_a_whole_request_is_one_letter() -> None:
    acceptance = accept(b"{")
    assert intake_of([acceptance]).counts == {
        LedgerKey("fallback.example", "", "invalid_json"): LedgerCount(1, 0, letters=1)
    }


def test_letters_weigh_while_they_wait() -> None:
    acceptance = accept(a_batch(an_event(title=3)))
    assert acceptance.row_bytes == len(acceptance.letters[0].payload)


@pytest.mark.parametrize("size", [8_000, 8_150, 8_191, 8_192, 8_193, 20_000, 1_000_000])
@pytest.mark.parametrize("character", ["x", "é", "😀"])
def test_a_long_payload_is_cut_between_two_characters(size: int, character: str) -> None:
    body = ('{"x":"' + character * (size // len(character.encode()))).encode()
    found = letter(body)
    assert found.payload_bytes == len(body)
    assert len(found.payload.encode()) <= MAX_LETTER_BYTES
    assert body.startswith(found.payload.encode())
    assert found.is_cut == (len(body) > MAX_LETTER_BYTES)
    if found.is_cut:
        assert len(found.payload.encode()) > MAX_LETTER_BYTES - 4


def test_what_no_text_can_hold_is_taken_out() -> None:
    assert letter(b'\xff{"\xed\xa0\x80 \x00"').payload == '�{"��� "'
    found = letter({"eventType": "a", "title": "a\0b", "properties": {"\0": "\\u0000"}})
    assert found.reason == "nul_character"
    event = msgspec.json.decode(found.payload, type=Event)
    assert (event.title, event.properties) == ("ab", {"": "\\u0000"})
    assert fit_payload(r"\u0000\\u0000\\\u0000\u0000") == (r"\\u0000\\", False)


@given(st.binary(max_size=300))
def test_whatever_is_sent_can_be_stored(body: bytes) -> None:
    for found in letters(body, **REDACTED):
        for text in found:
            if isinstance(text, str):
                assert "\0" not in text
                text.encode()
        assert decode_intake(Intake(letters=[found]).encode()).letters == [found]


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5) | st.text(st.characters(categories=["Cs"])),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["eventType", "events", "title", "\ud800"]), inner)
        ),
        max_leaves=8,
    )
)
def test_whatever_json_is_sent_can_be_stored(value: Any) -> None:
    for found in letters(value, **REDACTED):
        for text in found:
            if isinstance(text, str):
                text.encode()


# --- nothing private ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        a_batch(an_event(title=3, properties={"note": CARD, "password": SECRET})),
        a_batch(an_event(title=3), visitorId=MAIL, properties={"password": SECRET, "n": CARD}),
        an_event(occurredAt=1e300, userId=MAIL, properties={"a": [{"token": SECRET}], "n": CARD}),
        # No JSON as a whole: names count there too.
        f'{{"eventType":"a","password":"{SECRET}","n":"{CARD} {MAIL}"'.encode(),
        f'{{"eventType":"a","n":"{MAIL}","token":"{SECRET}'.encode(),
        f'{{"eventType":"a","n":"{MAIL}","token":{{"x":["{SECRET}","y'.encode(),
        f'{{"eventType":"a","token" : {CARD}, "password": "{SECRET}\\"{SECRET}", oops'.encode(),
        f"password=correct+horse&mail={MAIL}&token={SECRET.replace(' ', '%20')}".encode(),
        # Cut: at the end of what is kept, and at the end of what is looked at.
        *[
            f'{{"eventType":"a","p":"{"x" * filler} {CARD} {MAIL}","token":"{SECRET * 9}"'.encode()
            for filler in [*range(8_140, 8_200, 3), *range(16_300, 16_400, 3)]
        ],
        *[
            json.dumps(an_event(title=3, properties={"p": "x" * n + f" {CARD} {MAIL}"})).encode()
            for n in [*range(7_900, 8_200, 7), *range(16_100, 16_400, 7)]
        ],
    ],
)  # fmt: skip
@pytest.mark.parametrize("redactor", [SimpleRedactor(), OURS], ids=["simple", "ours"])
def test_nothing_private_is_kept(body: Any, redactor: Any) -> None:
    found = letters(body, redact_letter=partial(redact_payload, redactor=redactor))
    assert found
    everything = json.dumps(found, default=str, ensure_ascii=False)
    for private in (CARD, MAIL, SECRET, "correct+horse", "correct%20horse", CARD[:12], "jane"):
        assert private not in everything


@pytest.mark.parametrize(
    "body",
    [
        b'{"eventType":"a","f":[{"name":"password","value":"hunter2"}], oops',
        b'{"eventType":"a","f":[{"value": "hunter2", "name": "password" , oops',
        b'{"eventType":"a","f":[{"name":"password","value":["hunter2", "x", oops',
        b'{"eventType":"a","f":[{"name":"password","value":{"x":"hunter2", oops',
        rb'{"eventType":"a","text":"{\"name\":\"password\",\"value\":\"hunter2\"}", oops',
        b"p=%7B%22name%22%3A%22password%22%2C%22value%22%3A%22hunter2%22",
    ],
)
def test_a_value_that_another_field_names_goes_too(body: bytes) -> None:
    found = letter(body, redact_letter=partial(redact_payload, redactor=OURS))
    assert "hunter2" not in found.payload


@pytest.mark.parametrize("head", ["cx=", '{"cx":"', '{"eventType":1,"cx":"'])
def test_json_in_base64_is_opened_and_packed_again(head: str) -> None:
    packed = base64.urlsafe_b64encode(b'[{"password":"hunter2","n":"??>>"}]').decode().rstrip("=")
    found = redact_payload(f"{head}{packed}".encode(), OURS)
    at = found.index("W3s")
    opened = base64.urlsafe_b64decode(found[at:] + "=" * (-len(found[at:]) % 4))
    assert json.loads(opened) == [{"password": "[redacted:secret]", "n": "??>>"}]
    clean = f"{head}{packed.replace('cGFzc3', 'bm90Zm')}"
    assert redact_payload(clean.encode(), OURS) == clean


@given(st.binary(max_size=60), st.sampled_from([b"eyJ", b"W3s", b'{"name":"token","value":"']))
def test_whatever_resembles_packed_json_is_read_without_failing(data: bytes, head: bytes) -> None:
    redact_payload(head + data, OURS)
    redact_payload(head + base64.b64encode(data), OURS)


def test_a_name_that_is_private_itself_goes_too() -> None:
    body = f'{{"{MAIL}": "{MAIL}", "x": '.encode()
    assert letter(body, **REDACTED).payload == '{"[redacted]": "[redacted]", "x": '
    assert letter(f"{MAIL}={MAIL}".encode(), **REDACTED).payload == "[redacted]=[redacted]"


def test_a_message_that_quotes_what_stood_there_is_redacted_too() -> None:
    found = letter(an_event(consent=MAIL), **REDACTED)
    assert found.field == "consent"
    assert found.message == "Invalid enum value '[redacted]'"
    assert letter(an_event(eventType=MAIL, title=3), **REDACTED).event_type == "[redacted]"


def test_what_the_browser_calls_itself_is_redacted_too() -> None:
    facts = structs.replace(FACTS, user_agent=f"Shop/7 ({MAIL})")
    assert letter(b"{", facts=facts, **REDACTED).user_agent == "Shop/7 ([redacted])"


def test_what_is_redacted_is_still_the_event_that_it_was() -> None:
    sent = an_event(occurredAt=1e300, properties={"note": CARD, "token": SECRET, "n": [1, 2.5]})
    found = letter(sent, **REDACTED)
    event = msgspec.json.decode(found.payload, type=Event)
    assert event.event_id == sent["eventId"]
    assert event.properties == {"note": "[redacted]", "token": "[redacted]", "n": [1, 2.5]}


# --- rows that only PostgreSQL refuses ----------------------------------------------------------


def test_a_row_becomes_the_event_that_it_was_made_from() -> None:
    facts = structs.replace(FACTS, dialect="segment")
    sent = an_event(
        occurredAt="2026-11-21T09:00:00Z", sentAt="2026-11-21T09:15:00Z", properties={"a": 1}
    )
    row = accept(sent, facts=facts).accepted[0].row
    found = letter_of_row(row, reason="unstorable", message="PostgreSQL refused it: why")
    event = json.loads(found.payload)
    # A quarter of an hour before it arrived, whatever the sender's clock says.
    assert event.pop("occurredAt") == "2026-11-21T10:00:31.204000Z"
    assert event == {k: v for k, v in sent.items() if k not in ("occurredAt", "sentAt")}
    assert (found.site_id, found.event_type, found.request) == ("shop.example", "page_view", "")
    assert (found.dialect, found.ip) == ("segment", "203.0.113.0")
    assert found.message == "PostgreSQL refused it: why"


def test_a_programs_event_that_waited_for_its_site_is_a_programs_still() -> None:
    waiting = Rules(sites=SiteRules(SitePolicy(new_sites="quarantine"), {}))
    facts = structs.replace(FACTS, user_agent="curl/8.1", bot_reason="tool:curl")
    found = letter(an_event(), facts=facts, rules=waiting)
    judged = judge_letter(
        SimpleNamespace(**found._asdict(), replayed_at=None),  # type: ignore[arg-type]
        dialects={"/collect": NativeDialect()},
        policy=Policy(limits=LIMITS),
    )
    (event,) = judged.acceptance.accepted
    assert event.is_bot


def test_a_letter_that_the_collector_fails_on_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(event_id: str, *, site_id: str) -> bytes:
        if event_id == "poison":
            raise KeyError(event_id)
        return bytes(16)

    monkeypatch.setattr("api.collector.steps.identity", fail)
    found = letter(b"no JSON")
    body = a_batch(an_event(eventId="good"), an_event(eventId="poison")).decode()
    judged = judge_letter(
        SimpleNamespace(**found._asdict() | {"payload": body}, replayed_at=None),  # type: ignore[arg-type]
        dialects={"/collect": NativeDialect()},
        policy=Policy(limits=LIMITS),
    )
    assert not judged.acceptance.accepted
    assert judged.refused is not None
    assert judged.refused.reason is RefusalReason.COLLECTOR_ERROR
