"""`/collect` through the whole application, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from typing import Any

import pytest

from tests.conftest import NOON, HandClock, a_batch, an_event
from tests.integration.building import collect, event_ids, ledger_of, query, serving

GOOD = b'{"eventType":"click"}'
DEEP = b'{"eventType":"a","properties":{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}}"


async def test_what_is_acknowledged_is_stored(database_url: str, clock: HandClock) -> None:
    async with serving(database_url, clock=clock) as http:
        answer = await collect(
            http, a_batch(an_event(eventId="one"), an_event(eventId="two")), user_agent="Agent/1"
        )
        assert (answer.status_code, answer.json()) == (200, {"accepted": 2, "rejected": 0})
        assert event_ids(database_url) == ["one", "two"]
    row = query(
        database_url,
        "SELECT event_type, site_id, visitor_id, session_id, user_id, occurred_at, payload"
        " FROM events_log LIMIT 1",
    )[0]
    assert row[:6] == ("page_view", "shop.example", "v-1", "s-1", None, NOON)
    assert row[6] == an_event(eventId="one") | {"userAgent": "Agent/1", "ip": "127.0.0.0"}
    assert ledger_of(database_url) == {"accepted": 2}


async def test_the_whole_address_of_a_sender_is_stored_nowhere(database_url: str) -> None:
    async with serving(database_url, client=("203.0.113.77", 1)) as http:
        await collect(http, an_event())
    ((stored,),) = query(database_url, "SELECT row_to_json(e)::text FROM events_log AS e")
    assert "203.0.113.0" in stored
    assert "203.0.113.77" not in stored


BAD: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "broken JSON": (b'{"eventType":"cl', 400),
    "no UTF-8": (b"\xff\xfe\x00", 400),
    "a text": (b'"click"', 400),
    "wrong types": (b'{"eventType":1}', 400),
    "an empty object": (b"{}", 400),
    "an empty batch": (b'{"events":[]}', 400),
    "an empty array": (b"[]", 400),
    "NUL": (b'{"eventType":"a","title":"\\u0000"}', 400),
    "10,000 levels": (DEEP, 400),
    "10,000 levels bare": (b"[" * 10_000, 400),
    "500,000 levels of objects": (b'{"a":' * 300_000, 400),
    "10 MB": (b'{"eventType":"' + b"x" * 10_000_000 + b'"}', 413),
    "an event of 1 MB": (b'{"eventType":"a","title":"' + b"x" * 1_000_000 + b'"}', 400),
    "a large event": (b'{"eventType":"a","properties":{"x":"' + b"x" * 40_000 + b'"}}', 413),
    "3,000 events": (b'{"events":[%s]}' % b",".join([GOOD] * 3_000), 413),
    "a cut surrogate in the envelope": (b'{"title":"\\ud800","events":[{"eventType":1}]}', 400),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_gets_a_clear_answer_and_costs_nobody_anything(
    database_url: str, name: str
) -> None:
    body, status = BAD[name]
    async with serving(database_url) as http:
        bad, *good = await asyncio.gather(
            collect(http, body), *[collect(http, an_event()) for _ in range(5)]
        )
        assert [answer.status_code for answer in good] == [200] * 5
        assert bad.status_code == status
        answer = bad.json()
        assert (answer["accepted"], answer["rejected"]) == (0, 1)
        assert answer["errors"][0]["reason"]
        assert len(answer["errors"][0]["message"]) < 400
    assert len(event_ids(database_url)) == 5
    counted = ledger_of(database_url)
    assert counted.pop("accepted") == 5
    assert counted == {answer["errors"][0]["reason"]: 1}


async def test_all_of_it_in_one_batch_beside_good_events(database_url: str) -> None:
    poison = [
        DEEP, b'{"eventType":"a","title":"\\u0000"}', b'{"eventType":1}', b"7", b"null",
        b'{"eventType":"a","properties":{"x":"' + b"x" * 40_000 + b'"}}',
        b'{"eventType":"a","title":"cut \\ud83d"}', b'{"eventType":"a","properties":{"x":1e400}}',
    ]  # fmt: skip
    body = b'{"events":[%s]}' % b",".join(part for bad in poison for part in (GOOD, bad))
    async with serving(database_url) as http:
        answer = (await collect(http, body)).json()
    assert (answer["accepted"], answer["rejected"]) == (9, 7)
    assert [error["index"] for error in answer["errors"]] == [1, 3, 5, 7, 9, 11, 15]
    assert len(event_ids(database_url)) == 9


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content_type": "application/json; charset=utf-8"}, 200),
        ({"content_type": "text/plain;charset=UTF-8"}, 200),
        ({"content_type": ""}, 200),
        ({"content_type": "text/xml"}, 415),
        ({"content_type": "multipart/form-data; boundary=x"}, 415),
        ({"content_encoding": "compress"}, 415),
        ({"content_encoding": "br"}, 400),
        ({"content_encoding": "identity"}, 200),
    ],
)
async def test_content_types(database_url: str, headers: dict[str, str], status: int) -> None:
    async with serving(database_url) as http:
        answer = await collect(http, an_event(), **headers)
    assert answer.status_code == status
    assert answer.json()["accepted"] == (status == 200)


async def test_a_body_that_lies_about_its_length_is_bounded(read_database_url: str) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b"x" * 100_000

    async with serving(read_database_url) as http:
        answer = await http.post(
            "/collect", content=endless(), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 413


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_other_methods(read_database_url: str, method: str) -> None:
    async with serving(read_database_url) as http:
        answer = await http.request(method, "/collect")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST, OPTIONS"


async def test_preflight_and_cors(read_database_url: str) -> None:
    allowed = {"ALLOWED_ORIGINS": "https://a.example, https://b.example"}
    async with serving(read_database_url, **allowed) as http:
        answer = await http.options("/collect", headers={"origin": "https://a.example"})
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        assert "POST" in answer.headers["access-control-allow-methods"]
        stranger = await http.options("/collect", headers={"origin": "https://c.example"})
        assert "access-control-allow-origin" not in stranger.headers
        answer = await collect(http, b"{", origin="https://b.example")
        assert answer.headers["access-control-allow-origin"] == "https://b.example"
        assert answer.headers["vary"] == "Origin"


async def test_a_poison_row_is_refused_alone_among_a_thousand(database_url: str) -> None:
    # No check of ours knows of this rule: only PostgreSQL refuses the row.
    query(database_url, "ALTER TABLE events_log_1 ADD CHECK (payload->>'title' <> 'poison')")
    bodies = [
        a_batch(*[
            an_event(eventId=f"{request}-{n}", title=("good", "poison")[(request, n) == (17, 11)])
            for n in range(20)
        ])
        for request in range(50)
    ]  # fmt: skip
    async with serving(database_url) as http:
        answers = await asyncio.gather(*[collect(http, body) for body in bodies])
    assert [answer.status_code for answer in answers] == [200] * 50
    refused = [(n, a.json()) for n, a in enumerate(answers) if a.json()["rejected"]]
    ((number, answer),) = refused
    assert number == 17
    assert (answer["accepted"], answer["rejected"]) == (19, 1)
    assert (answer["errors"][0]["index"], answer["errors"][0]["reason"]) == (11, "unstorable")
    expected = {f"{r}-{n}" for r in range(50) for n in range(20)} - {"17-11"}
    assert Counter(event_ids(database_url)) == Counter(expected)
    assert ledger_of(database_url) == {"accepted": 999, "unstorable": 1}


async def test_a_database_that_comes_back_is_used_again(database_url: str) -> None:
    async with serving(database_url, COMMIT_TIMEOUT="5s") as http:
        assert (await collect(http, an_event())).status_code == 200
        query(
            database_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'sluice collector' AND datname = current_database()",
        )
        lost = await collect(http, an_event(eventId="lost"))
        assert lost.status_code == 503
        assert lost.headers["retry-after"]
        assert lost.json()["accepted"] == 0
        assert (await collect(http, an_event(eventId="again"))).status_code == 200
    assert "again" in event_ids(database_url)


async def test_no_database_no_acknowledgement(read_database_url: str) -> None:
    away = read_database_url.replace("/shared", "/no_such")
    async with serving(away) as http:
        answer = await collect(http, an_event())
    assert answer.status_code == 503
    assert answer.json()["errors"][0]["reason"] == "buffer_unavailable"


async def test_a_backend_that_is_frozen_is_given_up_after_the_timeout(database_url: str) -> None:
    async with serving(database_url, COMMIT_TIMEOUT="1s") as http:
        await collect(http, an_event(eventId="before"))
        ((backend,),) = query(
            database_url,
            "SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'sluice collector' AND datname = current_database()",
        )
        os.kill(backend, signal.SIGSTOP)
        try:
            answer = await asyncio.wait_for(collect(http, an_event(eventId="during")), 20)
            assert answer.status_code == 503
            after = await asyncio.wait_for(collect(http, an_event(eventId="after")), 20)
            assert after.status_code == 200, "the next commit has a connection of its own"
        finally:
            os.kill(backend, signal.SIGCONT)
    assert {"before", "after"} <= set(event_ids(database_url))


async def test_what_waits_is_committed_before_the_application_ends(database_url: str) -> None:
    async with serving(database_url) as http:
        pending = [asyncio.create_task(collect(http, an_event())) for _ in range(20)]
        await asyncio.sleep(0)
    answers = await asyncio.gather(*pending)
    stored = len(event_ids(database_url))
    assert sum(json.loads(answer.content)["accepted"] for answer in answers) == stored
