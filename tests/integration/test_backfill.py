"""A window delivered once more: from the buffer, from the backup, in any format, once."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import Engine

from exporter.reading import pull, read_events
from exporter.sinks.sink import Bucket, SinkRefused, SinkUnavailable
from tests.conftest import an_event
from tests.integration.building import Exporting, query, serving, write_now

HOUR = timedelta(hours=1)


def hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def have_hours_passed(exporting: Exporting, hours: int) -> None:
    """What the buffer and the delivered windows say is so much older."""
    for statement in (
        "UPDATE segments SET opened_at = opened_at - %s, sealed_at = sealed_at - %s",
        "UPDATE ledger SET received_hour = received_hour - %s + %s * 0",
        "UPDATE events_log SET received_at = received_at - %s + %s * 0",
    ):
        query(exporting.database_url, statement, timedelta(hours=hours), timedelta(hours=hours))


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    """Three segments of two sites, delivered hours ago; the first is dropped from the buffer."""
    made = Exporting(database_url, engine, tmp_path / "b", variables={"BUFFER_RETENTION": "0"})
    for number in range(3):
        events = [
            an_event(eventId=f"{number}-{n}", siteId=site, properties={"price": n})
            for n, site in enumerate(("a.example", "b.example"))
        ]
        # The last is a repeat, which is never delivered.
        write_now(database_url, *events, an_event(eventId="0-0", siteId="a.example"))
        made.seal()
    have_hours_passed(made, 3)
    made.deliver(made.metering)
    made.deliver(made.client)
    query(database_url, "UPDATE segments SET exported_at = now() + interval '1 day'"
          " WHERE segment_id > 1")  # fmt: skip
    made.exporter.drop_expired()
    states = query(database_url, "SELECT state FROM segments ORDER BY segment_id")
    assert [state for (state,) in states] == ["dropped", "exported", "exported", "open"]
    return made


def window_of(exporting: Exporting) -> dict[str, str]:
    (moment,) = query(exporting.database_url, "SELECT min(opened_at) FROM segments")[0]
    (last,) = query(
        exporting.database_url,
        "SELECT max(sealed_at) FROM segments WHERE segment_id < (SELECT max(segment_id) - 1"
        " FROM segments)",
    )[0]
    return {"from": hour_of(moment).isoformat(), "to": (hour_of(last) + HOUR).isoformat()}


def allow(exporting: Exporting) -> None:
    """The window's end is before the watermark: an empty segment was sealed just now."""
    exporting.run()


async def ask(exporting: Exporting, **different: str) -> dict[str, Any]:
    async with serving(exporting.database_url) as http:
        answer = await http.post("/export/backfill", json=window_of(exporting) | different)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found


async def read(exporting: Exporting, backfill_id: str) -> dict[str, Any]:
    async with serving(exporting.database_url) as http:
        found: dict[str, Any] = (await http.get(f"/export/backfills/{backfill_id}")).json()
        return found


def ids_below(exporting: Exporting, prefix: str, form: str) -> Counter[str]:
    root = (exporting.client_root / prefix).as_posix()
    reader = {
        "parquet": f"read_parquet('{root}/events/**/*.parquet', hive_partitioning=true)",
        "csv": f"read_csv('{root}/events_csv/**/*.csv.gz', hive_partitioning=true)",
        "json": f"read_json('{root}/events_json/**/*.json.gz', hive_partitioning=true)",
    }[form]
    rows = duckdb.sql(f"SELECT site_id || '/' || event_id FROM {reader}").fetchall()
    return Counter(row[0] for row in rows)


EVERY = Counter(
    f"{site}/{number}-{n}"
    for number in range(3)
    for n, site in enumerate(("a.example", "b.example"))
)


@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
async def test_a_window_comes_from_the_buffer_and_from_the_backup(
    exporting: Exporting, form: str
) -> None:
    await asyncio.to_thread(allow, exporting)
    live = sorted(exporting.client.bucket.list_keys("analytics/events"))
    asked = await ask(exporting, format=form)
    assert asked["state"] == "requested"
    await asyncio.to_thread(exporting.exporter.backfill)
    done = await read(exporting, asked["backfill_id"])
    assert (done["state"], done["last_error"]) == ("completed", None)
    # The fourth was open at the end of the window, and holds nothing of it.
    assert (done["segments"], done["done_segments"]) == (4, 4)
    assert (done["rows"], done["objects"]) == (6, 6)
    assert done["bytes"] > 0
    assert ids_below(exporting, done["prefix"], form) == EVERY
    assert sorted(exporting.client.bucket.list_keys("analytics/events")) == live
    summary = json.loads(
        exporting.client.bucket.get(f"{done['prefix']}/_sluice/backfill.json") or b""
    )
    assert (summary["rows"], summary["segments"], summary["format"]) == (6, 4, form)


async def test_the_set_can_be_pulled_by_its_prefix(exporting: Exporting, tmp_path: Path) -> None:
    await asyncio.to_thread(allow, exporting)
    asked = await ask(exporting)
    await asyncio.to_thread(exporting.exporter.backfill)
    done = await read(exporting, asked["backfill_id"])
    pull(exporting.client.bucket, tmp_path / "here", prefix=done["prefix"])
    assert len(read_events(tmp_path / "here")) == 6


async def test_columns_that_were_promoted_since_are_in_the_set(
    exporting: Exporting, tmp_path: Path
) -> None:
    await asyncio.to_thread(allow, exporting)
    later = Exporting(
        exporting.database_url, exporting.engine, exporting.folder,
        variables={"PROMOTE": "properties.price:double"},
    )  # fmt: skip
    asked = await ask(exporting)
    await asyncio.to_thread(later.exporter.backfill)
    done = await read(exporting, asked["backfill_id"])
    root = (exporting.client_root / done["prefix"]).as_posix()
    rows = duckdb.sql(
        f"SELECT p_price, count(*) FROM read_parquet('{root}/events/**/*.parquet') GROUP BY 1"
    ).fetchall()
    assert sorted(rows) == [(0.0, 3), (1.0, 3)]


@pytest.mark.parametrize(
    "variables",
    [
        {"PARTITION_TEMPLATE": "site_id/year/month/day"},
        {"PARTITION_BY": "occurred_at", "LATENESS": "30d"},
    ],
)
async def test_any_layout_of_the_bucket_gives_the_same_window(
    database_url: str, engine: Engine, tmp_path: Path, variables: dict[str, str]
) -> None:
    exporting = Exporting(
        database_url, engine, tmp_path / "b", variables=variables | {"BUFFER_RETENTION": "0"}
    )
    long_ago = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    for number in range(2):
        await asyncio.to_thread(
            write_now, database_url, an_event(eventId=f"{number}-a", occurredAt=long_ago)
        )
        await asyncio.to_thread(exporting.seal)
    have_hours_passed(exporting, 3)
    await asyncio.to_thread(exporting.deliver)
    query(database_url, "UPDATE segments SET exported_at = now() + interval '1 day'"
          " WHERE segment_id > 1")  # fmt: skip
    await asyncio.to_thread(exporting.exporter.drop_expired)
    await asyncio.to_thread(allow, exporting)
    asked = await ask(exporting)
    await asyncio.to_thread(exporting.exporter.backfill)
    done = await read(exporting, asked["backfill_id"])
    assert (done["state"], done["rows"], done["last_error"]) == ("completed", 2, None)
    window = window_of(exporting)
    before = datetime.fromisoformat(window["from"])
    nothing = await ask(
        exporting, **{"from": (before - HOUR).isoformat(), "to": before.isoformat()}
    )
    await asyncio.to_thread(exporting.exporter.backfill)
    assert (await read(exporting, nothing["backfill_id"]))["rows"] == 0


async def test_equal_requests_are_joined_and_too_many_are_refused(exporting: Exporting) -> None:
    await asyncio.to_thread(allow, exporting)
    first = await ask(exporting)
    assert (await ask(exporting))["backfill_id"] == first["backfill_id"]
    before = datetime.fromisoformat(window_of(exporting)["from"])
    async with serving(exporting.database_url) as http:
        answers = [
            await http.post(
                "/export/backfill",
                json=window_of(exporting) | {"from": (before - n * HOUR).isoformat()},
            )
            for n in range(1, 22)
        ]
        assert [answer.status_code for answer in answers] == [202] * 19 + [429] * 2
        assert (
            await http.post(f"/export/backfills/{first['backfill_id']}/resume")
        ).status_code == 409


async def test_a_missing_manifest_of_the_vendor_is_no_empty_window(exporting: Exporting) -> None:
    await asyncio.to_thread(allow, exporting)
    for key in list(exporting.metering.bucket.list_keys("clients/demo/_sluice/manifests/"))[1:2]:
        exporting.metering.bucket.delete(key)
    asked = await ask(exporting)
    await asyncio.to_thread(exporting.exporter.backfill)
    failed = await read(exporting, asked["backfill_id"])
    assert (failed["state"], failed["rows"]) == ("failed", 0)
    assert "manifest is missing" in failed["last_error"]


async def test_a_set_that_was_begun_below_another_prefix_is_not_split(
    exporting: Exporting,
) -> None:
    await asyncio.to_thread(allow, exporting)
    asked = await ask(exporting)
    query(exporting.database_url, "UPDATE backfills SET prefix = 'before/backfills/x'")
    await asyncio.to_thread(exporting.exporter.backfill)
    failed = await read(exporting, asked["backfill_id"])
    assert "ask anew" in failed["last_error"]


async def test_what_an_attempt_with_other_settings_left_is_removed(exporting: Exporting) -> None:
    await asyncio.to_thread(allow, exporting)
    asked = await ask(exporting)
    hour = datetime.fromisoformat(window_of(exporting)["from"])
    stray = (
        f"analytics/backfills/{asked['backfill_id']}/events/site_id=a.example/"
        f"{hour:year=%Y/month=%m/day=%d}/000000000001-0000.parquet"
    )
    exporting.client.bucket.put(stray, b"another cut")
    await asyncio.to_thread(exporting.exporter.backfill)
    done = await read(exporting, asked["backfill_id"])
    assert (done["state"], exporting.client.bucket.get(stray)) == ("completed", None)


async def test_a_paused_sink_holds_its_backfills_back(exporting: Exporting) -> None:
    await asyncio.to_thread(allow, exporting)
    asked = await ask(exporting)
    query(exporting.database_url, "UPDATE sinks SET circuit = 'paused' WHERE sink = 'client'")
    await asyncio.to_thread(exporting.exporter.backfill)
    assert (await read(exporting, asked["backfill_id"]))["state"] == "requested"


async def test_only_whole_hours_that_were_delivered_are_taken(exporting: Exporting) -> None:
    await asyncio.to_thread(allow, exporting)
    window = window_of(exporting)
    async with serving(exporting.database_url) as http:

        async def status(**different: str) -> int:
            answer = await http.post("/export/backfill", json=window | different)
            return answer.status_code

        assert await status(to=(hour_of(datetime.now(UTC)) + HOUR).isoformat()) == 409
        half = datetime.fromisoformat(window["from"]) + timedelta(minutes=30)
        assert await status(**{"from": half.isoformat()}) == 422
        assert await status(**{"from": window["to"]}) == 422
        assert await status(format="xlsx") == 422
        assert await status(**{"from": "2026-11-29T10:00:00"}) == 422, "which zone?"
        assert (await http.get("/export/backfills")).json() == []


async def test_hours_outside_the_window_are_left_out(exporting: Exporting) -> None:
    await asyncio.to_thread(allow, exporting)
    window = window_of(exporting)
    before = datetime.fromisoformat(window["from"])
    asked = await ask(
        exporting, **{"from": (before - 2 * HOUR).isoformat(), "to": before.isoformat()}
    )
    await asyncio.to_thread(exporting.exporter.backfill)
    done = await read(exporting, asked["backfill_id"])
    assert done["rows"] == 0
    assert not list(exporting.client.bucket.list_keys(f"{done['prefix'] or 'none'}/events/"))


class Crash(BaseException):
    """The process ends here."""


class FailingAt:
    """Fails at the n-th call, before or after it is carried out."""

    def __init__(self, bucket: Bucket, at: int, *, after: bool, error: BaseException) -> None:
        self._bucket, self._at, self._after, self._error = bucket, at, after, error
        self.calls = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self._at and not self._after:
                raise self._error
            found = getattr(self._bucket, name)(*arguments, **named)
            if self.calls == self._at:
                raise self._error
            return found

        return call


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [2, 5, 8, 14])
async def test_a_crash_at_any_step_is_gone_on_from(
    exporting: Exporting, at: int, after: bool
) -> None:
    await asyncio.to_thread(allow, exporting)
    asked = await ask(exporting)
    client = exporting.sinks[0]
    failing = FailingAt(client.bucket, at, after=after, error=Crash())
    exporting.exporter.sinks = [
        type(client)(client.name, failing, client.prefix, client.datasets),  # type: ignore[arg-type]
        exporting.sinks[1],
    ]
    with pytest.raises(Crash):
        await asyncio.to_thread(exporting.exporter.backfill)
    await asyncio.to_thread(exporting.restart)
    await asyncio.to_thread(exporting.exporter.backfill)
    done = await read(exporting, asked["backfill_id"])
    assert (done["state"], done["rows"], done["done_segments"]) == ("completed", 6, 4)
    assert ids_below(exporting, done["prefix"], "parquet") == EVERY


async def test_what_may_pass_is_tried_again_and_what_may_not_fails_with_words(
    exporting: Exporting,
) -> None:
    await asyncio.to_thread(allow, exporting)
    asked = await ask(exporting)
    client = exporting.sinks[0]

    def failing(error: Exception) -> None:
        bucket = FailingAt(client.bucket, 4, after=False, error=error)
        exporting.exporter.sinks = [
            type(client)(client.name, bucket, client.prefix, client.datasets),  # type: ignore[arg-type]
            exporting.sinks[1],
        ]

    failing(SinkUnavailable("503 SlowDown"))
    await asyncio.to_thread(exporting.exporter.backfill)
    waits = await read(exporting, asked["backfill_id"])
    assert waits["state"] == "running"
    assert "SlowDown" in waits["last_error"]
    await asyncio.to_thread(exporting.exporter.backfill)
    assert (await read(exporting, asked["backfill_id"]))["done_segments"] == 0, "not yet"
    query(exporting.database_url, "UPDATE backfills SET next_attempt_at = now()")
    failing(SinkRefused("AccessDenied. Grant it."))
    await asyncio.to_thread(exporting.exporter.backfill)
    failed = await read(exporting, asked["backfill_id"])
    assert (failed["state"], failed["last_error"]) == ("failed", "AccessDenied. Grant it.")
    exporting.restart()
    async with serving(exporting.database_url) as http:
        await http.post(f"/export/backfills/{asked['backfill_id']}/resume")
    await asyncio.to_thread(exporting.exporter.backfill)
    assert (await read(exporting, asked["backfill_id"]))["state"] == "completed"


async def test_without_a_backup_a_dropped_segment_is_said_to_be_gone(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(
        database_url, engine, tmp_path / "b",
        variables={"BUFFER_RETENTION": "0", "METERING_MODE": "usage"},
    )  # fmt: skip
    await asyncio.to_thread(write_now, database_url, an_event())
    await asyncio.to_thread(exporting.seal)
    have_hours_passed(exporting, 2)
    await asyncio.to_thread(exporting.deliver)
    await asyncio.to_thread(exporting.exporter.drop_expired)
    await asyncio.to_thread(allow, exporting)
    asked = await ask(exporting)
    await asyncio.to_thread(exporting.exporter.backfill)
    failed = await read(exporting, asked["backfill_id"])
    assert failed["state"] == "failed"
    assert "no backup" in failed["last_error"]


async def test_a_backfill_can_be_cancelled(exporting: Exporting) -> None:
    await asyncio.to_thread(allow, exporting)
    asked = await ask(exporting)
    async with serving(exporting.database_url) as http:
        path = f"/export/backfills/{asked['backfill_id']}"
        assert (await http.post(f"{path}/cancel")).json()["state"] == "cancelled"
        await asyncio.to_thread(exporting.exporter.backfill)
        assert (await http.get(path)).json()["done_segments"] == 0
        assert [b["state"] for b in (await http.get("/export/backfills")).json()] == ["cancelled"]
        nobody = "/export/backfills/019aa1b2-7c1e-7a50-9d3e-3f1b8c2a4d5e"
        assert (await http.post(f"{nobody}/cancel")).status_code == 404


def test_what_a_json_file_holds_is_readable_by_anybody(exporting: Exporting) -> None:
    allow(exporting)
    asked = asyncio.run(ask(exporting, format="json"))
    exporting.exporter.backfill()
    done = asyncio.run(read(exporting, asked["backfill_id"]))
    (key, *_) = exporting.client.bucket.list_keys(f"{done['prefix']}/events_json/")
    lines = gzip.decompress(exporting.client.bucket.get(key) or b"").splitlines()
    assert json.loads(lines[0])["event_id"] == "0-0"
