from __future__ import annotations

import dataclasses
import json
import time
import tracemalloc
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec import structs

from api.collector.acceptance import Acceptance
from api.collector.intake_of import intake_of
from api.collector.rules import Rules
from api.collector.suppressions import Suppressions
from core.event import Event
from core.refusal import RefusalReason
from database.intake_batch import LedgerCount, LedgerKey
from tests.conftest import a_batch, an_event
from tests.unit.accepting import (
    ARRIVED_AT,
    FACTS,
    LIMITS,
    accept,
    accepted_row,
    accepted_rows,
    read_row,
)

GOOD = b'{"eventType":"click"}'
FIELDS = list(Event.__struct_fields__)
NAMES = st.sampled_from(
    [
        "eventType",
        "event_type",
        "events",
        "eventId",
        "siteId",
        "site_id",
        "timestamp",
        "sentAt",
        "occurredAt",
        "eventData",
        "properties",
        "page_url",
        "url",
        "ip",
        "consent",
        "eventVersion",
    ]
) | st.text(max_size=5)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    # Lone surrogates, escaped by json.dumps: browsers send those.
    | st.text(st.characters(categories=["Cs"]), min_size=1, max_size=2)
    | st.sampled_from(["2026-11-21T10:15:30Z", "", "\0", "x" * 300, 10**30, 1795256130123]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def check_whole(acceptance: Acceptance) -> None:
    """What holds for every outcome: each event is accounted for once, each row can be stored."""
    if acceptance.whole_request_refused:
        assert acceptance.accepted == []
        assert [refused.index for refused in acceptance.refused] == [None]
        return
    places = [e.place for e in acceptance.accepted] + [r.index for r in acceptance.refused]
    assert sorted(places, key=str) == sorted(range(len(places)), key=str)
    assert places
    for event in acceptance.accepted:
        row = read_row(event.row)
        assert row.occurred_at <= ARRIVED_AT
        assert "\0" not in json.dumps(row.payload, ensure_ascii=False)
    counts = intake_of([acceptance]).counts
    assert sum(count.events for count in counts.values()) == len(places)


# --- whatever is sent ---------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(body: bytes) -> None:
    check_whole(accept(body))


@given(st.text('{}[]",:\\ue0dtsnp1-.é \ud800', max_size=60))
def test_almost_json_never_raises(text: str) -> None:
    check_whole(accept(text.encode(errors="surrogatepass")))


@given(VALUES)
def test_arbitrary_json_never_raises(value: Any) -> None:
    check_whole(accept(value))


@given(
    envelope=st.dictionaries(NAMES, VALUES, max_size=4),
    events=st.lists(VALUES | st.dictionaries(NAMES, VALUES, max_size=5), max_size=4),
)
@example(envelope={"title": "\ud83d"}, events=[{"eventType": "click"}])
@example(envelope={"properties": {"\udc00": 1}}, events=[{"eventType": "click"}])
@example(envelope={"properties": {"x": float("inf")}, "y": 1}, events=[{"eventType": "click"}])
def test_arbitrary_batches_never_raise(envelope: dict[str, Any], events: list[Any]) -> None:
    check_whole(accept(envelope | {"events": events}))


@given(
    event=st.fixed_dictionaries(
        {"eventType": st.just("click")},
        optional=dict.fromkeys(
            ("occurredAt", "sentAt", "eventId", "properties", "screenWidth"), VALUES
        ),
    ),
    good=st.integers(1, 3),
)
def test_any_event_leaves_its_neighbours_alone(event: dict[str, Any], good: int) -> None:
    acceptance = accept(a_batch(*[an_event() for _ in range(good)], event, an_event()))
    check_whole(acceptance)
    assert {e.place for e in acceptance.accepted} >= set(range(good)) | {good + 1}


@pytest.mark.parametrize(
    "levels", [30, 39, 40, 41, 300, 490, 700, 960, 985, 1_000, 10_000, 100_000]
)
@pytest.mark.parametrize(
    "frame",
    [
        b'{"eventType":"click","properties":{"x":%s}}',
        b'{"event_type":"click","properties":{"x":%s}}',
        b'{"eventType":"click","title":"\\ud83d","properties":{"x":%s}}',
        b'{"eventType":"click","x":%s}',
        b'{"eventType":"batch","properties":{"x":%s},"events":[{"eventType":"click"}]}',
        b'{"eventType":"batch","x":%s,"events":[{"eventType":"click"}]}',
        b'{"events":%s}',
        b"%s",
    ],
)
def test_no_depth_of_nesting_raises(frame: bytes, levels: int) -> None:
    check_whole(accept(frame % deep(levels)))


def test_nesting_is_allowed_up_to_the_limit() -> None:
    # properties is the first level, the list in it the second.
    frame = b'{"eventType":"click","properties":{"x":%s,"y":[[],[],[],[]]}}'
    assert len(accept(frame % deep(38)).accepted) == 1
    (refused,) = accept(frame % deep(39)).refused
    assert (refused.reason, refused.field) == (RefusalReason.TOO_DEEP, "properties")


# --- one poison event, good neighbours ----------------------------------------------------------

POISON: dict[str, tuple[bytes, str, str | None]] = {
    "10,000-deep nesting": (
        b'{"eventType":"a","properties":{"x":' + deep(10_000) + b"}}", "too_deep", None,
    ),
    "NUL character": (b'{"eventType":"a","title":"a\\u0000b"}', "nul_character", None),
    "NUL in a property name": (
        b'{"eventType":"a","properties":{"\\u0000":1}}', "nul_character", None,
    ),
    "wrong type": (b'{"eventType":"a","title":3}', "invalid_event", "title"),
    "no type": (b'{"siteId":"shop.example"}', "invalid_event", "eventType"),
    "empty type": (b'{"eventType":""}', "invalid_event", "eventType"),
    "null": (b"null", "invalid_event", None),
    "a number": (b"7", "invalid_event", None),
    "an array": (b"[]", "invalid_event", None),
    "too long a name": (
        b'{"eventType":"' + b"x" * 201 + b'"}', "too_long", "eventType",
    ),
    "too large": (
        b'{"eventType":"a","properties":{"x":"' + b"x" * 33_000 + b'"}}', "too_large", None,
    ),
    "impossible time": (
        b'{"eventType":"a","occurredAt":"yesterday"}', "invalid_time", "occurredAt",
    ),
    "time beyond all clocks": (
        b'{"eventType":"a","occurredAt":1e300}', "invalid_time", "occurredAt",
    ),
    "a number beyond all floats": (
        b'{"eventType":"a","properties":{"x":1e400}}', "invalid_json", None,
    ),
    "negative size": (b'{"eventType":"a","screenWidth":-1}', "invalid_event", "screenWidth"),
    "huge size": (b'{"eventType":"a","screenWidth":2147483648}', "invalid_event", "screenWidth"),
    "unknown consent": (b'{"eventType":"a","consent":"maybe"}', "invalid_event", "consent"),
    "properties no object": (b'{"eventType":"a","properties":[1]}', "invalid_event", "properties"),
}  # fmt: skip


@pytest.mark.parametrize("name", POISON)
@pytest.mark.parametrize("frame", [b'{"events":[%s]}', b"[%s]"])
def test_a_poison_event_is_refused_alone(name: str, frame: bytes) -> None:
    poison, reason, field = POISON[name]
    acceptance = accept(frame % b",".join([GOOD, poison, GOOD, poison, GOOD]))
    assert [event.place for event in acceptance.accepted] == [0, 2, 4]
    assert [(r.index, r.reason.value) for r in acceptance.refused] == [(1, reason), (3, reason)]
    if field:
        assert acceptance.refused[0].field == field
    check_whole(acceptance)


def test_invalid_utf8_is_refused_alone() -> None:
    acceptance = accept(b'{"events":[%s,{"eventType":"\xff\xfe"},%s]}' % (GOOD, GOOD))
    assert [event.place for event in acceptance.accepted] == [0, 2]
    assert [(r.index, r.reason) for r in acceptance.refused] == [(1, RefusalReason.INVALID_JSON)]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (rb'"cut \ud83d"', "cut �"),
        (rb'"\udc00 cut"', "� cut"),
        (rb'"whole \ud83d\ude00"', "whole 😀"),
        (rb'"\ud83d\ud83d\ude00"', "�😀"),
        (rb'"no escape: \\ud800"', "no escape: \\ud800"),
    ],
)
def test_half_of_a_surrogate_pair_is_mended(sent: bytes, kept: str) -> None:
    rows = accepted_rows(b'{"events":[%s,{"eventType":"a","title":%s},%s]}' % (GOOD, sent, GOOD))
    assert [row.payload.get("title") for row in rows] == [None, kept, None]


def test_half_of_a_surrogate_pair_in_the_envelope_is_mended_too() -> None:
    row = accepted_row(
        rb'{"title":"\ud83d","properties":{"\udc00":1},"events":[{"eventType":"a"}]}'
    )
    assert row.payload["title"] == "�"
    assert row.payload["properties"] == {"�": 1}


def test_whole_numbers_keep_all_their_digits() -> None:
    row = accepted_row(b'{"eventType":"a","properties":{"x":123456789012345678901234567890}}')
    assert row.payload["properties"] == {"x": 123456789012345678901234567890}


@pytest.mark.parametrize(
    "poison", [b'{"eventType":"a","title":"\\ud83d"}', POISON["10,000-deep nesting"][0]]
)
def test_a_full_batch_survives_one_event_that_no_decoder_reads(poison: bytes) -> None:
    rich = json.dumps(an_event(properties={f"p{n}": "v" for n in range(40)})).encode()
    acceptance = accept(b'{"events":[%s]}' % b",".join([rich] * 1_999 + [poison]))
    assert len(acceptance.accepted) >= 1_999


@pytest.mark.parametrize(
    "body",
    [
        b"{" + b'\\"' * 500_000,
        b"[" + b'"\\' * 500_000,
        b'{"events":[' + b'"' * 999_999,
        b"[" * 1_000_000,
        b"{" * 1_000_000,
        b'{"a":' * 200_000,
        b'[{"events":[' * 80_000,
    ],
    ids=lambda body: body[:14].decode(),
)
def test_nonsense_of_a_megabyte_is_answered_in_linear_time(body: bytes) -> None:
    # A tenth of it first: where time grows with the square, the whole would never end.
    started = time.process_time()
    accept(body[:10_001])
    assert time.process_time() - started < 0.25
    started = time.process_time()
    check_whole(accept(body))
    assert time.process_time() - started < 5


def test_a_large_envelope_is_not_copied_for_each_of_its_events() -> None:
    shared = {f"key-{n}": n for n in range(8_000)}
    body = a_batch(*[{"eventType": "a"}] * 500, properties=shared)
    tracemalloc.start()
    try:
        acceptance = accept(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert acceptance.accepted == []
    assert acceptance.refused[0].reason is RefusalReason.TOO_LARGE
    assert peak < 50 * len(body), f"{peak:,} bytes for a body of {len(body):,}"


# --- whole requests -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b'{"eventType":"click"', "invalid_json"),
        (b'{"eventType":"click"} trailing', "invalid_json"),
        (b'{"eventType":"a","properties":{"x":NaN}}', "invalid_json"),
        (b"\xff\xfe{\x00}\x00", "invalid_json"),
        (b'{"events":[]}', "empty_batch"),
        (b"[]", "empty_batch"),
        (b'{"eventType":"batch"}', "empty_batch"),
        (b'{"eventType":"batch","events":null}', "empty_batch"),
        (b'{"eventType":"batch","sessionId":"s","batchNumber":7}', "empty_batch"),
        (b'{"events":{"eventType":"click"}}', "invalid_event"),
        (b'{"events":"click"}', "invalid_event"),
        (b'"click"', "invalid_event"),
        (b"null", "invalid_event"),
        (b'{"sentAt":"soon","events":[{"eventType":"a"}]}', "invalid_time"),
    ],
)
def test_a_body_that_holds_no_event(body: bytes, reason: str) -> None:
    acceptance = accept(body)
    assert acceptance.accepted == []
    assert [r.reason.value for r in acceptance.refused] == [reason]
    assert acceptance.refused[0].message


def test_a_batch_may_not_have_more_events_than_the_limit() -> None:
    limits = dataclasses.replace(LIMITS, max_batch_events=3)
    assert len(accept(a_batch(*[an_event()] * 3), limits=limits).accepted) == 3
    for body in (a_batch(*[an_event()] * 4), b"[%s]" % b",".join([GOOD] * 4)):
        acceptance = accept(body, limits=limits)
        assert acceptance.whole_request_refused
        assert acceptance.refused[0].reason is RefusalReason.TOO_LARGE


def test_what_events_share_is_weighed_with_each_of_them() -> None:
    limits = dataclasses.replace(LIMITS, max_stored_bytes=100_000)
    body = a_batch(*[{"eventType": "a"}] * 20, properties={"text": "x" * 9_000})
    acceptance = accept(body, limits=limits)
    assert [event.place for event in acceptance.accepted] == list(range(10))
    assert {refused.reason for refused in acceptance.refused} == {RefusalReason.TOO_LARGE}
    check_whole(acceptance)


def test_an_event_may_be_as_large_as_the_limit_as_stored() -> None:
    size = accept(an_event()).accepted[0].payload_bytes
    exact = dataclasses.replace(LIMITS, max_event_bytes=size)
    event = an_event()
    assert len(accept(event, limits=exact).accepted) == 1
    assert len(accept(event | {"title": ""}, limits=exact).refused) == 1


# --- names --------------------------------------------------------------------------------------


def test_snake_case_and_the_seeds_other_names_are_the_same_fields() -> None:
    row = accepted_row(
        {
            "event_id": "019aa1b2-7c1e-7a50-9d3e-3f1b8c2a4d5e",
            "event_type": "widget_impression",
            "occurred_at": "2026-11-21T10:00:00Z",
            "page_url": "https://a.example/post/1",
            "page_path": "/post/1",
            "country_code": "CH",
            "visitor_id": "v",
            "event_data": {"post_id": 1},
        }
    )
    assert row.payload | {"ip": None} == {
        "eventId": "019aa1b2-7c1e-7a50-9d3e-3f1b8c2a4d5e",
        "eventType": "widget_impression",
        "occurredAt": "2026-11-21T10:00:00Z",
        "siteId": "fallback.example",
        "visitorId": "v",
        "url": "https://a.example/post/1",
        "path": "/post/1",
        "country": "CH",
        "properties": {"post_id": 1},
        "ip": None,
    }


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_read_by_both_of_its_names(name: str) -> None:
    from core.event import COLUMNS, ColumnType, wire_fields

    wire = wire_fields()[name]
    kind = next(column.type for column in COLUMNS if column.name == name)
    value: Any = {
        ColumnType.STRING: "granted" if name == "consent" else "x",
        ColumnType.INT32: 7,
        ColumnType.BOOLEAN: True,
        ColumnType.TIMESTAMP: "2026-11-21T10:00:00Z",
        ColumnType.JSON: {"x": 1},
    }[kind]
    event = {"eventType": "click", wire: value}
    snake = {"event_type": "click", name: value}
    assert accepted_row(event).payload[wire] == value
    assert accepted_row(snake).payload[wire] == value


def test_fields_outside_the_contract_become_properties() -> None:
    row = accepted_row(an_event(scrollDepth=75, properties={"a": 1}, receivedAt="2020-01-01"))
    assert row.payload["properties"] == {"scrollDepth": 75, "a": 1, "receivedAt": "2020-01-01"}


@pytest.mark.parametrize(
    "body",
    [
        an_event(ip="10.1.2.3", properties={"a": 1}),
        an_event(ip="10.1.2.3", eventData={"a": 1}),
        {"events": [an_event(ip="10.1.2.3", properties={"a": 1})]},
        {
            "events": [
                an_event(ip="10.1.2.3", properties={"a": 1}),
                {"unknown": 1, "eventType": "a"},
            ]
        },
        {"ip": "10.1.2.3", "events": [an_event(properties={"a": 1})]},
        {"ip": "10.1.2.3", "other": 1, "events": [an_event(properties={"a": 1, "other": 1})]},
    ],
)
def test_what_only_the_server_says_lands_in_properties_when_a_client_says_it(body: Any) -> None:
    row = accepted_rows(body)[0]
    assert row.payload["ip"] == "203.0.113.0"
    assert row.payload["properties"].items() >= {"ip": "10.1.2.3", "a": 1}.items()


def test_numbers_are_taken_for_ids() -> None:
    row = accepted_row(
        {"eventType": "a", "eventId": 17, "userId": 123, "companyId": 456, "session_id": 9}
    )
    assert (row.user_id, row.session_id) == ("123", "9")
    assert row.payload["companyId"] == "456"
    assert row.payload["eventId"] == "17"


def test_a_boolean_is_no_id() -> None:
    (refused,) = accept({"eventType": "a", "userId": True}).refused
    assert (refused.reason, refused.field) == (RefusalReason.INVALID_EVENT, "userId")


# --- envelope -----------------------------------------------------------------------------------


def test_events_inherit_what_the_envelope_says_and_they_do_not() -> None:
    rows = accepted_rows(
        {
            "eventType": "batch",
            "eventId": "not-shared",
            "sessionId": "s-env",
            "siteId": "env.example",
            "properties": {"theme": "dark", "a": 0},
            "events": [
                {"eventType": "click", "properties": {"a": 1}},
                {"eventType": "scroll", "sessionId": "own", "site_id": "own.example"},
            ],
        }
    )
    assert [(r.event_type, r.session_id, r.site_id) for r in rows] == [
        ("click", "s-env", "env.example"),
        ("scroll", "own", "own.example"),
    ]
    assert [r.payload["properties"] for r in rows] == [
        {"theme": "dark", "a": 1},
        {"theme": "dark", "a": 0},
    ]
    assert all("not-shared" not in json.dumps(r.payload) for r in rows)


def test_a_snake_case_envelope_is_inherited_too() -> None:
    (row,) = accepted_rows(
        {"session_id": "s", "page_url": "https://a.example/", "events": [{"event_type": "a"}]}
    )
    assert (row.session_id, row.payload["url"]) == ("s", "https://a.example/")


SHARED = st.sampled_from(["title", "sessionId", "language"])


@given(
    st.dictionaries(SHARED, st.text("abc", min_size=1), max_size=3),
    st.lists(
        st.dictionaries(SHARED, st.text("xyz", min_size=1), max_size=3), min_size=1, max_size=4
    ),
)
def test_a_batch_equals_its_events_sent_alone(
    shared: dict[str, str], own: list[dict[str, str]]
) -> None:
    together = accepted_rows(
        {
            **shared,
            "events": [{"eventType": "a", "eventId": f"e{n}"} | e for n, e in enumerate(own)],
        }
    )
    alone = [
        accepted_row({"eventType": "a", "eventId": f"e{n}"} | shared | e) for n, e in enumerate(own)
    ]
    assert together == alone


# --- identity -----------------------------------------------------------------------------------


def test_an_event_without_an_id_gets_one() -> None:
    row = accepted_row({"eventType": "a"})
    assert row.event_id.version == 7
    assert row.payload["eventId"] == str(row.event_id)


@pytest.mark.parametrize(
    "placeholder", ["undefined", "null", "NaN", "[object Object]", "0", str(uuid.UUID(int=0))]
)
def test_a_placeholder_is_no_id(placeholder: str) -> None:
    rows = accepted_rows([an_event(eventId=placeholder), an_event(eventId=placeholder)])
    assert rows[0].event_id != rows[1].event_id
    assert rows[0].payload["eventId"] == str(rows[0].event_id)


def test_an_id_is_kept_as_given() -> None:
    row = accepted_row(an_event(eventId="evt_20250811_00001"))
    assert row.payload["eventId"] == "evt_20250811_00001"


# --- place --------------------------------------------------------------------------------------


@given(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200
    )
)
@example("ж" * 200)
@example("/" * 200)
def test_every_accepted_site_fits_into_a_folder_name_and_a_key(site_id: str) -> None:
    # A folder's name holds 255 bytes, an S3 key 1,024: one sender must not stop a sink.
    acceptance = accept(an_event(siteId=site_id))
    if acceptance.refused:
        assert acceptance.refused[0].field == "siteId"
        assume(len(site_id) > 20)
    else:
        assert len("site_id=" + quote(site_id, safe="")) <= 255


def test_the_place_is_the_senders_unless_the_event_says_otherwise() -> None:
    assert accepted_row({"eventType": "a"}).site_id == "fallback.example"
    assert accepted_row({"eventType": "a", "siteId": "b"}).site_id == "b"


def test_the_header_fills_in_for_the_user_agent() -> None:
    facts = structs.replace(FACTS, user_agent="From the header")
    assert accepted_row({"eventType": "a"}, facts=facts).payload["userAgent"] == "From the header"
    row = accepted_row({"eventType": "a", "userAgent": "Own"}, facts=facts)
    assert row.payload["userAgent"] == "Own"


# --- time ---------------------------------------------------------------------------------------

TEN = datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "sent",
    [
        "2026-11-21T10:00:00Z",
        "2026-11-21T10:00:00",
        "2026-11-21T11:00:00+01:00",
        "2026-11-21 10:00:00.000Z",
        TEN.timestamp(),
        int(TEN.timestamp() * 1000),
        TEN.timestamp() * 1000.0,
    ],
)
@pytest.mark.parametrize("name", ["occurredAt", "timestamp", "occurred_at"])
def test_times_are_read_in_every_form(name: str, sent: Any) -> None:
    row = accepted_row({"eventType": "a", name: sent})
    assert row.occurred_at == TEN
    assert datetime.fromisoformat(row.payload["occurredAt"]) == TEN


def test_without_a_time_it_happened_when_it_arrived() -> None:
    assert accepted_row({"eventType": "a"}).occurred_at == ARRIVED_AT


@given(
    skew=st.timedeltas(timedelta(days=-3_650), timedelta(days=3_650)),
    age=st.timedeltas(timedelta(0), timedelta(days=30)),
)
def test_a_wrong_clock_is_corrected_and_its_own_time_kept(skew: timedelta, age: timedelta) -> None:
    sent_at = ARRIVED_AT + skew
    row = accepted_row(
        {
            "sentAt": sent_at.isoformat(),
            "events": [{"eventType": "a", "occurredAt": (sent_at - age).isoformat()}],
        }
    )
    assert row.occurred_at == ARRIVED_AT - age
    assert datetime.fromisoformat(row.payload["occurredAt"]) == sent_at - age


@pytest.mark.parametrize("sent_at", [None, "2026-11-21T10:00:00Z"])
def test_nothing_happens_after_it_has_arrived(sent_at: str | None) -> None:
    row = accepted_row(an_event(occurredAt="2031-01-01T00:00:00Z", sentAt=sent_at))
    assert row.occurred_at == ARRIVED_AT


@pytest.mark.parametrize(
    "event",
    [
        {"occurredAt": "0001-01-01T00:00:00+14:00"},
        {"occurredAt": "9999-12-31T23:59:59-14:00"},
        {"occurredAt": "0001-01-01T00:00:00Z", "sentAt": "9999-12-31T00:00:00Z"},
        {"occurredAt": -(10**18)},
        {"occurredAt": 10**400},
        {"occurredAt": "2026-02-30T00:00:00Z"},
        {"occurredAt": 0, "sentAt": 10**17},
        {"occurredAt": True},
        {"occurredAt": []},
    ],
)
def test_times_that_no_clock_can_tell(event: dict[str, Any]) -> None:
    (refused,) = accept({"eventType": "a"} | event).refused
    assert refused.reason is RefusalReason.INVALID_TIME
    assert refused.field in ("occurredAt", "sentAt")


# --- counts -------------------------------------------------------------------------------------


def test_the_ledger_counts_each_site_and_type_and_each_reason() -> None:
    acceptance = accept(
        {
            "events": [
                {"eventType": "a", "siteId": "x"}, {"eventType": "a", "siteId": "x"},
                {"eventType": "b", "siteId": "x"}, {"eventType": "a", "siteId": "y"},
                {"eventType": 1}, 7, {"eventType": "c" * 201},
            ]
        }
    )  # fmt: skip
    sizes = [event.payload_bytes for event in acceptance.accepted]
    assert intake_of([acceptance]).counts == {
        LedgerKey("x", "a", "accepted"): LedgerCount(2, sizes[0] + sizes[1]),
        LedgerKey("x", "b", "accepted"): LedgerCount(1, sizes[2]),
        LedgerKey("y", "a", "accepted"): LedgerCount(1, sizes[3]),
        LedgerKey("fallback.example", "", "invalid_event"): LedgerCount(2, 0, letters=2),
        LedgerKey("fallback.example", "", "too_long"): LedgerCount(1, 0, letters=1),
    }


def test_a_row_carries_its_columns_beside_its_payload() -> None:
    event = an_event(userId="u", occurredAt="2026-11-21T10:00:00.123456Z")
    row = accepted_row(event)
    assert (str(row.event_id), row.event_type, row.site_id) == (
        event["eventId"],
        "page_view",
        "shop.example",
    )
    assert (row.visitor_id, row.session_id, row.user_id) == ("v-1", "s-1", "u")
    assert row.occurred_at == datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC)
    assert row.payload == event | {"ip": "203.0.113.0"}
    bare = accepted_row({"eventType": "a"})
    assert (bare.visitor_id, bare.session_id, bare.user_id) == (None, None, None)


def test_an_event_that_the_collector_fails_on_is_refused_alone_and_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(event_id: str, *, site_id: str) -> bytes:
        if event_id.startswith("anna"):
            raise KeyError(f"{site_id} {event_id}")
        return bytes(16)

    monkeypatch.setattr("api.collector.steps.identity", fail)
    accepted = accept(a_batch(an_event(), an_event(eventId="anna@example.com"), an_event()))
    assert len(accepted.accepted) == 2
    (refused,), (letter,) = accepted.refused, accepted.letters
    assert (refused.reason, refused.index) == (RefusalReason.COLLECTOR_ERROR, 1)
    assert "KeyError in test_acceptance.py, line" in refused.message
    assert "anna" not in refused.message
    assert "anna" in letter.payload, "nothing redacts it under this policy"


def test_what_might_forbid_to_keep_an_event_may_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Suppressions):
        def covers(self, *, visitor_id: str | None, user_id: str | None) -> bool:
            raise KeyError(visitor_id, user_id)

    with pytest.raises(KeyError):
        accept(an_event(), rules=Rules(suppressions=Broken(digests=frozenset({b""}))))
