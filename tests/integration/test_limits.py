"""Whatever is over a limit gets an answer that says which, and costs nobody else anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api.app import DIALECTS
from tests.conftest import a_batch, an_event
from tests.integration.building import collect, ledger_of, query, serving
from tests.unit.compressing import FORMATS

KEY = "a-key-of-a-server-0123456789"
PAGE = {"origin": "https://shop.example"}
# Ten events at once, then one a second.
SLOW: dict[str, Any] = {"RATE_LIMIT_PER_IP": "1", "API_WORKERS": "1"}
SLOW_SITE: dict[str, Any] = {"RATE_LIMIT_PER_SITE": "1", "API_WORKERS": "1"}


def events(number: int, **different: Any) -> bytes:
    return a_batch(*[an_event(**different) for _ in range(number)])


# --- rates --------------------------------------------------------------------------------------


async def test_over_the_rate_is_429_with_when_to_come_again_and_counted(database_url: str) -> None:
    async with serving(database_url, **SLOW) as http:
        assert (await collect(http, events(8))).status_code == 200
        answer = await collect(http, events(5), **PAGE)
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 4
        assert answer.headers["access-control-allow-origin"] == PAGE["origin"]
        assert answer.json()["errors"][0]["reason"] == "rate_limited"
        assert (await collect(http, events(2))).status_code == 200, "what was refused cost nothing"
    assert ledger_of(database_url) == {"accepted": 10, "rate_limited": 5}
    assert query(database_url, "SELECT count(*) FROM dead_letters") == [(0,)]


async def test_an_empty_bucket_is_told_before_the_body_is_read(database_url: str) -> None:
    asked = []

    async def body() -> AsyncIterator[bytes]:
        asked.append(True)
        yield events(1)

    async with serving(database_url, **SLOW) as http:
        await collect(http, events(10))
        answer = await http.post("/collect", content=body(), headers=PAGE)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["access-control-allow-origin"] == PAGE["origin"]
    assert not asked
    assert ledger_of(database_url) == {"accepted": 10, "rate_limited": 1}


async def test_another_address_pays_for_nobody(database_url: str) -> None:
    clients = ["203.0.113.1", "203.0.113.2", "2001:db8::1"]
    for client in clients:
        async with serving(database_url, client=(client, 1), **SLOW) as http:
            assert (await collect(http, events(10))).status_code == 200
            assert (await collect(http, events(1))).status_code == 429


async def test_a_site_over_its_rate_is_refused_and_no_other(database_url: str) -> None:
    busy, calm = an_event(siteId="busy.example"), an_event(siteId="calm.example")
    async with serving(database_url, **SLOW_SITE) as http:
        assert (await collect(http, a_batch(*[busy] * 10))).json()["accepted"] == 10
        answer = await collect(http, a_batch(busy, calm, busy))
        assert answer.status_code == 200
        assert answer.json()["accepted"] == 1
        assert [e["index"] for e in answer.json()["errors"]] == [0, 2]
        assert "retry-after" in answer.headers
        assert (await collect(http, a_batch(busy))).status_code == 429
    rows = query(
        database_url,
        "SELECT site_id, outcome, sum(events)::int FROM ledger GROUP BY 1, 2 ORDER BY 1, 2",
    )
    assert rows == [
        ("busy.example", "accepted", 10),
        ("busy.example", "rate_limited", 3),
        ("calm.example", "accepted", 1),
    ]


async def test_a_server_with_its_key_has_no_limit_and_a_page_that_shows_it_has(
    database_url: str,
) -> None:
    key = {"authorization": f"Bearer {KEY}"}
    async with serving(database_url, WRITE_KEYS=f"{KEY}=*", **SLOW) as http:
        for _ in range(3):
            assert (await collect(http, events(10), **key)).status_code == 200
        wrong = {"authorization": "Bearer another-key-0123456789abc"}
        assert (await collect(http, events(10), **wrong)).status_code == 401
        assert (await collect(http, events(1), **wrong)).status_code == 429
        assert (await collect(http, events(1), **key, **PAGE)).status_code == 429
        assert (await collect(http, events(10), **key)).status_code == 200
    assert ledger_of(database_url)["accepted"] == 40


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name or "native")
async def test_every_dialect_says_so_in_its_own_way(database_url: str, dialect: Any) -> None:
    path, methods = next(iter(dialect.routes.items()))
    method = "POST" if "POST" in methods and dialect.name != "pixel" else "GET"
    async with serving(database_url, **SLOW) as http:
        await collect(http, events(10))
        answer = await http.request(method, path, content=b"{}", headers=PAGE)
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["access-control-allow-origin"] == PAGE["origin"]
    if dialect.name == "pixel":
        assert answer.status_code == 200
        assert answer.headers["sluice-result"] == "refused; reason=rate_limited"
        return
    assert answer.status_code == 429
    said = answer.json()
    match dialect.name:
        case "plausible":
            assert "come again in 1 s" in said["errors"]["request"][0]
        case "umami":
            assert said["error"]["code"] == "rate_limited"
        case "segment":
            assert "rate_limited" in answer.text
        case _:
            assert said["errors"][0]["reason"] == "rate_limited"


# --- events -------------------------------------------------------------------------------------


async def test_a_text_that_is_too_long_is_named(database_url: str) -> None:
    long = {"fits": "x" * 100, "list": [{"deep": "y" * 101}]}
    batch = a_batch(an_event(), an_event(properties=long), an_event(properties={"z" * 101: 1}))
    async with serving(database_url, MAX_STRING_CHARS="100") as http:
        answer = (await collect(http, batch)).json()
    assert answer["accepted"] == 1
    assert [(e["index"], e["reason"], e["field"]) for e in answer["errors"]] == [
        (1, "string_too_long", "properties.list"),
        (2, "string_too_long", "properties." + "z" * 100),
    ]
    assert ledger_of(database_url) == {"accepted": 1, "string_too_long": 2}


async def test_characters_are_counted_not_bytes(database_url: str) -> None:
    async with serving(database_url, MAX_STRING_CHARS="100") as http:
        answer = await collect(http, an_event(properties={"x": "😀" * 100}))
    assert answer.json() == {"accepted": 1, "rejected": 0}


async def test_an_event_nested_too_deep_is_refused_alone(database_url: str) -> None:
    def nested(levels: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for _ in range(levels - 1):
            value = {"x": value}
        return an_event(properties=value)

    async with serving(database_url, MAX_DEPTH="5") as http:
        answer = (await collect(http, a_batch(nested(4), nested(5), nested(6)))).json()
    assert answer["accepted"] == 1
    assert [e["index"] for e in answer["errors"]] == [1, 2]
    assert {e["reason"] for e in answer["errors"]} == {"too_deep"}


# --- bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
async def test_a_compressed_body_is_bounded_once_it_is_open(database_url: str, name: str) -> None:
    coding, compress = FORMATS[name]
    small, bomb = events(20), b'{"eventType":"a","title":"' + b"x" * 5_000_000 + b'"}'
    headers = {"content-encoding": str(coding)}
    async with serving(database_url, MAX_DECOMPRESSED_BYTES="100000") as http:
        answer = await collect(http, compress(small), **headers)
        assert answer.json() == {"accepted": 20, "rejected": 0}
        assert len(compress(bomb)) < 100_000
        answer = await collect(http, compress(bomb), **headers)
        assert answer.status_code == 413
        assert answer.json()["errors"][0]["reason"] == "too_large"
        answer = await collect(http, compress(small)[:-5], **headers)
        assert answer.json()["errors"][0]["reason"] == "invalid_encoding"
    assert ledger_of(database_url) == {"accepted": 20, "too_large": 1, "invalid_encoding": 1}


async def test_a_body_that_does_not_come_is_given_up(database_url: str) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b'{"eventType":'
        await asyncio.sleep(30)
        yield b'"a"}'

    async with serving(database_url, BODY_TIMEOUT="1s") as http:
        late, good = await asyncio.gather(
            http.post("/collect", content=slow(), headers=PAGE), collect(http, an_event())
        )
    assert late.status_code == 408
    assert late.headers["connection"] == "close"
    assert late.headers["access-control-allow-origin"] == PAGE["origin"]
    assert late.json()["errors"][0]["reason"] == "timeout"
    assert good.status_code == 200
    assert ledger_of(database_url) == {"accepted": 1, "timeout": 1}


# --- origins ------------------------------------------------------------------------------------


async def test_an_origin_that_is_not_allowed_is_told_nothing_and_reads_nothing(
    database_url: str,
) -> None:
    allowed: dict[str, Any] = {"ALLOWED_ORIGINS": "https://shop.example", **SLOW}
    stranger = {"origin": "https://stranger.example"}

    def told(answer: httpx.Response) -> Any:
        return answer.headers.get("access-control-allow-origin")

    async with serving(database_url, **allowed) as http:
        preflight = await http.options("/collect", headers=PAGE)
        assert (preflight.status_code, told(preflight)) == (204, PAGE["origin"])
        assert preflight.headers["access-control-max-age"] == "86400"
        assert told(await http.options("/collect", headers=stranger)) is None
        assert told(await collect(http, events(1), **stranger)) is None
        assert told(await collect(http, events(9), **PAGE)) == PAGE["origin"]
        assert told(await collect(http, events(1), **PAGE)) == PAGE["origin"]
        assert told(await collect(http, events(1), **stranger)) is None
