"""Taking dead letters in again: each once, dated as it was, whoever else tries."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.conftest import NOON, HandClock, a_batch, an_event
from tests.integration.building import collect, event_ids, ledger_of, query, serving
from tests.integration.test_rejected import only_letter, rejected

NOTHING = {"refused": [], "left_out": [], "remaining": 0, "next_cursor": None}


async def replay(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await http.post("/events/rejected/replay", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def replay_all(http: httpx.AsyncClient) -> dict[str, Any]:
    return await replay(http, filter={})


def large(**different: Any) -> dict[str, Any]:
    """An event that is refused until MAX_EVENT_BYTES is raised."""
    return an_event(properties={"text": "x" * 1_000}) | different


def rows(database_url: str, what: str) -> list[Any]:
    return query(
        database_url, f"SELECT {what} FROM events_log ORDER BY payload->>'title', event_id"
    )


STRICT = {"MAX_EVENT_BYTES": "900"}


# --- what is taken in ---------------------------------------------------------------------------


async def test_a_letter_is_taken_in_as_the_event_that_it_was(
    database_url: str, clock: HandClock
) -> None:
    event = large(eventId="ours", occurredAt="2026-11-21T11:00:00Z", sentAt="2026-11-21T11:05:00Z")
    async with serving(database_url, clock=clock, **STRICT) as http:
        await collect(http, event, user_agent="Agent/1")
    clock.turn(days=3)
    async with serving(database_url, clock=clock) as http:
        letter = await only_letter(http)
        assert letter["reason"] == "too_large"
        answer = await replay(http, ids=[letter["dead_letter_id"]])
        assert answer == NOTHING | {"replayed": 1, "accepted": 1}
        count = (await http.get("/events/count")).json()
        after = await only_letter(http)
    ((occurred_at, payload),) = rows(database_url, "occurred_at, payload")
    assert occurred_at == NOON - timedelta(minutes=5), "by the clock that it came under"
    assert payload == event | {"userAgent": "Agent/1", "ip": "127.0.0.0"}
    assert (count["received"], count["count"], count["rejected"]) == (2, 1, 1)
    assert after["replayed_at"] is not None
    assert after["not_replayable"].startswith("it was taken in already")


async def test_an_event_without_a_time_happened_when_it_arrived(
    database_url: str, clock: HandClock
) -> None:
    async with serving(database_url, clock=clock, **STRICT) as http:
        await collect(http, large())
    clock.turn(hours=5)
    async with serving(database_url, clock=clock) as http:
        await replay_all(http)
    assert rows(database_url, "occurred_at") == [(NOON,)]


async def test_events_of_a_whole_request_get_ids_that_stay_the_same(database_url: str) -> None:
    events = [{"eventType": "a", "title": str(n)} for n in range(3)]
    async with serving(database_url, MAX_BATCH_EVENTS="2") as http:
        await collect(http, a_batch(*events, siteId="shop.example"))
    async with serving(database_url) as http:
        letter = await only_letter(http)
        assert (letter["reason"], letter["request"]) == ("too_large", "POST /collect")
        assert await replay_all(http) == NOTHING | {"replayed": 1, "accepted": 3}
    made = {uuid.uuid5(UUID(letter["dead_letter_id"]), str(n)) for n in range(3)}
    assert {row[0] for row in rows(database_url, "event_id")} == made
    assert {row[0] for row in rows(database_url, "site_id")} == {"shop.example"}
    assert ledger_of(database_url) == {"accepted": 3, "too_large": 1}


async def test_of_a_request_that_is_accepted_in_part_the_rest_stays(database_url: str) -> None:
    async with serving(database_url, MAX_BATCH_EVENTS="2") as http:
        await collect(http, a_batch(an_event(), {"eventType": 7}, an_event(), app="portal"))
    async with serving(database_url) as http:
        whole = await only_letter(http)
        assert await replay_all(http) == NOTHING | {"replayed": 1, "accepted": 2}
        (part,) = (await rejected(http, replayed="false"))["rejected"]
        assert part["dead_letter_id"] < whole["dead_letter_id"]
        assert (part["reason"], part["field"]) == ("invalid_event", "eventType")
        assert json.loads(part["payload"]) == {"app": "portal", "events": [{"eventType": 7}]}
        assert part["arrived_at"] == whole["arrived_at"]
        again = await replay_all(http)
        assert [refused["reason"] for refused in again["refused"]] == ["invalid_event"]
    assert ledger_of(database_url) == {"accepted": 2, "too_large": 1}


async def test_what_came_in_another_protocol_is_read_by_it_again(database_url: str) -> None:
    batch = {"events": [{"type": "pageview", "title": str(n)} for n in range(3)]}
    async with serving(database_url, MAX_BATCH_EVENTS="2", MAX_EVENT_BYTES="500") as http:
        await http.post("/api/v1/track/event", json=batch)
        await http.get("/pixel.gif", params={"et": "open", "text": "x" * 600})
        letters = (await rejected(http))["rejected"]
    assert {letter["request"] for letter in letters} == {"POST /api/v1/track/event", ""}
    async with serving(database_url) as http:
        assert await replay_all(http) == NOTHING | {"replayed": 2, "accepted": 4}
    assert query(
        database_url,
        "SELECT payload->>'dialect', count(*) FROM events_log GROUP BY 1 ORDER BY 1",
    ) == [("ecomdash", 3), ("pixel", 1)]


async def test_a_letter_without_nul_characters_is_an_event(database_url: str) -> None:
    async with serving(database_url) as http:
        await collect(http, an_event(title="a\0b"))
        assert await replay_all(http) == NOTHING | {"replayed": 1, "accepted": 1}
    assert rows(database_url, "payload->>'title'") == [("ab",)]


async def test_events_are_replayed_after_the_plan_is_mended(
    database_url: str, tmp_path: Path
) -> None:
    schema = tmp_path / "click.json"
    schema.write_text('{"properties":{"x":{"type":"integer"}}}')
    plan = {"TRACKING_PLAN_DIR": str(tmp_path), "TRACKING_PLAN_MODE": "enforce"}
    wrong = [
        an_event(eventType="click", eventId=f"e{n}", properties={"x": n + 0.5}) for n in range(3)
    ]
    async with serving(database_url, **plan) as http:
        answer = (await collect(http, a_batch(*wrong, an_event(eventType="click")))).json()
        assert [(e["reason"], e["field"]) for e in answer["errors"]] == [
            ("plan_violation", "properties.x")
        ] * 3
        again = await replay_all(http)
        assert (again["replayed"], len(again["refused"])) == (0, 3), "nothing is mended yet"
    schema.write_text('{"properties":{"x":{"type":"number"}}}')
    async with serving(database_url, **plan) as http:
        answer = await replay(http, filter={"reason": "plan_violation", "event_type": "click"})
        assert answer == NOTHING | {"replayed": 3, "accepted": 3}
    assert {"e0", "e1", "e2"} < set(event_ids(database_url))
    assert ledger_of(database_url) == {"accepted": 4, "plan_violation": 3}


# --- once ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["ids", "filter"])
async def test_of_many_replays_at_once_one_takes_a_letter_in(database_url: str, by: str) -> None:
    async with serving(database_url, **STRICT) as http:
        await collect(http, a_batch(*[large(eventId=f"e{n}") for n in range(40)]))
        ids = [letter["dead_letter_id"] for letter in (await rejected(http))["rejected"]]
    async with serving(database_url) as one, serving(database_url) as other:
        wanted: list[dict[str, Any]] = [
            {"ids": ids[n:] + ids[:n]} if by == "ids" else {"filter": {}} for n in range(8)
        ]
        # Some of the same letters each, in different order.
        wanted += [{"ids": ids[5 * n : 5 * n + 10]} for n in range(6)]
        answers = await asyncio.gather(
            *[replay((one, other)[n % 2], **body) for n, body in enumerate(wanted)]
        )
    assert sum(answer["replayed"] for answer in answers) == 40
    assert sum(answer["accepted"] for answer in answers) == 40
    assert sorted(event_ids(database_url)) == sorted(f"e{n}" for n in range(40))
    assert ledger_of(database_url) == {"accepted": 40, "too_large": 40}


async def test_what_was_decided_at_another_worker_holds_at_once(database_url: str) -> None:
    new_sites = {"NEW_SITES": "quarantine"}
    async with serving(database_url, **new_sites) as one, serving(database_url, **new_sites) as two:
        await collect(one, an_event())
        assert (await replay_all(two))["refused"][0]["reason"] == "site_quarantined"
        await one.put("/sites/shop.example", json={"state": "accepted"})
        assert await replay_all(two) == NOTHING | {"replayed": 1, "accepted": 1}
    assert ledger_of(database_url) == {"accepted": 1, "site_quarantined": 1}


async def test_rows_and_marks_are_written_together_or_not_at_all(database_url: str) -> None:
    async with serving(database_url, **STRICT) as http:
        await collect(http, large())
    async with serving(database_url) as http:
        query(database_url, "ALTER TABLE ledger RENAME TO mislaid")
        answer = await http.post("/events/rejected/replay", json={"filter": {}})
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert "not taken in twice" in answer.json()["detail"]
        query(database_url, "ALTER TABLE mislaid RENAME TO ledger")
        assert (await only_letter(http))["replayed_at"] is None
        assert event_ids(database_url) == []
        assert (await replay_all(http))["accepted"] == 1


async def test_ids_that_were_redacted_do_not_make_events_one(database_url: str) -> None:
    async with serving(database_url, **STRICT) as http:
        events = [large(eventId=f"2001:db8::{n}", siteId="192.0.2.7") for n in range(2)]
        await collect(http, a_batch(*events))
        for mark in ('"eventId":"[redacted:ip]"', '"siteId":"[redacted:ip]"'):
            name = mark.partition(":")[0]
            query(
                database_url,
                "UPDATE dead_letters SET payload ="
                f" regexp_replace(payload, '{name}:\"[^\"]*\"', '{mark}')",
            )
    async with serving(database_url) as http:
        await replay_all(http)
    assert {row[0] for row in rows(database_url, "site_id")} == {"192.0.2.7"}
    assert len({row[0] for row in rows(database_url, "event_id")}) == 2


# --- what is not taken in -----------------------------------------------------------------------


async def test_what_is_refused_again_stays_with_its_new_reason_and_is_counted_once(
    database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "page_view.json").write_text('{"required":["price"]}')
    plan = {"TRACKING_PLAN_DIR": str(tmp_path), "TRACKING_PLAN_MODE": "enforce"}
    async with serving(database_url, **STRICT) as http:
        await collect(http, large())
        before = await only_letter(http)
    async with serving(database_url, **plan) as http:
        answer = await replay(http, ids=[before["dead_letter_id"]])
        message = '"price" is a required property'
        assert answer == NOTHING | {
            "replayed": 0,
            "accepted": 0,
            "refused": [
                {
                    "dead_letter_id": before["dead_letter_id"], "reason": "plan_violation",
                    "field": "properties", "message": message,
                }
            ],
        }  # fmt: skip
        changed = {"reason": "plan_violation", "field": "properties", "message": message}
        assert await only_letter(http) == before | changed
    assert ledger_of(database_url) == {"too_large": 1}


async def test_what_was_cut_or_is_not_there_cannot_be_taken_in(database_url: str) -> None:
    async with serving(database_url) as http:
        await collect(http, an_event(properties={"x": "x" * 40_000}))
        await collect(http, b"x" * 2_100_000)
        cut = (await rejected(http, event_type="page_view"))["rejected"][0]["dead_letter_id"]
        (empty,) = (await rejected(http, event_type=""))["rejected"]
        gone = str(UUID(int=7))
        answer = await replay(http, ids=[cut, empty["dead_letter_id"], gone, gone])
        why = {left["dead_letter_id"]: left["why"] for left in answer["left_out"]}
        assert why == {
            cut: "a part of what was sent is missing: it was too long to be kept whole",
            empty["dead_letter_id"]: "nothing was kept of what was sent",
            gone: "there is no such dead letter, or none any more",
        }
        assert len(answer["left_out"]) == 3
        assert empty["not_replayable"] == why[empty["dead_letter_id"]]
        assert await replay_all(http) == NOTHING | {"replayed": 0, "accepted": 0}


async def test_a_row_that_postgresql_refuses_stays_alone(database_url: str) -> None:
    query(database_url, "ALTER TABLE events_log_1 ADD CHECK (payload->>'title' <> 'poison')")
    async with serving(database_url, **STRICT) as http:
        titles = [("good", "poison")[n in (3, 7)] for n in range(20)]
        await collect(http, a_batch(*[large(title=title) for title in titles]))
    async with serving(database_url) as http:
        answer = await replay_all(http)
        assert (answer["replayed"], answer["accepted"]) == (18, 18)
        assert {r["reason"] for r in answer["refused"]} == {"unstorable"}
        assert (await rejected(http, reason="unstorable", replayed="false"))["total"] == 2
    assert {row[0] for row in rows(database_url, "payload->>'title'")} == {"good"}
    assert ledger_of(database_url) == {"accepted": 18, "too_large": 20}


async def test_a_protocol_that_is_not_spoken_any_more_is_said(database_url: str) -> None:
    async with serving(database_url) as http:
        await collect(http, b"{}")
        query(database_url, "UPDATE dead_letters SET request = 'POST /nope'")
        (refused,) = (await replay_all(http))["refused"]
    assert refused["message"] == "nothing here reads POST /nope"


# --- how much at once ---------------------------------------------------------------------------


async def test_a_thousand_at_once_and_how_many_remain(database_url: str) -> None:
    strict = {**STRICT, "MAX_DEAD_LETTERS_PER_MINUTE": "100000"}
    async with serving(database_url, **strict) as http:
        for _ in range(12):
            await collect(http, a_batch(*[large() for _ in range(100)]))
        await collect(http, b"{")  # the newest, and refused each time
        query(
            database_url,
            "UPDATE dead_letters SET payload = '{}' WHERE dead_letter_id IN"
            " (SELECT dead_letter_id FROM dead_letters ORDER BY 1 LIMIT 5)",
        )
    async with serving(database_url) as http:
        first = await replay_all(http)
        assert (first["replayed"], len(first["refused"]), first["remaining"]) == (995, 5, 201)
        second = await replay(http, filter={}, cursor=first["next_cursor"])
        assert (second["replayed"], len(second["refused"])) == (200, 1)
        assert (second["remaining"], second["next_cursor"]) == (0, None)
        assert (await rejected(http, replayed="false"))["total"] == 6
    assert len(set(event_ids(database_url))) == 1_195


async def test_no_more_than_a_commit_may_hold(database_url: str) -> None:
    async with serving(database_url, **STRICT) as http:
        big = [an_event(properties={"text": "x" * 6_000}) for _ in range(40)]
        await collect(http, a_batch(*big))
        ids = [letter["dead_letter_id"] for letter in (await rejected(http))["rejected"]]
    async with serving(database_url, MAX_COMMIT_BYTES="100000") as http:
        first = await replay(http, ids=ids[:30])
        assert 10 < first["replayed"] < 20
        assert first["remaining"] == 30 - first["replayed"]
        answers = [await replay_all(http) for _ in range(2)]
        assert answers[0]["remaining"] > 0
    assert len(event_ids(database_url)) == first["replayed"] + sum(a["replayed"] for a in answers)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "either `ids` or `filter`"),
        ({"ids": [str(UUID(int=1))], "filter": {}}, "either `ids` or `filter`"),
        ({"ids": []}, "at least 1 item"),
        ({"ids": [str(UUID(int=1))] * 1_001}, "at most 1000 items"),
        ({"ids": ["x"]}, "valid UUID"),
        ({"ids": [str(UUID(int=1))], "cursor": str(UUID(int=1))}, "`cursor` goes with `filter`"),
        ({"filter": {"reason": "nope"}}, "'invalid_json', 'invalid_event'"),
        ({"filter": {"site": "a"}}, "not permitted"),
        ({"filter": {"since": "2026-11-21T12:00:00"}}, "timezone"),
        ({"filter": {"site_id": "a\0"}}, "should match pattern"),
    ],
)
async def test_what_cannot_be_replayed_is_said(
    read_database_url: str, body: dict[str, Any], said: str
) -> None:
    async with serving(read_database_url) as http:
        answer = await http.post("/events/rejected/replay", json=body)
    assert answer.status_code == 422
    assert said in answer.text


async def test_replaying_by_time_and_site(database_url: str, clock: HandClock) -> None:
    async with serving(database_url, clock=clock, **STRICT) as http:
        await collect(http, large(eventId="early", siteId="a.example"))
        clock.turn(minutes=1)
        await collect(http, large(eventId="late", siteId="a.example"))
        await collect(http, large(eventId="other", siteId="b.example"))
    async with serving(database_url) as http:
        since = datetime.isoformat(clock.now)
        answer = await replay(http, filter={"site_id": "a.example", "since": since})
        assert answer["replayed"] == 1
    assert event_ids(database_url) == ["late"]
