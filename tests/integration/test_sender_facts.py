"""What is stored of who sent an event: a network, a place, a visitor for a day, whether a bot."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from tests.conftest import ROOT, HandClock, a_batch, an_event
from tests.integration.building import Exporting, collect, ledger_of, query, serving
from tests.integration.planting import everything_in

GEO: dict[str, Any] = {"GEO_DATABASE": str(ROOT / "tests/data/geo-test.mmdb")}
SWISS, GERMAN, BRITISH, FRENCH = "192.0.2.77", "192.0.2.177", "198.51.100.77", "2001:db8:1:2::77"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:147.0) Gecko/20100101 Firefox/147.0"
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
KEY = "a-key-of-a-server-0123456789"
PAGE: dict[str, Any] = {"origin": "https://shop.example", "user-agent": BROWSER}


def stored(database_url: str, *fields: str) -> list[tuple[Any, ...]]:
    """Fields of the rows' payloads, in the order in which they came."""
    picked = ", ".join(f"payload->'{field}'" for field in fields)
    return query(database_url, f"SELECT {picked} FROM events_log ORDER BY tableoid, ctid")


async def post(http: httpx.AsyncClient, path: str, body: Any, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await http.post(path, json=body, headers=PAGE | named)


def files_below(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


# --- place and address --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "network", "country", "region"),
    [
        (SWISS, "192.0.2.0", "CH", "ZH"),
        (GERMAN, "192.0.2.0", "DE", "BY"),
        (FRENCH, "2001:db8:1::", "FR", "IDF"),
        ("::ffff:198.51.100.77", "198.51.100.0", "GB", "ENG"),
        ("10.1.2.3", "10.1.2.0", None, None),
    ],
)
async def test_the_place_of_the_whole_address_and_the_network_of_it(
    database_url: str, address: str, network: str, country: str | None, region: str | None
) -> None:
    async with serving(database_url, client=(address, 1), **GEO) as http:
        await collect(http, an_event(), **PAGE)
    assert stored(database_url, "ip", "country", "region") == [(network, country, region)]
    assert not any(address in text for text in everything_in(database_url))


async def test_the_events_own_country_counts(database_url: str) -> None:
    async with serving(database_url, client=(SWISS, 1), **GEO) as http:
        await collect(http, a_batch(an_event(country="AT"), an_event()), **PAGE)
    assert stored(database_url, "country", "region") == [("AT", None), ("CH", "ZH")]


async def test_an_address_may_be_dropped_and_its_place_stays(database_url: str) -> None:
    async with serving(database_url, client=(SWISS, 1), IP_MODE="drop", **GEO) as http:
        await collect(http, an_event(), **PAGE)
        await collect(http, an_event(title=1), **PAGE)
        await post(http, "/v1/t", SEGMENT)
    assert stored(database_url, "ip", "country") == [(None, "CH"), (None, "GB")]
    assert query(database_url, "SELECT ip FROM dead_letters") == [(None,)]
    assert not any("192.0.2." in text for text in everything_in(database_url))


SEGMENT = {"event": "Paid", "anonymousId": "a", "context": {"ip": BRITISH, "userAgent": BROWSER}}
SNOWPLOW = {
    "schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4",
    "data": [{"e": "pv", "p": "web", "tv": "py-1", "url": "https://shop.example/", "ip": BRITISH}],
}
UMAMI = {"type": "event", "payload": {"website": "w", "hostname": "shop.example", "ip": BRITISH}}
HEATMAP = {"website_id": "shop.example", "ip_address": BRITISH}
PLAUSIBLE = {"n": "pageview", "u": "https://shop.example/", "d": "shop.example"}


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/v1/t", SEGMENT, {}),
        ("/com.snowplowanalytics.snowplow/tp2", SNOWPLOW, {}),
        ("/api/send", UMAMI, {}),
        ("/v1/events/click", HEATMAP, {}),
        ("/api/event", PLAUSIBLE, {"x_forwarded_for": BRITISH}),
    ],
)
async def test_a_visitors_address_that_a_server_passes_on_is_located_and_cut(
    database_url: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    async with serving(database_url, client=(SWISS, 1), **GEO) as http:
        assert (await post(http, path, body, **headers)).status_code < 300
    assert stored(database_url, "ip", "country") == [("198.51.100.0", "GB")]
    assert not any(BRITISH in text or SWISS in text for text in everything_in(database_url))


async def test_who_asks_that_no_address_be_known_is_nowhere(database_url: str) -> None:
    async with serving(database_url, client=(SWISS, 1), COOKIELESS="missing", **GEO) as http:
        await post(http, "/com.snowplowanalytics.snowplow/tp2", SNOWPLOW, sp_anonymous="*")
    assert stored(database_url, "ip", "country", "visitorId") == [(None, None, None)]


async def test_a_servers_own_place_is_not_its_visitors(database_url: str) -> None:
    body = {name: value for name, value in SEGMENT.items() if name != "context"}
    async with serving(database_url, client=(SWISS, 1), **GEO) as http:
        await http.post("/v1/t", json=body, auth=(KEY, ""))
        await post(http, "/v1/t", body)
    assert stored(database_url, "country") == [(None,), ("CH",)]


# --- the visitor's id of the day ----------------------------------------------------------------


async def test_a_visitor_is_the_same_for_a_day_and_a_site(
    database_url: str, clock: HandClock
) -> None:
    setting: dict[str, Any] = {"COOKIELESS": "missing", "RATE_LIMIT_PER_IP": "0"}
    event = an_event(visitorId=None)

    async def send(http: httpx.AsyncClient, **different: str) -> None:
        await collect(http, event | {"eventId": None}, **(PAGE | different))

    async with serving(database_url, client=(SWISS, 1), clock=clock, **setting) as http:
        await send(http)
        await send(http)
        await collect(http, event | {"siteId": "other.example", "eventId": None}, **PAGE)
        await send(http, **{"user-agent": "Mozilla/5.0 (another browser)"})
        await collect(http, event | {"visitorId": "v-1", "eventId": None}, **PAGE)
    async with serving(database_url, client=(GERMAN, 1), clock=clock, **setting) as http:
        await send(http)  # another collector, another visitor
    async with serving(database_url, client=(SWISS, 1), clock=clock, **setting) as http:
        await send(http)  # another collector, the same visitor
    clock.turn(days=1)
    async with serving(database_url, client=(SWISS, 1), clock=clock, **setting) as http:
        await send(http)
    ids = [visitor_id for (visitor_id,) in stored(database_url, "visitorId")]
    first, again, site, agent, own, german, elsewhere, tomorrow = ids
    assert first == again == elsewhere
    assert own == "v-1"
    assert len({first, site, agent, german, tomorrow}) == 5
    assert all(i.startswith("daily-") for i in ids if i != "v-1")


@pytest.mark.parametrize(
    ("mode", "native", "given", "dialect"),
    [
        ("off", False, False, False),
        ("dialects", False, False, True),
        ("missing", True, False, True),
        ("always", True, True, True),
    ],
)
async def test_whose_ids_are_made(
    database_url: str, mode: str, native: bool, given: bool, dialect: bool
) -> None:
    async with serving(database_url, client=(SWISS, 1), COOKIELESS=mode) as http:
        await collect(http, an_event(visitorId=None), **PAGE)
        await collect(http, an_event(visitorId="v-1"), **PAGE)
        await post(http, "/api/event", PLAUSIBLE)
    made = [str(i).startswith("daily-") for (i,) in stored(database_url, "visitorId")]
    assert made == [native, given, dialect]


async def test_salts_of_today_and_tomorrow_are_all_there_are_and_they_never_leave(
    database_url: str, engine: Engine, tmp_path: Path, clock: HandClock
) -> None:
    for _ in range(3):
        async with serving(database_url, clock=clock, COOKIELESS="missing") as http:
            days = query(database_url, "SELECT day FROM visitor_salts ORDER BY day")
            today = clock.now.date()
            assert days == [(today,), (today + timedelta(days=1),)]
            await collect(http, an_event(visitorId=None), **PAGE)
        clock.turn(days=1)
    salts = [bytes(salt) for (salt,) in query(database_url, "SELECT salt FROM visitor_salts")]
    Exporting(database_url, engine, tmp_path).run()
    files = files_below(tmp_path)
    assert files
    for salt in salts:
        for written in (salt, salt.hex().encode()):
            assert not any(written in file for file in files)


async def test_an_id_of_the_day_can_be_suppressed(database_url: str) -> None:
    event = an_event(visitorId=None)
    local: dict[str, Any] = {"LOCAL_NETWORKS": "192.0.2.0/24", "COOKIELESS": "missing"}
    async with serving(database_url, client=(SWISS, 1), **local) as http:
        await collect(http, event, **PAGE)
        ((visitor_id,),) = stored(database_url, "visitorId")
        answer = await http.post("/privacy/suppressions", json={"visitor_ids": [visitor_id]})
        assert answer.status_code < 300, answer.text
        answer = await collect(http, event | {"eventId": None}, **PAGE)
        assert answer.json()["errors"][0]["reason"] == "suppressed"
        other = await collect(http, event | {"eventId": None}, **(PAGE | {"user-agent": "Other/1"}))
        assert other.json()["accepted"] == 1
    assert ledger_of(database_url) == {"accepted": 2, "suppressed": 1}


# --- bots ---------------------------------------------------------------------------------------


async def test_bots_are_flagged_on_the_row_and_in_the_delivered_column(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    async with serving(database_url) as http:
        await collect(http, an_event(eventType="person"), **PAGE)
        await collect(http, an_event(eventType="crawler"), user_agent=CRAWLER)
        await collect(http, an_event(eventType="tool"), user_agent="curl/8.5.0")
        count = (await http.get("/events/count")).json()
    assert (count["count"], count["bots"]) == (3, 2)
    exporting = Exporting(database_url, engine, tmp_path)
    exporting.run()
    rows = {row["event_type"]: row for row in exporting.committed_rows(exporting.client)}
    assert {name: (row["is_bot"], row["bot_reason"]) for name, row in rows.items()} == {
        "person": (False, None),
        "crawler": (True, "crawler:Googlebot"),
        "tool": (True, "tool:curl"),
    }


async def test_bots_that_are_dropped_are_counted_and_nothing_is_kept(database_url: str) -> None:
    async with serving(database_url, BOTS="drop") as http:
        answer = await collect(http, an_event(), user_agent=CRAWLER)
        assert answer.status_code == 200
        assert answer.json()["errors"][0]["reason"] == "bot"
        assert (await collect(http, an_event(), **PAGE)).json()["accepted"] == 1
    assert ledger_of(database_url) == {"accepted": 1, "bot": 1}
    assert query(database_url, "SELECT count(*) FROM dead_letters") == [(0,)]


async def test_a_servers_sdk_is_no_bot_by_its_own_name(database_url: str) -> None:
    sdk = {"user-agent": "analytics-node/2.1.0"}
    context = {"userAgent": CRAWLER}
    async with serving(database_url, WRITE_KEYS=f"{KEY}=*") as http:
        for message in ({}, {"context": {"userAgent": BROWSER}}, {"context": context}):
            body = {"event": "Paid", "userId": "u", **message}
            answer = await http.post("/v1/t", json=body, auth=(KEY, ""), headers=sdk)
            assert answer.status_code == 200
        # Without a key, but with the name of the browser that it tells of.
        event = an_event(userAgent=BROWSER)
        await collect(http, event, **{"user-agent": "python-requests/2.32"})
    assert stored(database_url, "isBot", "botReason") == [
        *[(None, None)] * 2,
        (True, "crawler:Googlebot"),
        (None, None),
    ]
