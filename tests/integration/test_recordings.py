"""Chunks of recordings, from the request to the buffer: durable, once, and only whose may be."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from core.event_id import make_event_id
from database.embedded import EmbeddedServer
from database.engine import sync_engine
from database.migrate import migrate
from tests.conftest import with_database
from tests.integration.building import query, seal, serving
from tests.integration.recording import a_chunk, post, record


def stored(database_url: str) -> list[tuple[Any, ...]]:
    return query(
        database_url,
        "SELECT site_id, session_id, recording_id, sequence FROM recording_chunks"
        " ORDER BY sequence",
    )


def counted(database_url: str) -> dict[str, int]:
    rows = query(
        database_url, "SELECT outcome, sum(chunks)::int FROM recording_ledger GROUP BY outcome"
    )
    return dict(rows)


async def test_a_chunk_is_acknowledged_when_it_is_stored(database_url: str) -> None:
    async with serving(database_url) as http:
        answer = await post(http, a_chunk(0, "one", "two"))
    assert answer.status_code == 200
    assert answer.json() == {
        "accepted": 1, "rejected": 0, "repeated": False, "recordingId": "r-1", "sequence": 0,
        "stored": [[0, 0]], "next": 1,
    }  # fmt: skip
    ((body, events, segment_id),) = query(
        database_url, "SELECT body, events, segment_id FROM recording_chunks"
    )
    line = json.loads(gzip.decompress(body))
    assert [e["data"]["texts"][0]["value"] for e in line["events"]] == ["one", "two"]
    assert (line["siteId"], line["visitorId"], line["sequence"]) == ("shop.example", "v-1", 0)
    assert (events, segment_id) == (2, 1)
    assert counted(database_url) == {"stored": 1}


async def test_the_same_chunk_again_is_acknowledged_and_stored_once(database_url: str) -> None:
    async with serving(database_url) as http:
        chunk = a_chunk(3)
        answers = [(await post(http, chunk)).json() for _ in range(3)]
        at_once = await asyncio.gather(*(post(http, a_chunk(4)) for _ in range(8)))
    assert [a["repeated"] for a in answers] == [False, True, True]
    assert sorted(a.json()["repeated"] for a in at_once) == [False] + [True] * 7
    assert {a["stored"][0][0] for a in answers} == {3}
    assert [row[3] for row in stored(database_url)] == [3, 4]
    assert counted(database_url) == {"stored": 2, "repeated": 9}


async def test_the_answer_says_where_to_go_on(database_url: str) -> None:
    async with serving(database_url) as http:
        for sequence in (0, 1, 4):
            answer = (await post(http, a_chunk(sequence))).json()
        assert (answer["stored"], answer["next"]) == ([[0, 1], [4, 4]], 2)
        answer = (await post(http, a_chunk(2))).json()
        assert (answer["stored"], answer["next"]) == ([[0, 2], [4, 4]], 3)
        other = (await post(http, a_chunk(0, recordingId="r-2"))).json()
        assert (other["repeated"], other["next"]) == (False, 1)
        without = (await post(http, a_chunk(0, recordingId=None))).json()
        assert without["recordingId"] == "s-1"


@pytest.mark.parametrize("named", [True, False])
async def test_gzip_is_read_by_its_name_or_by_its_first_bytes(
    database_url: str, named: bool
) -> None:
    body = gzip.compress(json.dumps(a_chunk()).encode())
    async with serving(database_url) as http:
        headers = {"content_encoding": "gzip"} if named else {}
        assert (await post(http, body, **headers)).json()["accepted"] == 1
        plain = await post(http, json.dumps(a_chunk(1)).encode())
    assert plain.json()["next"] == 2


@pytest.mark.parametrize(
    ("body", "status", "reason", "field"),
    [
        (b"", 400, "invalid_json", None),
        (b"{", 400, "invalid_json", None),
        (b"[]", 400, "invalid_event", None),
        (a_chunk(sequence=-1), 400, "invalid_event", "sequence"),
        (a_chunk(sequence=10_000), 400, "invalid_event", "sequence"),
        (a_chunk(visitorId=None), 400, "invalid_event", None),
        (a_chunk(sessionId="a/b"), 400, "invalid_event", "sessionId"),
        (a_chunk(sessionId=".."), 400, "invalid_event", "sessionId"),
        (a_chunk(recordingId="x" * 65), 400, "invalid_event", "recordingId"),
        (a_chunk(visitorId="a\0b"), 400, "nul_character", "visitorId"),
        (a_chunk(events=[]), 400, "invalid_event", "events"),
        (a_chunk(events=[{"type": "x"}]), 400, "invalid_event", "events[0]"),
        (a_chunk(events=[{"type": 3, "timestamp": 5}]), 400, "invalid_time", "events.timestamp"),
        (a_chunk(sentAt=1e300), 400, "invalid_time", "sentAt"),
        (a_chunk(consent="perhaps"), 400, "invalid_event", "consent"),
        (gzip.compress(b"0" * 5_000_000), 413, "too_large", None),
        (b"x" * 300_000, 413, "too_large", None),
        (a_chunk(consent="denied"), 200, "no_consent", "consent"),
        (a_chunk(consent="pending"), 200, "no_consent", "consent"),
    ],
)
async def test_what_is_refused_says_why_and_nothing_is_stored(
    database_url: str, body: Any, status: int, reason: str, field: str | None
) -> None:
    async with serving(database_url) as http:
        answer = await post(http, body)
    assert answer.status_code == status
    told = answer.json()
    assert (told["accepted"], told["errors"][0]["reason"]) == (0, reason)
    assert told["errors"][0].get("field") == field
    assert stored(database_url) == []
    assert counted(database_url) == {reason: 1}


async def test_deeply_nested_events_are_refused_or_stored_and_break_nothing(
    database_url: str,
) -> None:
    deep = b'{"type":2,"timestamp":1795256130123,"data":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001
    whole = json.dumps(a_chunk(events=["HERE"])).encode().replace(b'"HERE"', deep)
    async with serving(database_url) as http:
        assert (await post(http, whole)).json()["errors"][0]["reason"] == "too_deep"
        assert (await post(http, a_chunk())).json()["accepted"] == 1


@pytest.mark.parametrize("header", [{"dnt": "1"}, {"sec_gpc": "1"}])
async def test_the_browsers_signal_is_honoured(database_url: str, header: dict[str, str]) -> None:
    async with serving(database_url) as http:
        answer = await post(http, a_chunk(), **header)
        assert answer.json()["errors"][0]["reason"] == "do_not_track"
    async with serving(database_url, CONSENT_MODE="require") as http:
        unsaid = await post(http, a_chunk(consent=None))
        assert unsaid.json()["errors"][0]["reason"] == "no_consent"
    assert stored(database_url) == []


async def test_sites_are_judged_and_noted_as_with_events(database_url: str) -> None:
    async with serving(database_url, ALLOWED_SITES="*.shop.example") as http:
        refused = await post(http, a_chunk(siteId="other.example"))
        assert (refused.status_code, refused.json()["errors"][0]["reason"]) == (403, "site_refused")
        assert (await post(http, a_chunk(siteId="a.shop.example"))).json()["accepted"] == 1
        found = (await http.get("/sites")).json()["sites"]
        assert [(s["site_id"], s["first_dialect"]) for s in found] == [
            ("a.shop.example", "recording")
        ]
        await http.put("/sites/a.shop.example", json={"state": "refused"})
        again = await post(http, a_chunk(1, siteId="a.shop.example"))
        assert again.status_code == 403
    assert counted(database_url) == {"stored": 1, "site_refused": 2}


async def test_who_sends_too_much_is_told_when_to_come_again(database_url: str) -> None:
    async with serving(database_url, RATE_LIMIT_PER_IP="1", API_WORKERS="1") as http:
        answers = [await post(http, a_chunk(n)) for n in range(12)]
    assert answers[0].status_code == 200
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1


async def test_another_origin_may_post_and_read_the_answer(database_url: str) -> None:
    async with serving(database_url) as http:
        asked = await http.options(
            "/api/v1/track/replay",
            headers={
                "origin": "https://shop.example",
                "access-control-request-headers": "content-encoding",
            },
        )
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-headers"] == "content-encoding"
        answer = await post(http, a_chunk(siteId=None), origin="https://shop.example")
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert (await http.get("/api/v1/track/replay")).status_code == 405
    assert stored(database_url)[0][0] == "shop.example"


async def test_what_the_page_showed_is_redacted_before_it_is_stored(database_url: str) -> None:
    events = [
        {
            "type": 2,
            "timestamp": 1795256130123,
            "data": {
                "node": [
                    {"textContent": "write to somebody@shop.example", "id": 4},
                    {"attributes": {"_cssText": ".a{margin:4111 1111 1111 1111}"}},
                ]
            },
        }
    ]
    url = "https://shop.example/?email=somebody@shop.example"
    async with serving(database_url) as http:
        assert (await post(http, a_chunk(events=events, url=url))).json()["accepted"] == 1
    ((body,),) = query(database_url, "SELECT body FROM recording_chunks")
    line = json.loads(gzip.decompress(body))
    (event,) = line["events"]
    text, style = event["data"]["node"]
    assert "somebody" not in json.dumps(line)
    assert (text["id"], event["timestamp"]) == (4, 1795256130123)
    assert "4111 1111 1111 1111" in style["attributes"]["_cssText"]
    assert line["redactions"] == 2


async def test_times_are_by_the_servers_clock(database_url: str) -> None:
    """A browser whose clock is ten years behind."""
    events = [{"type": 3, "timestamp": 1_480_000_000_000 + n, "data": {}} for n in (0, 5_000)]
    async with serving(database_url) as http:
        await post(http, a_chunk(events=events, sentAt=1_480_000_006_000))
    ((ended, lasted),) = query(
        database_url,
        "SELECT abs(extract(epoch FROM received_at - ended_at))::float8,"
        " extract(epoch FROM ended_at - started_at)::float8 FROM recording_chunks",
    )
    assert ended < 30
    assert lasted == pytest.approx(5)


async def test_an_erased_visitor_stays_erased(database_url: str) -> None:
    async with serving(database_url) as http:
        for visitor, user in (("v-1", None), ("v-2", "u-2"), ("v-3", None)):
            chunk = a_chunk(visitorId=visitor, userId=user, sessionId=f"s-{visitor}")
            assert (await post(http, chunk)).json()["accepted"] == 1
        answer = await http.post(
            "/privacy/suppressions", json={"visitor_ids": ["v-1"], "user_ids": ["u-2"]}
        )
        assert answer.json()["recording_chunks_erased"] == 2
        assert [row[1] for row in stored(database_url)] == ["s-v-3"]
        refused = await post(http, a_chunk(1, sessionId="s-v-1"))
        assert refused.json()["errors"][0]["reason"] == "suppressed"
        found = (await http.get("/recordings/count")).json()
    assert (found["stored"], found["erased"], found["pending"]) == (3, 2, 1)
    assert query(database_url, "SELECT count(*) FROM recordings WHERE visitor_id = 'v-1'") == [(0,)]


async def test_the_buffer_holds_no_more_than_it_may(database_url: str) -> None:
    async with serving(database_url, RECORDING_MAX_BUFFERED_BYTES="1000000") as http:
        answers = []
        for n in range(6):
            # Of random digits, which gzip halves.
            text = "".join(str(make_event_id()) for _ in range(12_000))
            answers.append(await post(http, a_chunk(n, text)))
        again = await post(http, a_chunk(0, "whatever it holds"))
    statuses = [a.status_code for a in answers]
    assert statuses[0] == 200
    assert statuses[-1] == 503
    assert answers[-1].json()["errors"][0]["reason"] == "recordings_full"
    assert int(answers[-1].headers["retry-after"]) == 60
    assert again.json()["repeated"] is True, "what is stored is acknowledged even then"


async def test_without_postgresql_nothing_is_acknowledged(database_url: str) -> None:
    async with serving(database_url) as http:
        assert (await post(http, a_chunk(0))).json()["accepted"] == 1
        name = database_url.split("?")[0].rsplit("/", 1)[1]
        others = database_url.replace(f"/{name}?", "/postgres?")
        query(others, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        query(
            others,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            name,
        )
        answer = await post(http, a_chunk(1))
        query(others, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert answer.status_code == 503
        assert answer.json()["errors"][0]["reason"] == "buffer_unavailable"
        assert int(answer.headers["retry-after"]) == 2
        assert (await post(http, a_chunk(1))).json()["next"] == 2


def test_chunks_go_into_the_segment_that_is_open(database_url: str, engine: Any) -> None:
    record(database_url, a_chunk(0))
    seal(engine)
    answers = record(database_url, a_chunk(0), a_chunk(1))
    assert [a["repeated"] for a in answers] == [True, False]
    found = query(database_url, "SELECT segment_id, sequence FROM recording_chunks ORDER BY 1")
    assert found == [(1, 0), (2, 1)]


def test_an_upgrade_gives_each_segment_that_is_left_a_place_for_recordings(
    postgres: EmbeddedServer,
) -> None:
    query(postgres.url, "CREATE DATABASE upgraded")
    url = with_database(postgres.url, "upgraded")
    engine = sync_engine(url, application_name="tests")
    migrate(engine, revision="0009")
    query(
        url,
        "INSERT INTO segments (state, opened_at, sealed_at) VALUES ('sealed', now(), now()),"
        " ('dropped', now(), now())",
    )
    migrate(engine)
    seal(engine)
    places = query(
        url,
        "SELECT relname FROM pg_class WHERE relname ~ '^recording_chunks_' ORDER BY relname",
    )
    assert places == [("recording_chunks_1",), ("recording_chunks_2",), ("recording_chunks_4",)]
    assert record(url, a_chunk(0))[0]["accepted"] == 1
    engine.dispose()
