"""What keeps a stack from harm by another: a claimed prefix, a writer that is stuck."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from core.keys import owner_key
from core.manifest import Owner, encode_json
from database.fence import FENCE_KEY
from database.segments import FenceBusy, end_stale_writers
from tests.conftest import an_event
from tests.integration.building import Exporting, query, seal, write_now


def test_a_prefix_that_another_stack_claimed_is_left_as_it_is(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path)
    committed = write_now(database_url, an_event(siteId="a.example"))
    hour = committed.received_at
    theirs = (
        f"analytics/events/site_id=a.example/year={hour:%Y}/month={hour:%m}/day={hour:%d}"
        f"/hour={hour:%H}/{committed.segment_id:012d}-0000.parquet"
    )
    exporting.client.bucket.put(theirs, b"another stack's rows")
    other = encode_json(Owner(uuid.uuid4(), "other"))
    exporting.client.bucket.put(owner_key("analytics"), other)
    exporting.seal()

    for sink in exporting.sinks:
        exporting.exporter.deliver(sink)

    assert exporting.client.bucket.get(theirs) == b"another stack's rows"
    states = dict(query(database_url, "SELECT sink, state FROM deliveries"))
    assert states == {"client": "stopped", "metering": "delivered"}
    error = query(database_url, "SELECT last_error FROM deliveries WHERE sink = 'client'")[0][0]
    assert "names another stack" in error


def test_a_collector_stuck_in_mid_copy_is_disconnected_and_sealing_goes_on(
    database_url: str, engine: Engine
) -> None:
    with psycopg.connect(
        database_url, autocommit=True, application_name="sluice collector"
    ) as stuck:
        stuck.execute(f"BEGIN; SELECT pg_advisory_xact_lock_shared({FENCE_KEY})")
        with (  # noqa: PT012 - the copy has to fail, wherever it notices
            pytest.raises(psycopg.OperationalError),
            stuck.cursor().copy("COPY events_log_1 FROM STDIN (FORMAT binary)") as copy,
        ):
            with pytest.raises(FenceBusy):
                seal(engine, wait=timedelta(milliseconds=100))
            with engine.connect() as connection:
                assert end_stale_writers(connection, older_than=timedelta(minutes=1)) == 0
                assert end_stale_writers(connection, older_than=timedelta(0)) == 1
            seal(engine)
            copy.write(b"too late")
    assert query(database_url, "SELECT count(*) FROM segments WHERE state = 'sealed'") == [(1,)]
