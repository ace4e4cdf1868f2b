"""Dead letters: what is kept of refused events, how they are listed, when they are forgotten."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from core.event_id import make_id_at
from database.retention import forget_letters
from tests.conftest import NOON, HandClock, a_batch, an_event
from tests.contract.test_examples import INVALID, body_of, read
from tests.integration.building import Exporting, collect, ledger_of, query, serving

POISON = a_batch(an_event(title=3))


async def rejected(http: httpx.AsyncClient, **parameters: Any) -> dict[str, Any]:
    answer = await http.get("/events/rejected", params=parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def only_letter(http: httpx.AsyncClient) -> dict[str, Any]:
    (letter,) = (await rejected(http))["rejected"]
    found: dict[str, Any] = letter
    return found


# --- what is kept -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", INVALID, ids=[path.stem for path in INVALID])
async def test_every_refusal_that_a_body_can_give_becomes_a_letter(
    database_url: str, path: Path
) -> None:
    body = body_of(read(path))
    async with serving(database_url) as http:
        answer = (await collect(http, body)).json()
        letter = await only_letter(http)
    (error,) = answer["errors"]
    assert {name: letter[name] for name in ("reason", "message")} == {
        name: error[name] for name in ("reason", "message")
    }
    assert letter["field"] == error.get("field")
    assert letter["payload"]
    assert ledger_of(database_url)[error["reason"]] == 1


@pytest.mark.parametrize(
    ("headers", "body", "reason", "field"),
    [
        ({"content_type": "text/xml"}, b"<x/>", "unsupported_content_type", "Content-Type"),
        ({"content_encoding": "lzw"}, b"x", "unsupported_content_type", "Content-Encoding"),
        (
            {"content_encoding": "gzip"}, gzip.compress(b"{}", mtime=0)[:-5], "invalid_encoding",
            "Content-Encoding",
        ),
        ({}, b"x" * 2_100_000, "too_large", None),
    ],
)  # fmt: skip
async def test_a_request_that_is_not_read_becomes_a_letter_too(
    database_url: str, headers: dict[str, str], body: bytes, reason: str, field: str | None
) -> None:
    async with serving(database_url) as http:
        await collect(http, body, **headers)
        letter = await only_letter(http)
    assert (letter["reason"], letter["field"]) == (reason, field)


async def test_a_row_that_only_postgresql_refuses_becomes_a_letter(database_url: str) -> None:
    query(database_url, "ALTER TABLE events_log_1 ADD CHECK (payload->>'title' <> 'poison')")
    async with serving(database_url) as http:
        await collect(http, a_batch(an_event(title="good"), an_event(title="poison")))
        letter = await only_letter(http)
    assert letter["reason"] == "unstorable"
    assert "violates check constraint" in letter["message"]
    assert json.loads(letter["payload"])["title"] == "poison"
    assert (letter["ip"], letter["request"]) == ("127.0.0.0", "")
    assert query(
        database_url, "SELECT events, letters FROM ledger WHERE outcome = 'unstorable'"
    ) == [(1, 1)]


async def test_a_letter_says_all_that_is_known(database_url: str, clock: HandClock) -> None:
    async with serving(database_url, clock=clock, client=("203.0.113.77", 1)) as http:
        await collect(http, POISON, origin="https://shop.example", user_agent="Agent/1")
    async with serving(database_url) as http:
        answer = await http.get("/events/rejected")
        letter = await only_letter(http)
    assert letter.pop("dead_letter_id")
    assert letter.pop("version")
    body = json.loads(letter.pop("payload"))
    assert body["events"][0]["title"] == 3
    assert letter.pop("payload_bytes") > 100
    assert letter == {
        "arrived_at": "2026-11-21T12:00:00Z", "site_id": "shop.example", "reason": "invalid_event",
        "field": "title", "message": "Expected `str | null`, got `int`", "event_type": "page_view",
        "dialect": "", "request": "POST /collect", "user_agent": "Agent/1", "ip": "203.0.113.0",
        "replayed_at": None, "not_replayable": None,
    }  # fmt: skip
    assert "203.0.113.77" not in answer.text


async def test_each_dialect_leaves_what_it_was_sent(database_url: str) -> None:
    async with serving(database_url) as http:
        await http.post("/api/v1/track/event", json={"type": 7, "url": "/p/7"})
        await http.get("/pixel.gif", params={"screen_width": "wide"})
        await http.post("/pixel.gif?app=a", data={"screen_width": "wide"})
        letters = (await rejected(http))["rejected"]
    found = {letter["request"]: (letter["dialect"], letter["payload"]) for letter in letters}
    assert found == {
        "POST /api/v1/track/event": ("ecomdash", '{"type":7,"url":"/p/7"}'),
        "GET /pixel.gif": ("pixel", "screen_width=wide"),
        "POST /pixel.gif?app=a": ("pixel", "screen_width=wide"),
    }


# --- how much is kept ---------------------------------------------------------------------------


async def test_what_is_not_kept_is_counted_and_shown(database_url: str) -> None:
    async with serving(database_url, MAX_DEAD_LETTERS_PER_MINUTE="130") as http:
        bad = a_batch(*[{"title": n} for n in range(120)])
        for _ in range(3):
            await collect(http, bad)
        found = await rejected(http)
    assert 130 <= found["total"] <= 140, "and what a minute's part brings meanwhile"
    assert found["not_kept"] == {"invalid_event": 360 - found["total"]}
    assert ledger_of(database_url) == {"invalid_event": 360}


def test_letters_are_forgotten_when_they_are_too_old_or_too_many(
    database_url: str, engine: Engine
) -> None:
    ids = [make_id_at(NOON - timedelta(minutes=n)) for n in range(12_000)]
    query(
        database_url,
        "INSERT INTO dead_letters (dead_letter_id, segment_id, arrived_at, received_at, site_id,"
        " reason, message, event_type, dialect, request, payload, payload_bytes, is_cut, version)"
        " SELECT id, 1, now(), now(), 'a', 'r', 'm', '', '', '', '', 0, false, '' "
        "FROM unnest(%s::uuid[]) AS t (id)",
        ids,
    )

    def forget(**limits: Any) -> int:
        with engine.connect() as connection:
            return forget_letters(connection, **limits)

    def left() -> list[Any]:
        rows = query(database_url, "SELECT dead_letter_id FROM dead_letters ORDER BY 1 DESC")
        return [row[0] for row in rows]

    assert forget(before=NOON - timedelta(minutes=11_999.5), kept=20_000) == 0
    assert forget(before=NOON - timedelta(minutes=5_000), kept=20_000) == 6_999
    assert left() == ids[:5_001]
    assert forget(before=datetime(1970, 1, 1, tzinfo=UTC), kept=5_001) == 0
    assert forget(before=datetime(1970, 1, 1, tzinfo=UTC), kept=10) == 4_991
    assert left() == ids[:10]
    assert forget(before=datetime(1970, 1, 1, tzinfo=UTC), kept=0) == 10


async def test_the_exporter_forgets_letters_by_its_settings(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    clock = HandClock()
    exporting = Exporting(
        database_url, engine, tmp_path, clock=clock, variables={"DEAD_LETTER_RETENTION": "1h"}
    )
    async with serving(database_url, clock=clock) as http:
        await collect(http, POISON)
        clock.turn(minutes=59)
        await asyncio.to_thread(exporting.exporter.forget_letters)
        assert (await rejected(http))["total"] == 1
        clock.turn(minutes=2)
        await asyncio.to_thread(exporting.exporter.forget_letters)
        assert (await rejected(http))["total"] == 0
    assert ledger_of(database_url) == {"invalid_event": 1}, "that there was one stays known"


# --- listing ------------------------------------------------------------------------------------


async def test_pages_are_complete_and_stable_while_new_letters_come_in(database_url: str) -> None:
    async with serving(database_url) as http:
        for number in range(5):
            await collect(http, a_batch(*[{"title": [number, n]} for n in range(10)]))
        before = (await rejected(http, limit=500))["rejected"]
        ids = [letter["dead_letter_id"] for letter in before]
        assert len(ids) == 50
        assert ids == sorted(ids, reverse=True), "the newest first"
        paged: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await rejected(http, limit=7, **cursor)
            paged += [letter["dead_letter_id"] for letter in page["rejected"]]
            await collect(http, a_batch(*[{"title": n} for n in range(3)]))
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert paged == ids
        assert (await rejected(http))["total"] == 50 + 8 * 3


async def test_letters_are_filtered_by_everything_that_is_asked(
    database_url: str, clock: HandClock
) -> None:
    async with serving(database_url, clock=clock) as http:
        await collect(http, an_event(eventType="click", title=3), origin="https://a.example")
        clock.turn(minutes=1)
        await collect(http, an_event(eventType="scroll", occurredAt=1e300))
        clock.turn(minutes=1)
        await collect(http, b"{", origin="https://b.example")

        async def reasons(**parameters: Any) -> list[str]:
            found = await rejected(http, **parameters)
            listed = [letter["reason"] for letter in found["rejected"]]
            assert found["by_reason"] == dict.fromkeys(sorted(listed), 1)
            assert found["total"] == len(listed)
            return listed

        everything = ["invalid_json", "invalid_time", "invalid_event"]
        assert await reasons() == everything
        assert await reasons(site_id="a.example") == ["invalid_event"]
        assert await reasons(site_id="shop.example") == ["invalid_time"]
        assert await reasons(reason="invalid_json") == ["invalid_json"]
        assert await reasons(event_type="scroll") == ["invalid_time"]
        assert await reasons(site_id="a.example", reason="invalid_json") == []
        assert await reasons(since="2026-11-21T12:01:00Z") == everything[:2]
        assert await reasons(until="2026-11-21T12:01:00Z") == everything[2:]
        assert await reasons(since="2026-11-21T13:01:00+01:00", until="2026-11-21T12:02:00Z") == [
            "invalid_time"
        ]
        assert await reasons(replayed="true") == []
        assert await reasons(replayed="false") == everything
        assert (
            await reasons(since="0001-01-01T00:00:00Z", until="9999-12-31T00:00:00Z") == everything
        )


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"limit": 0}, "greater than or equal to 1"),
        ({"limit": 501}, "less than or equal to 500"),
        ({"cursor": "x"}, "valid UUID"),
        ({"reason": "nope"}, "'invalid_json', 'invalid_event'"),
        ({"since": "yesterday"}, "valid datetime"),
        ({"since": "2026-11-21T12:00:00"}, "timezone"),
        ({"replayed": "perhaps"}, "valid boolean"),
        (
            {"since": "2026-11-21T12:00:00Z", "until": "2026-11-21T11:00:00Z"},
            "nothing arrives between",
        ),
        ({"raison": "invalid_json"}, "not permitted"),
        ({"site_id": "a\0b"}, "should match pattern"),
    ],
)
async def test_what_cannot_be_asked_is_said(
    read_database_url: str, parameters: dict[str, Any], said: str
) -> None:
    async with serving(read_database_url) as http:
        answer = await http.get("/events/rejected", params=parameters)
    assert answer.status_code == 422
    assert said in answer.text


# --- the counts beside --------------------------------------------------------------------------


async def test_marks_and_letters_are_counted_before_and_after_dropping(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"BUFFER_RETENTION": "0"})
    async with serving(database_url, MAX_DEAD_LETTERS_PER_MINUTE="1") as http:
        await collect(http, a_batch(an_event(), an_event(), an_event(title=3), an_event(title=4)))
        query(database_url, "UPDATE ledger SET bots = 2, redacted = 1, plan_violations = 1"
              " WHERE outcome = 'accepted'")  # fmt: skip
        before = (await http.get("/events/count")).json()
        assert {n: before[n] for n in ("bots", "redacted", "plan_violations")} == {
            "bots": 2, "redacted": 1, "plan_violations": 1,
        }  # fmt: skip
        not_kept = (await rejected(http))["not_kept"]
        assert not_kept == {"invalid_event": 1}
        await asyncio.to_thread(exporting.run)
        await asyncio.to_thread(exporting.exporter.drop_expired)
        assert query(database_url, "SELECT count(*) FROM ledger WHERE segment_id = 1") == [(0,)]
        assert (await http.get("/events/count")).json() == before
        assert (await rejected(http))["not_kept"] == not_kept
