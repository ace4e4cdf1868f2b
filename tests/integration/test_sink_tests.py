"""`POST /export/sinks/{sink}/test`: asked of the API, carried out by the exporter."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from exporter.sink_tests import carry_out_tests
from tests.integration.building import Exporting, query, serving


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    exporting = Exporting(database_url, engine, tmp_path / "buckets")
    exporting.exporter.say_state()
    return exporting


def carry_out(exporting: Exporting) -> None:
    carry_out_tests(exporting.engine, exporting.settings, stopping=Event())


async def test_a_test_is_asked_for_carried_out_and_read(
    database_url: str, exporting: Exporting
) -> None:
    async with serving(database_url) as http:
        asked = await http.post("/export/sinks/client/test")
        assert (asked.status_code, asked.json()["state"]) == (202, "requested")
        place = asked.headers["location"]
        waiting = (await http.get(place)).json()
        assert (waiting["state"], waiting["steps"]) == ("requested", [])
        await asyncio.to_thread(carry_out, exporting)
        found = (await http.get(place)).json()
    assert found["state"] == "passed"
    assert found["requested_at"] <= found["started_at"] <= found["finished_at"]
    steps = {step["step"]: step for step in found["steps"]}
    assert steps["read-back"]["outcome"] == "PASSED"
    assert steps["kms"]["outcome"] == "SKIPPED"


async def test_a_step_that_failed_has_its_remedy(
    database_url: str, engine: Engine, tmp_path: Path, s3_endpoint: str
) -> None:
    exporting = Exporting(
        database_url,
        engine,
        tmp_path,
        variables={
            "CLIENT_S3_BUCKET": "no-such-bucket",
            "CLIENT_S3_ENDPOINT_URL": s3_endpoint,
            "CLIENT_S3_ACCESS_KEY_ID": "key",
            "CLIENT_S3_SECRET_ACCESS_KEY": "secret",
        },
    )
    exporting.exporter.say_state()
    async with serving(database_url) as http:
        place = (await http.post("/export/sinks/client/test")).headers["location"]
        await asyncio.to_thread(carry_out, exporting)
        found = (await http.get(place)).json()
    assert found["state"] == "failed"
    [failed] = [step for step in found["steps"] if step["outcome"] == "FAILED"]
    assert (failed["step"], failed["remedy"]) == (
        "region",
        "The bucket does not exist: create it, or correct its name.",
    )


async def test_a_second_request_joins_the_first_and_other_sinks_have_their_own(
    database_url: str, exporting: Exporting
) -> None:
    async with serving(database_url) as http:
        answers = await asyncio.gather(*(http.post("/export/sinks/client/test") for _ in range(8)))
        other = await http.post("/export/sinks/metering/test")
        assert len({answer.json()["test_id"] for answer in answers}) == 1
        assert other.json()["test_id"] != answers[0].json()["test_id"]
        await asyncio.to_thread(carry_out, exporting)
        again = await http.post("/export/sinks/client/test")
        assert again.json()["test_id"] != answers[0].json()["test_id"]
    assert query(database_url, "SELECT count(*) FROM sink_tests WHERE finished_at IS NULL") == [
        (1,)
    ]


async def test_a_test_that_a_crash_interrupted_is_begun_again(
    database_url: str, exporting: Exporting
) -> None:
    async with serving(database_url) as http:
        place = (await http.post("/export/sinks/client/test")).headers["location"]
        stopping = Event()
        query(
            database_url,
            """UPDATE sink_tests SET started_at = now(), steps = '[{"step": "dns", "outcome":
            "FAILED", "seen": "", "remedy": "", "seconds": 0}]'""",
        )
        assert (await http.get(place)).json()["state"] == "running"
        stopping.set()
        await asyncio.to_thread(
            carry_out_tests, exporting.engine, exporting.settings, stopping=stopping
        )
        assert (await http.get(place)).json()["state"] == "running"
        await asyncio.to_thread(carry_out, exporting)
        found = (await http.get(place)).json()
    assert found["state"] == "passed"
    assert len(found["steps"]) == len({step["step"] for step in found["steps"]})


async def test_what_there_is_not_is_404(database_url: str, exporting: Exporting) -> None:
    async with serving(database_url) as http:
        assert (await http.post("/export/sinks/nobody/test")).status_code == 404
        assert (await http.get(f"/export/sinks/client/tests/{uuid4()}")).status_code == 404
        place = (await http.post("/export/sinks/client/test")).headers["location"]
        assert (await http.get(place.replace("client", "metering"))).status_code == 404


async def test_without_an_exporter_there_is_nobody_to_ask(read_database_url: str) -> None:
    async with serving(read_database_url) as http:
        answer = await http.post("/export/sinks/client/test")
    assert answer.status_code == 404
    assert "no exporter has ever run" in answer.json()["detail"]


async def test_old_tests_are_forgotten(database_url: str, exporting: Exporting) -> None:
    query(
        database_url,
        "INSERT INTO sink_tests SELECT gen_random_uuid(), 'client', now() - interval '1 h' * n,"
        " now(), now(), '[]' FROM generate_series(1, 50) AS n",
    )
    async with serving(database_url) as http:
        await http.post("/export/sinks/client/test")
    assert query(database_url, "SELECT count(*) FROM sink_tests") == [(20,)]


def test_the_exporter_looks_for_tests_on_its_schedule(exporting: Exporting) -> None:
    from exporter.__main__ import schedule

    jobs: dict[str, Any] = {job.id: job for job in schedule(exporting.exporter).get_jobs()}
    assert "test sinks" in jobs
