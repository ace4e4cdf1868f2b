"""Whatever holds a secret, by whatever protocol: it is stored nowhere, and logged nowhere."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import DIALECTS
from tests.conftest import a_batch, an_event
from tests.integration.building import collect, ledger_of, query, serving
from tests.integration.planting import (
    AGENT,
    CARD,
    EMAIL,
    PROPERTIES,
    SSN,
    URL,
    WHOLE_IPS,
    Planted,
    everything_in,
    found_in,
    planted_requests,
)

CLIENT = (WHOLE_IPS[0], 50_000)
MAY_ASK: dict[str, Any] = {"LOCAL_NETWORKS": "203.0.113.0/24"}
PLANTED = list(planted_requests())
OF_THE_TEST = {"httpx", "httpcore"}  # the sender's own log names what it asks for


async def send(http: httpx.AsyncClient, planted: Planted, content: bytes | None = None) -> Any:
    headers = {"content-type": "application/json", "user-agent": AGENT} | planted.headers
    content = planted.content if content is None else content
    return await http.request(planted.method, planted.path, content=content, headers=headers)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        f"{record.getMessage()} {vars(record)}"
        for record in caplog.records
        if record.name.partition(".")[0] not in OF_THE_TEST
    ]


def test_every_dialect_has_something_planted() -> None:
    assert {planted.dialect for planted in PLANTED} == {dialect.name for dialect in DIALECTS}
    for planted in PLANTED:
        assert found_in([planted.content.decode(), planted.path]), planted.path


async def test_no_secret_of_an_accepted_event_is_stored_or_logged(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(database_url, client=CLIENT, **MAY_ASK) as http:
        for planted in PLANTED:
            answer = await send(http, planted)
            assert answer.status_code < 300, (planted.path, answer.text)
        count = (await http.get("/events/count")).json()
    events = sum(planted.events for planted in PLANTED)
    assert count["count"] == events
    assert count["rejected"] == 0
    assert found_in(everything_in(database_url)) == set()
    assert found_in(logged(caplog)) == set()
    rows = query(database_url, "SELECT payload FROM events_log")
    marked = [payload for (payload,) in rows if payload.get("redactions")]
    assert len(marked) == events, "the header alone holds two"
    assert count["redacted"] == events
    ((redacted,),) = query(database_url, "SELECT sum(redacted)::int FROM ledger")
    assert redacted == events


@pytest.mark.parametrize(
    "setting",
    [{"NEW_SITES": "quarantine"}, {"MAX_EVENT_BYTES": "500"}],
    ids=["before redaction", "after it"],
)
async def test_no_secret_of_a_refused_event_is_stored_or_logged(
    database_url: str, caplog: pytest.LogCaptureFixture, setting: dict[str, Any]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(database_url, client=CLIENT, **setting) as http:
        for planted in PLANTED:
            await send(http, planted)
    assert query(database_url, "SELECT count(*) FROM dead_letters")[0][0] > len(PLANTED) / 2
    assert found_in(everything_in(database_url)) == set()
    assert found_in(logged(caplog)) == set()


def wrong(planted: Planted) -> list[bytes]:
    """Bodies that cannot be read, or hold an event that cannot be."""
    body = planted.content
    # Between two fields: half of an address of mail is none.
    cut = body[: body.rfind(b",", 0, len(body) * 2 // 3)]
    bodies = [cut, body + b"}", b'"' + body]
    if b'"geheim-4"' in body:
        bodies.append(body.replace(b'"geheim-4"', b'"geheim-4", "deep": ' + b"[" * 60 + b"]" * 60))
    for name in (b"eventType", b"event_type", b"title", b"n", b"hostname", b"e", b"event", b"url"):
        bodies.append(body.replace(b'"%s": "' % name, b'"%s": 1, "was": "' % name))
    return [wrong for wrong in bodies if wrong != body]


async def test_no_secret_of_what_cannot_be_read_is_stored_or_logged(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(database_url, client=CLIENT) as http:
        for planted in PLANTED:
            for body in wrong(planted) if planted.method == "POST" else []:
                assert (await send(http, planted, body)).status_code < 500
    letters = query(database_url, "SELECT dialect, count(*) FROM dead_letters GROUP BY 1")
    assert {dialect for dialect, _ in letters} >= {d.name for d in DIALECTS} - {"pixel"}
    assert found_in(everything_in(database_url)) == set()
    assert found_in(logged(caplog)) == set()


async def test_no_secret_is_in_the_spool(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    away = "postgresql://sluice@127.0.0.1:9/none?connect_timeout=1"
    spool = tmp_path / "spool"
    async with serving(away, client=CLIENT, SPOOL_DIR=str(spool), COMMIT_TIMEOUT="1s") as http:
        for planted in PLANTED:
            answer = await send(http, planted)
            assert answer.status_code < 300, (planted.path, answer.text)
            if planted.method == "POST":
                await send(http, planted, planted.content[:-2])
    files = [path.read_bytes().decode("latin-1") for path in spool.rglob("*") if path.is_file()]
    assert any("[redacted:card]" in file for file in files)
    assert found_in(files) == set()
    assert found_in(logged(caplog)) == set()


async def test_a_clean_event_beside_others_stays_as_it_is(database_url: str) -> None:
    properties = {"order": "A-4711", "price": 12.5, "at": 1795256130123}
    clean = an_event(eventType="clean", properties=properties)
    batch = a_batch(clean, an_event(title=f"For {EMAIL}"), clean | {"eventId": "other"})
    async with serving(database_url) as http:
        assert (await collect(http, batch)).json() == {"accepted": 3, "rejected": 0}
    rows = [payload for (payload,) in query(database_url, "SELECT payload FROM events_log")]
    assert [row.get("redactions") for row in rows] == [None, 1, None]
    assert rows[0]["properties"] == rows[2]["properties"] == properties
    assert query(database_url, "SELECT sum(events)::int, sum(redacted)::int FROM ledger") == [
        (3, 1)
    ]


async def test_a_site_may_declare_a_field_to_be_harmless(database_url: str) -> None:
    allow = "shop.example=sku, *.lab.example=properties.sample.code"
    codes = {"sku": CARD, "sample": {"code": SSN}, "other": CARD}
    async with serving(database_url, REDACT_ALLOW=allow) as http:
        for site in ("shop.example", "a.lab.example", "b.example"):
            await collect(http, an_event(siteId=site, properties=codes))
    stored = dict(query(database_url, "SELECT site_id, payload->'properties' FROM events_log"))
    card, ssn = "[redacted:card]", "[redacted:ssn]"
    assert stored["shop.example"] == {"sku": CARD, "sample": {"code": ssn}, "other": card}
    assert stored["a.lab.example"] == {"sku": card, "sample": {"code": SSN}, "other": card}
    assert stored["b.example"] == {"sku": card, "sample": {"code": ssn}, "other": card}


async def test_a_detector_that_is_left_out_finds_nothing(database_url: str) -> None:
    async with serving(database_url, REDACT="card") as http:
        await collect(http, an_event(title=f"{EMAIL} {CARD}"))
    ((title,),) = query(database_url, "SELECT payload->>'title' FROM events_log")
    assert title == f"{EMAIL} [redacted:card]"


async def test_none_leaves_everything_as_it_was_sent(database_url: str) -> None:
    event = an_event(url=URL, title=EMAIL, userAgent=AGENT, properties=PROPERTIES)
    async with serving(database_url, REDACT="none") as http:
        await collect(http, event)
        await collect(http, an_event(title={"mail": EMAIL}))
    ((payload,),) = query(database_url, "SELECT payload FROM events_log")
    assert {name: payload[name] for name in event} == event
    assert "redactions" not in payload
    ((letter,),) = query(database_url, "SELECT payload FROM dead_letters")
    assert EMAIL in letter
    assert ledger_of(database_url) == {"accepted": 1, "invalid_event": 1}
