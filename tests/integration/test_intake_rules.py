"""Sites, write keys and consent, through the application, with a real PostgreSQL."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import pytest

from tests.conftest import a_batch, an_event
from tests.integration.building import collect, event_ids, ledger_of, query, serving


async def sites_of(http: httpx.AsyncClient, **query: str) -> dict[str, dict[str, Any]]:
    answer = await http.get("/sites", params=query)
    assert answer.status_code == 200
    return {site["site_id"]: site for site in answer.json()["sites"]}


async def decide(http: httpx.AsyncClient, site_id: str, state: str) -> dict[str, Any]:
    answer = await http.put(f"/sites/{site_id}", json={"state": state})
    assert answer.status_code == 200, answer.text
    decided: dict[str, Any] = answer.json()
    return decided


async def status_of(http: httpx.AsyncClient, **event: Any) -> int:
    return (await collect(http, an_event(**event))).status_code


# --- sites -------------------------------------------------------------------------------------


async def test_a_new_site_is_recorded_with_when_and_where_it_was_first_seen(
    database_url: str,
) -> None:
    async with serving(database_url) as http:
        await collect(
            http, a_batch(an_event(), an_event(siteId="b.example"), an_event(occurredAt=1e300))
        )
        await collect(http, an_event())
        sites = await sites_of(http)
    assert set(sites) == {"shop.example", "b.example"}
    shop = sites["shop.example"]
    assert (shop["state"], shop["first_dialect"], shop["allowed"]) == ("accepted", "native", True)
    assert shop["first_url"] == "https://shop.example"
    assert shop["decided_at"] is None
    assert (shop["accepted"], shop["rejected"]) == (2, 1)
    ((received_at, first_seen_at),) = query(
        database_url,
        "SELECT min(received_at), (SELECT first_seen_at FROM sites WHERE site_id = 'shop.example')"
        " FROM events_log WHERE site_id = 'shop.example'",
    )
    assert received_at == first_seen_at, "the site's first event, to the microsecond"


async def test_a_site_that_is_refused_is_refused_at_once_and_by_every_worker(
    database_url: str,
) -> None:
    async with serving(database_url) as one, serving(database_url) as other:
        assert await status_of(one) == 200
        assert await status_of(other) == 200
        decided = await decide(one, "shop.example", "refused")
        assert decided["state"] == "refused"
        answer = await collect(other, an_event())
        assert answer.status_code == 403
        assert answer.json()["errors"][0]["reason"] == "site_refused"
        assert await status_of(one) == 403
        assert len(event_ids(database_url)) == 2
        await decide(one, "shop.example", "accepted")
        assert await status_of(one) == 200
        async with asyncio.timeout(20):
            while await status_of(other) == 403:  # noqa: ASYNC110 - it looks every two seconds
                await asyncio.sleep(0.2)


async def test_only_allowed_sites(database_url: str) -> None:
    async with serving(database_url, ALLOWED_SITES="*.shop.example, shop.example") as http:
        assert await status_of(http) == 200
        assert await status_of(http, siteId="a.shop.example") == 200
        assert await status_of(http, siteId="evil.example") == 403
        assert set(await sites_of(http)) == {"shop.example", "a.shop.example"}
        decided = await decide(http, "evil.example", "accepted")
        assert decided["allowed"] is False
        assert "ALLOWED_SITES" in decided["message"]
        assert await status_of(http, siteId="evil.example") == 403


async def test_a_quarantined_site_waits_for_somebody_to_approve_it(database_url: str) -> None:
    async with serving(database_url, NEW_SITES="quarantine") as http:
        answer = await collect(http, an_event())
        assert answer.status_code == 403
        assert answer.json()["errors"][0]["reason"] == "site_quarantined"
        assert event_ids(database_url) == []
        assert (await sites_of(http))["shop.example"]["state"] == "quarantined"
        assert set(await sites_of(http, state="quarantined")) == {"shop.example"}
        assert await sites_of(http, state="accepted") == {}
        await collect(http, a_batch(*[an_event() for _ in range(150)]))
        decided = await decide(http, "shop.example", "accepted")
        assert decided["waiting_dead_letters"] == 151, "more than another request may leave behind"
        assert decided["message"] == (
            "151 kept events wait: POST /events/rejected/replay takes them in."
        )
        waiting = {"site_id": "shop.example", "reason": "site_quarantined"}
        answer = await http.post("/events/rejected/replay", json={"filter": waiting})
        assert (answer.json()["replayed"], answer.json()["accepted"]) == (151, 151)
        assert ledger_of(database_url) == {"accepted": 151, "site_quarantined": 151}
        assert await status_of(http) == 200
        assert (await sites_of(http))["shop.example"]["decided_at"] == decided["decided_at"]


async def test_new_sites_may_be_refused_and_named_beforehand(database_url: str) -> None:
    async with serving(database_url, NEW_SITES="refuse") as http:
        assert await status_of(http) == 403
        await decide(http, "shop.example", "accepted")
        assert await status_of(http) == 200
        sites = await sites_of(http)
    assert sites["shop.example"]["first_dialect"] == "management"
    assert sites["shop.example"]["accepted"] == 1


async def test_random_names_can_neither_grow_the_ledger_nor_the_list_of_sites(
    database_url: str,
) -> None:
    async with (
        serving(database_url, MAX_SITES="20") as one,
        serving(database_url, MAX_SITES="20") as other,
    ):
        requests = [
            collect(
                (one, other)[n % 2],
                a_batch(*[an_event(siteId=f"{n}-{k}.example") for k in range(3)]),
                origin=f"https://origin-{n}.example",
            )
            for n in range(100)
        ]
        requests += [collect(one, b"{", origin=f"https://broken-{n}.example") for n in range(30)]
        answers = await asyncio.gather(*requests)
        assert {a.status_code for a in answers} <= {200, 400, 403}
        sites = await sites_of(one)
    assert len(sites) == 20, "from two workers at once, and not one more"
    named = {row[0] for row in query(database_url, "SELECT DISTINCT site_id FROM ledger")}
    assert named == {*sites, "(unknown)"}
    stored = query(database_url, "SELECT count(*)::int, count(DISTINCT site_id) FROM events_log")
    counted = ledger_of(database_url)
    assert stored == [(counted["accepted"], 20)]
    assert sum(counted.values()) == 330


async def test_the_list_of_sites_is_paged(database_url: str) -> None:
    async with serving(database_url) as http:
        names = [f"{n}.example" for n in range(5)]
        await collect(http, a_batch(*[an_event(siteId=name) for name in names]))
        first = await sites_of(http, limit="3")
        rest = await sites_of(http, limit="3", after=max(first))
    assert [*first, *rest] == names


@pytest.mark.parametrize(
    "site_id", ["(unknown)", "%00", "x" * 201, "%D1%8F" * 100, "__HIVE_DEFAULT_PARTITION__"]
)
async def test_what_cannot_be_a_site(read_database_url: str, site_id: str) -> None:
    async with serving(read_database_url) as http:
        before = await sites_of(http)
        answer = await http.put(f"/sites/{site_id}", json={"state": "accepted"})
        assert answer.status_code == 422
        assert (await http.put("/sites/a.example", json={"state": "new"})).status_code == 422
        assert await sites_of(http) == before


async def test_a_site_with_a_slash_can_be_decided(database_url: str) -> None:
    async with serving(database_url) as http:
        assert await status_of(http, siteId="shop/eu é") == 200
        await decide(http, "shop%2Feu%20%C3%A9", "refused")
        assert await status_of(http, siteId="shop/eu é") == 403


# --- write keys --------------------------------------------------------------------------------

KEYS = {"WRITE_KEYS": "key-of-the-shop=shop.example,key-of-anybody=*"}


async def test_a_server_shows_a_key_and_its_events_have_a_site(database_url: str) -> None:
    basic = "Basic " + base64.b64encode(b"key-of-the-shop:").decode()
    async with serving(database_url, **KEYS) as http:
        for authorization in ("Bearer key-of-the-shop", basic):
            answer = await collect(http, an_event(siteId=None), authorization=authorization)
            assert answer.status_code == 200
        refused = await collect(http, an_event(), authorization="Bearer key-of-nobody")
        assert refused.status_code == 401
        assert refused.json()["errors"][0]["reason"] == "write_key_refused"
        assert (await collect(http, an_event())).status_code == 200
    assert query(database_url, "SELECT DISTINCT site_id FROM events_log") == [("shop.example",)]
    assert ledger_of(database_url) == {"accepted": 3, "write_key_refused": 1}


async def test_servers_may_have_to_show_one(database_url: str) -> None:
    async with serving(database_url, REQUIRE_WRITE_KEY="server", **KEYS) as http:
        assert (await collect(http, an_event())).status_code == 401
        page = await collect(http, an_event(), origin="https://shop.example")
        assert page.status_code == 200
        assert (await collect(http, an_event(), referer="https://shop.example/")).status_code == 200
        server = await collect(http, an_event(), authorization="Bearer key-of-anybody")
        assert server.status_code == 200


# --- consent -----------------------------------------------------------------------------------


async def test_signals_are_honoured_counted_and_nothing_of_them_is_kept(database_url: str) -> None:
    granted = an_event(consent="granted", consentPolicy="2026-05")
    async with serving(database_url) as http:
        for headers in ({"dnt": "1"}, {"sec-gpc": "1"}):
            answer = await collect(http, an_event(eventId="unwanted"), **headers)
            assert answer.status_code == 200
            assert (answer.json()["accepted"], answer.json()["rejected"]) == (0, 1)
            assert answer.json()["errors"][0]["reason"] == "do_not_track"
        assert (await collect(http, granted, dnt="1")).json()["accepted"] == 1
        assert (await collect(http, granted, sec_gpc="1")).json()["accepted"] == 0
        assert (await collect(http, an_event(consent="denied"))).json()["accepted"] == 0
    assert event_ids(database_url) == [granted["eventId"]]
    assert query(database_url, "SELECT payload->>'consentPolicy' FROM events_log") == [("2026-05",)]
    assert query(database_url, "SELECT 1 FROM dead_letters") == []
    assert ledger_of(database_url) == {"accepted": 1, "do_not_track": 3, "no_consent": 1}


@pytest.mark.parametrize(
    ("mode", "without", "with_gpc"),
    [("ignore", 1, 1), ("respect_signals", 1, 0), ("require", 0, 0)],
)
async def test_the_mode_is_a_setting(
    database_url: str, mode: str, without: int, with_gpc: int
) -> None:
    async with serving(database_url, CONSENT_MODE=mode) as http:
        assert (await collect(http, an_event())).json()["accepted"] == without
        assert (await collect(http, an_event(), sec_gpc="1")).json()["accepted"] == with_gpc
        assert (await collect(http, an_event(consent="granted"))).json()["accepted"] == 1
