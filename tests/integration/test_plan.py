"""A tracking plan, through the whole application."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.settings import ApiSettings
from core.settings import read_settings
from tests.conftest import a_batch, an_event
from tests.integration.building import collect, ledger_of, query, serving
from tests.integration.test_rejected import rejected


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "click.json").write_text('{"properties":{"x":{"type":"integer"}}}')
    return tmp_path


def click(x: Any) -> dict[str, Any]:
    return an_event(eventType="click", properties={"x": x})


def with_plan(folder: Path, mode: str, **more: str) -> dict[str, str]:
    return {"TRACKING_PLAN_DIR": str(folder), "TRACKING_PLAN_MODE": mode} | more


async def test_to_observe_is_to_mark_and_count(database_url: str, folder: Path) -> None:
    async with serving(database_url, **with_plan(folder, "observe")) as http:
        answer = await collect(http, a_batch(click(1), click("secret"), an_event(), click(2)))
        assert answer.json() == {"accepted": 4, "rejected": 0}
        count = (await http.get("/events/count")).json()
        assert (count["count"], count["plan_violations"]) == (4, 1)
    marked = query(
        database_url,
        "SELECT payload->'properties'->>'x', payload->>'planViolation', payload->>'ip'"
        " FROM events_log WHERE payload ? 'planViolation'",
    )
    assert marked == [("secret", 'x: value is not of type "integer"', "127.0.0.0")]


async def test_to_enforce_is_to_refuse_and_keep(database_url: str, folder: Path) -> None:
    async with serving(database_url, **with_plan(folder, "enforce")) as http:
        answer = (await collect(http, a_batch(click(1), click("secret"), an_event()))).json()
        assert (answer["accepted"], answer["rejected"]) == (2, 1)
        (error,) = answer["errors"]
        assert error == {
            "index": 1, "reason": "plan_violation", "field": "properties.x",
            "message": 'value is not of type "integer"',
        }  # fmt: skip
        (letter,) = (await rejected(http, reason="plan_violation"))["rejected"]
        assert (letter["field"], letter["event_type"]) == ("properties.x", "click")
    assert ledger_of(database_url) == {"accepted": 2, "plan_violation": 1}


async def test_types_that_the_plan_does_not_name(database_url: str, folder: Path) -> None:
    variables = with_plan(folder, "enforce", TRACKING_PLAN_UNKNOWN="violation")
    async with serving(database_url, **variables) as http:
        (error,) = (await collect(http, an_event())).json()["errors"]
    assert (error["field"], error["message"]) == (
        "eventType",
        "not a type of event in the tracking plan",
    )


async def test_a_changed_plan_is_followed_and_a_broken_one_told(
    database_url: str, folder: Path
) -> None:
    settings = read_settings(
        ApiSettings, {"DATABASE_URL": database_url} | with_plan(folder, "enforce")
    )
    app = create_app(settings)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.management.router.lifespan_context(app.management),
        httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as http,
    ):

        async def is_accepted() -> bool:
            return (await collect(http, click("text"))).status_code == 200

        async def is_told() -> bool:
            problems = (await http.get("/health")).json()["problems"]
            return any("tracking plan is broken" in problem for problem in problems)

        async def change(schema: str) -> None:
            (folder / "click.json").write_text(schema)
            await asyncio.to_thread(app.management.state.plan.reload)

        assert not await is_accepted()
        await change("{")
        assert await is_told()
        assert not await is_accepted(), "the one before it is in force"
        await change('{"properties":{"x":{"type":"string"}}}')
        assert await is_accepted()
        assert not await is_told()


async def test_a_stack_starts_with_a_broken_plan_and_says_so(
    database_url: str, tmp_path: Path
) -> None:
    variables = with_plan(tmp_path / "nope", "enforce", TRACKING_PLAN_UNKNOWN="violation")
    async with serving(database_url, **variables) as http:
        assert (await collect(http, click("text"))).status_code == 200
        problems = (await http.get("/health")).json()["problems"]
    assert any("is not a folder" in problem for problem in problems)
