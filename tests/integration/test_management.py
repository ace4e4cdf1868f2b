"""`/health`, `/events/*`, `/export/*`, the docs, and who may see them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from openapi_spec_validator import validate
from sqlalchemy import Engine

from exporter.sinks.sink import Bucket, SinkRefused
from tests.conftest import HandClock, a_batch, an_event
from tests.integration.building import Exporting, collect, query, serving, write
from tests.integration.test_delivery import FailingBucket

TOKEN = "0f5c2f0f9e1f4a3f8f7e6d5c4b3a29180f5c2f0f9e1f4a3f"
PRODUCTION = {"SLUICE_ENV": "production", "API_TOKEN": TOKEN}
PROTECTED = [
    ("GET", "/events/count"),
    ("GET", "/events/recent"),
    ("GET", "/events/rejected"),
    ("POST", "/events/rejected/replay"),
    ("POST", "/export/run"),
    ("GET", "/export/runs/019aa1b2-7c1e-7a50-9d3e-3f1b8c2a4d5e"),
    ("GET", "/export/runs"),
    ("GET", "/export/status"),
    ("GET", "/export/config"),
    ("GET", "/export/backfills"),
    ("POST", "/export/backfill"),
    ("POST", "/export/sinks/client/pause"),
    ("POST", "/export/sinks/client/resume"),
    ("POST", "/export/sinks/client/test"),
    ("GET", "/export/sinks/client/tests/019aa1b2-7c1e-7a50-9d3e-3f1b8c2a4d5e"),
    ("GET", "/sites"),
    ("PUT", "/sites/shop.example"),
    ("GET", "/privacy/suppressions"),
    ("POST", "/privacy/suppressions"),
    ("DELETE", "/privacy/suppressions"),
]
BODIES: dict[str, dict[str, Any]] = {
    "/events/rejected/replay": {"filter": {}},
    "/export/backfill": {"from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z"},
    "/sites/shop.example": {"state": "refused"},
    "/privacy/suppressions": {"visitor_ids": ["v-1"]},
}


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets")


def now_of(database_url: str) -> HandClock:
    """A clock that agrees with the database's."""
    return HandClock(query(database_url, "SELECT now()")[0][0])


# --- health ------------------------------------------------------------------------------------


async def test_health_without_any_exporter(read_database_url: str) -> None:
    async with serving(read_database_url) as http:
        answer = await http.get("/health")
    assert answer.status_code == 503
    health = answer.json()
    assert (health["status"], health["database"], health["exporter"]) == (
        "degraded",
        "up",
        "silent",
    )


async def test_health_when_all_is_well_and_when_the_exporter_falls_silent(
    database_url: str, exporting: Exporting
) -> None:
    await asyncio.to_thread(exporting.exporter.say_state)
    clock = now_of(database_url)
    async with serving(database_url, clock=clock) as http:
        answer = await http.get("/health")
        assert answer.status_code == 200
        assert answer.json()["status"] == "ok"
        assert answer.json()["oldest_undelivered_seconds"] is None
        clock.turn(seconds=29)
        assert (await http.get("/health")).status_code == 200
        clock.turn(seconds=2)
        answer = await http.get("/health")
    assert answer.status_code == 503
    assert answer.json()["exporter"] == "silent"
    assert "nothing is delivered" in answer.json()["problems"][0]


async def test_health_is_red_when_an_event_waits_for_longer_than_promised(
    database_url: str, exporting: Exporting
) -> None:
    await write(database_url, an_event())
    clock = HandClock(query(database_url, "SELECT received_at FROM events_log")[0][0])
    async with serving(database_url, clock=clock) as http:
        await asyncio.to_thread(exporting.exporter.say_state)
        clock.turn(hours=1, minutes=1)
        query(database_url, "UPDATE exporter_state SET last_seen_at = %s", clock.now)
        health = (await http.get("/health")).json()
        assert health["status"] == "ok"
        assert health["promised_seconds"] == 3_720
        clock.turn(minutes=2)
        query(database_url, "UPDATE exporter_state SET last_seen_at = %s", clock.now)
        answer = await http.get("/health")
        assert answer.status_code == 503
        assert "waited for" in answer.json()["problems"][0]
        # Delivered, it is green again.
        await asyncio.to_thread(exporting.run)
        assert (await http.get("/health")).status_code == 200


async def test_health_is_red_when_a_sink_has_stopped(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    def wrap(bucket: Bucket, name: str) -> Bucket:
        if name == "client":
            return FailingBucket(bucket, at=1, after=False, exception=SinkRefused)
        return bucket

    exporting = Exporting(database_url, engine, tmp_path, wrap=wrap)
    await asyncio.to_thread(exporting.exporter.say_state)
    await asyncio.to_thread(exporting.run)
    async with serving(database_url) as http:
        answer = await http.get("/health")
        status = (await http.get("/export/status")).json()
    assert answer.status_code == 503
    assert "Sink client has stopped" in answer.json()["problems"][0]
    assert status["state"] == "stopped"
    assert {s["sink"]: s["state"] for s in status["sinks"]} == {
        "client": "stopped",
        "metering": "ok",
    }


async def test_health_is_red_while_nothing_can_be_committed(
    database_url: str, exporting: Exporting
) -> None:
    await asyncio.to_thread(exporting.exporter.say_state)
    async with serving(database_url) as http:
        assert (await http.get("/health")).status_code == 200
        query(database_url, "ALTER TABLE ledger RENAME TO mislaid")
        assert (await collect(http, an_event())).status_code == 503
        query(database_url, "ALTER TABLE mislaid RENAME TO ledger")
        answer = await http.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (503, "failing")
        assert "refused with 503" in answer.json()["problems"][0]
        assert (await collect(http, an_event())).status_code == 200
        assert (await http.get("/health")).status_code == 200


async def test_health_without_a_database(read_database_url: str) -> None:
    async with serving(read_database_url.replace("/shared", "/no_such")) as http:
        answer = await http.get("/health")
    assert answer.status_code == 503
    assert (answer.json()["status"], answer.json()["database"]) == ("failing", "down")


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_without_a_database_every_route_says_so(
    read_database_url: str, method: str, path: str
) -> None:
    async with serving(read_database_url.replace("/shared", "/no_such")) as http:
        answer = await http.request(method, path, json=BODIES.get(path))
    assert answer.status_code == 503
    assert "PostgreSQL" in answer.json()["detail"]


# --- events ------------------------------------------------------------------------------------


async def test_counts_are_exact_by_site_and_reason_before_and_after_dropping(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"BUFFER_RETENTION": "0"})
    async with serving(database_url) as http:
        await collect(
            http, a_batch(an_event(eventId="a"), an_event(eventId="a"), an_event(title=3))
        )
        await collect(http, a_batch(an_event(siteId="b.example")), origin="https://b.example")
        await collect(http, b"{", origin="https://b.example")
        before = (await http.get("/events/count")).json()
        await asyncio.to_thread(exporting.run)
        await asyncio.to_thread(exporting.exporter.drop_expired)
        after = (await http.get("/events/count")).json()
    assert before == {
        "count": 3, "received": 5, "rejected": 2, "duplicates": 0,
        "bots": 3, "redacted": 0, "plan_violations": 0,
        "rejected_by_reason": {"invalid_event": 1, "invalid_json": 1},
        "by_site": [
            {"site_id": "shop.example", "accepted": 2, "rejected": 0},
            {"site_id": "b.example", "accepted": 1, "rejected": 1},
            {"site_id": "(unknown)", "accepted": 0, "rejected": 1},
        ],
    }  # fmt: skip
    assert after == before | {"duplicates": 1}


async def test_counting_scans_no_event(database_url: str) -> None:
    async with serving(database_url) as http:
        await collect(http, a_batch(*[an_event() for _ in range(50)]))
        for path in ("/events/count", "/export/status"):
            await http.get(path)
        # A backend that lives on reports its reads a second late; one that ends, at once.
        query(
            database_url,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'sluice control' AND datname = current_database()",
        )
    reads = query(
        database_url,
        "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'events_log_1'",
    )
    assert reads == [(0,)]


async def test_recent_events_come_newest_first_across_segments(
    database_url: str, exporting: Exporting
) -> None:
    for name in ("one", "two", "three"):
        await write(database_url, an_event(eventId=name, properties={"x": 1}))
        if name != "three":
            await asyncio.to_thread(exporting.seal)
    async with serving(database_url) as http:
        events = (await http.get("/events/recent")).json()["events"]
        assert [event["payload"]["eventId"] for event in events] == ["three", "two", "one"]
        assert events[0]["payload"]["properties"] == {"x": 1}
        assert len((await http.get("/events/recent?limit=2")).json()["events"]) == 2
        for limit in (0, 501, "x"):
            assert (await http.get(f"/events/recent?limit={limit}")).status_code == 422


async def test_recent_events_of_a_large_segment(database_url: str) -> None:
    for number in range(5):
        await write(database_url, *[an_event(eventId=f"{number}-{n}") for n in range(400)])
    async with serving(database_url) as http:
        events = (await http.get("/events/recent?limit=500")).json()["events"]
    assert [e["payload"]["eventId"] for e in events] == [
        f"{number}-{n}" for number in (4, 3) for n in reversed(range(400))
    ][:500]


# --- export ------------------------------------------------------------------------------------


async def test_requests_that_wait_are_joined_and_answered_by_one_seal(
    database_url: str, exporting: Exporting
) -> None:
    await write(database_url, an_event())
    async with serving(database_url) as http:
        answers = await asyncio.gather(*[http.post("/export/run") for _ in range(10)])
        assert {answer.status_code for answer in answers} == {202}
        (run_id,) = {answer.json()["run_id"] for answer in answers}
        assert (await http.get(f"/export/runs/{run_id}")).json()["state"] == "requested"
        await asyncio.to_thread(exporting.exporter.seal_if_due)
        assert (await http.get(f"/export/runs/{run_id}")).json()["state"] == "delivering"
        await asyncio.to_thread(exporting.deliver)
        run = (await http.get(f"/export/runs/{run_id}")).json()
        assert (run["state"], run["trigger"], run["segment_id"]) == ("completed", "manual", 1)
        assert run["delivered_at"] is not None
        assert run["bytes"] > 0
        another = (await http.post("/export/run")).json()["run_id"]
        assert another != run_id
        status = (await http.get("/export/status")).json()
        assert [UUID(r["run_id"]) for r in status["recent_runs"]] == [UUID(another), UUID(run_id)]
        assert (await http.get(f"/export/runs/{UUID(int=7)}")).status_code == 404
        assert (await http.get("/export/runs/none")).status_code == 422


async def test_the_conservation_law_holds_at_every_step(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"BUFFER_RETENTION": "0"})

    async def check(http: Any, *, exported: list[int], pending: list[int], duplicates: int) -> None:
        status = (await http.get("/export/status")).json()
        law = status["conservation"]
        assert law["holds"] is True
        assert (law["received"], law["accepted"], law["rejected"]) == (4, 3, 1)
        assert law["duplicates"] == duplicates
        assert [s["exported"] for s in status["sinks"]] == exported
        assert [s["pending"] for s in status["sinks"]] == pending

    steps: list[tuple[Callable[[], object], dict[str, Any]]] = [
        (lambda: None, {"exported": [], "pending": [], "duplicates": 0}),
        (exporting.seal, {"exported": [0, 0], "pending": [2, 2], "duplicates": 1}),
        (
            lambda: exporting.deliver(exporting.client),
            {"exported": [2, 0], "pending": [0, 2], "duplicates": 1},
        ),
        (exporting.deliver, {"exported": [2, 2], "pending": [0, 0], "duplicates": 1}),
        (exporting.exporter.drop_expired, {"exported": [2, 2], "pending": [0, 0], "duplicates": 1}),
        (exporting.run, {"exported": [2, 2], "pending": [0, 0], "duplicates": 1}),
    ]  # fmt: skip
    async with serving(database_url) as http:
        await collect(
            http,
            a_batch(an_event(eventId="a"), an_event(eventId="a"), an_event(), an_event(title=3)),
        )
        for step, expected in steps:
            await asyncio.to_thread(step)
            await check(http, **expected)
        query(
            database_url, "UPDATE ledger_totals SET events = events + 1 WHERE outcome = 'accepted'"
        )
        status = (await http.get("/export/status")).json()
        assert status["conservation"]["holds"] is False


async def test_the_watermark_is_the_sealing_of_the_last_segment_delivered_in_a_row(
    database_url: str, exporting: Exporting
) -> None:
    clock = now_of(database_url)
    async with serving(database_url, clock=clock) as http:

        async def watermarks() -> dict[str, str | None]:
            sinks = (await http.get("/export/status")).json()["sinks"]
            return {sink["sink"]: sink["watermark"] for sink in sinks}

        first = await asyncio.to_thread(exporting.seal)
        assert await watermarks() == {"client": None, "metering": None}
        second = await asyncio.to_thread(exporting.seal)
        await asyncio.to_thread(exporting.deliver, exporting.client)
        found = await watermarks()
        assert found["client"] == second.sealed_at.isoformat().replace("+00:00", "Z")
        assert found["metering"] is None
        await asyncio.to_thread(exporting.deliver)
        assert set((await watermarks()).values()) == {found["client"]}
        clock.now = second.sealed_at + timedelta(seconds=90)
        sinks = (await http.get("/export/status")).json()["sinks"]
        assert [sink["lag_seconds"] for sink in sinks] == [90, 90]
        assert first.sealed_at < second.sealed_at


async def test_the_exporters_settings_are_shown_without_its_secrets(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(
        database_url, engine, tmp_path,
        variables={
            "CLIENT_S3_ACCESS_KEY_ID": "AKIAVISIBLE", "CLIENT_S3_SECRET_ACCESS_KEY": "hush-hush",
        },
    )  # fmt: skip
    async with serving(database_url) as http:
        assert (await http.get("/export/config")).status_code == 404
        await asyncio.to_thread(exporting.exporter.say_state)
        answer = await http.get("/export/config")
    shown = answer.json()["settings"]
    assert shown["EXPORT_INTERVAL"]
    assert shown["CLIENT_S3_SECRET_ACCESS_KEY"] == "(set)"
    assert shown["METERING_S3_SECRET_ACCESS_KEY"] == "(not set)"
    assert [sink["sink"] for sink in shown["sinks"]] == ["client", "metering"]
    for secret in ("AKIAVISIBLE", "hush-hush", "host=", database_url):
        assert secret not in answer.text


# --- who may ask -------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_production_wants_the_token(read_database_url: str, method: str, path: str) -> None:
    async with serving(read_database_url, **PRODUCTION) as http:
        for headers in (
            {},
            {"authorization": f"Bearer {TOKEN}x"},
            {"authorization": "Bearer "},
            {"authorization": f"Basic {TOKEN}"},
            {"authorization": TOKEN},
            {"x-forwarded-for": "127.0.0.1"},
        ):
            answer = await http.request(method, path, headers=headers, json=BODIES.get(path))
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        allowed = {"authorization": f"Bearer {TOKEN}"}
        answer = await http.request(method, path, headers=allowed, json=BODIES.get(path))
        assert answer.status_code not in (401, 403)


async def test_a_token_in_another_script_is_wrong_and_no_error(read_database_url: str) -> None:
    async with serving(read_database_url, **PRODUCTION) as http:
        answer = await http.get(
            "/events/count", headers={"authorization": "Bearer schlüssel".encode("latin-1")}
        )  # type: ignore[dict-item]
    assert answer.status_code == 401


async def test_production_takes_in_events_and_tells_its_health_without_one(
    database_url: str,
) -> None:
    async with serving(database_url, client=("203.0.113.9", 1), **PRODUCTION) as http:
        assert (await collect(http, an_event())).status_code == 200
        assert (await http.get("/health")).status_code in (200, 503)


@pytest.mark.parametrize(
    ("client", "base_url", "headers", "status"),
    [
        ("127.0.0.1", "http://localhost:8000", {}, 200),
        ("127.0.0.1", "http://127.0.0.1:8000", {}, 200),
        ("::1", "http://[::1]:8000", {}, 200),
        ("203.0.113.9", "http://localhost:8000", {}, 401),
        ("10.0.0.2", "http://localhost:8000", {}, 401),
        # Through a proxy that runs on this machine.
        ("127.0.0.1", "http://localhost:8000", {"x-forwarded-for": "203.0.113.9"}, 401),
        ("127.0.0.1", "http://localhost:8000", {"x-forwarded-for": ""}, 401),
        # A page whose name was made to point here (DNS rebinding).
        ("127.0.0.1", "http://evil.example:8000", {}, 401),
        ("127.0.0.1", "http://localhost.evil.example", {}, 401),
        # Whoever shows a token means it.
        ("127.0.0.1", "http://localhost:8000", {"authorization": "Bearer wrong"}, 401),
    ],
)
async def test_development_is_open_on_loopback_only(
    read_database_url: str, client: str, base_url: str, headers: dict[str, str], status: int
) -> None:
    async with serving(read_database_url, client=(client, 1), base_url=base_url) as http:
        answer = await http.get("/events/count", headers=headers)
    assert answer.status_code == status


# --- the docs ----------------------------------------------------------------------------------


async def test_the_openapi_document_is_valid_and_describes_the_collector(
    read_database_url: str,
) -> None:
    async with serving(read_database_url) as http:
        document = (await http.get("/openapi.json")).json()
    validate(document)
    assert set(document["paths"]["/collect"]) == {"post", "options"}
    fixed = {
        path
        for _, path in PROTECTED
        if "runs" not in path and "/sinks/" not in path and path not in BODIES
    }
    assert fixed | {"/sites/{site_id}", "/privacy/suppressions"} <= set(document["paths"])
    bodies = document["paths"]["/collect"]["post"]["requestBody"]["content"]
    assert {"application/json", "text/plain"} <= set(bodies)


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_the_docs_need_no_third_party(read_database_url: str, page: str) -> None:
    async with serving(read_database_url) as http:
        answer = await http.get(page)
        assert answer.status_code == 200
        needed = re.findall(r"""(?:src|href)=["']([^"']+)""", answer.text)
        assert needed
        for address in needed:
            assert address.startswith(("/", "data:")), address
            if address.startswith("/"):
                assert (await http.get(address)).status_code == 200
