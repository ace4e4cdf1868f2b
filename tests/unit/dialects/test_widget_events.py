from __future__ import annotations

from datetime import UTC, datetime

from api.collector.dialects.widget_events import WidgetEventsDialect
from core.refusal import RefusalReason
from tests.unit.dialects.asking import ask

IMPRESSION = {
    "event_type": "widget_impression",
    "occurred_at": "2026-11-21T10:00:00.000Z",
    "session_id": "s_1",
    "visitor_id": "v_1",
    "page_url": "https://blog.example/post/7",
    "page_path": "/post/7",
    "referrer_domain": "www.google.com",
    "properties": {"mapping_id": 456, "post_id": 7, "viewport_percent": 100},
}


def test_a_batch_lands_in_the_contracts_columns() -> None:
    asked = ask(WidgetEventsDialect(), "/v1/events", {"events": [IMPRESSION]})
    row = asked.row
    assert (row.event_type, row.visitor_id, row.session_id) == ("widget_impression", "v_1", "s_1")
    assert row.occurred_at == datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert row.payload["url"] == "https://blog.example/post/7"
    assert row.payload["path"] == "/post/7"
    assert row.payload["referrerDomain"] == "www.google.com"
    assert row.payload["properties"] == IMPRESSION["properties"]
    assert row.payload["dialect"] == "widget_events"
    assert (asked.reply.status, asked.answer) == (200, {"accepted": 1, "rejected": 0})


def test_a_direct_visit_has_no_referrer() -> None:
    body = {"events": [IMPRESSION | {"referrer_domain": ""}]}
    assert ask(WidgetEventsDialect(), "/v1/events", body).row.payload["referrerDomain"] == ""


def test_an_event_that_is_refused_is_named() -> None:
    body = {"events": [IMPRESSION, {"visitor_id": "v_1"}, IMPRESSION]}
    asked = ask(WidgetEventsDialect(), "/v1/events", body)
    assert asked.reply.status == 200
    assert (asked.answer["accepted"], asked.answer["rejected"]) == (2, 1)
    (error,) = asked.answer["errors"]
    assert (error["index"], error["field"]) == (1, "eventType")


def test_the_same_id_is_the_same_event_whichever_of_its_forms_it_has() -> None:
    ulid, as_uuid = "01HM5Z3V0000000000000000AB", "018d0bf1-ec00-0000-0000-00000000014b"
    ids = [
        ask(WidgetEventsDialect(), "/v1/events", IMPRESSION | {"event_id": given}).row.event_id
        for given in (ulid, as_uuid)
    ]
    assert ids[0] == ids[1]


def test_nothing_acceptable_is_an_error() -> None:
    asked = ask(WidgetEventsDialect(), "/v1/events", {"events": []})
    assert asked.refused.reason is RefusalReason.EMPTY_BATCH
    assert asked.reply.status == 400
