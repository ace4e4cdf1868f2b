"""The exporter's own disk: cleared away, or not holding any more what was written there."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from exporter import seen_ids
from tests.conftest import an_event
from tests.integration.building import Exporting, ledger_of, query, write_now


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(
        database_url,
        engine,
        tmp_path / "buckets",
        variables={"STAGING_DIR": str(tmp_path / "disk")},
    )


def test_a_staging_folder_that_was_cleared_away_is_made_again(
    exporting: Exporting, tmp_path: Path
) -> None:
    write_now(exporting.database_url, an_event(eventId="a"))
    exporting.run()
    shutil.rmtree(tmp_path / "disk")
    write_now(exporting.database_url, an_event(eventId="a"), an_event(eventId="b"))
    exporting.run()
    assert exporting.committed_ids(exporting.client) == Counter("ab")


def cut(content: bytearray) -> None:
    del content[len(content) // 2 :]


def zero(content: bytearray) -> None:
    content[:] = bytes(len(content))


def flip(content: bytearray) -> None:
    content[16 * 100] ^= 0x80


def grow(content: bytearray) -> None:
    content += bytes(160)


@pytest.mark.parametrize("damage", [cut, zero, flip, grow])
def test_damaged_ids_are_learnt_anew_and_nothing_is_delivered_twice(
    exporting: Exporting,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[bytearray], None],
) -> None:
    monkeypatch.setattr(seen_ids, "FEW", 0)  # as of a segment that has many
    events = [an_event(eventId=f"e-{number}") for number in range(200)]
    write_now(exporting.database_url, *events)
    exporting.run()
    (path,) = (tmp_path / "disk").rglob("*.ids")
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)
    write_now(exporting.database_url, *events, an_event(eventId="new"))
    exporting.run()
    assert ledger_of(exporting.database_url) == {"accepted": 401, "duplicate": 200}
    assert set(exporting.committed_ids(exporting.client).values()) == {1}


def test_a_manifest_that_lists_less_than_it_counts_is_not_taken_for_a_delivery(
    exporting: Exporting,
) -> None:
    write_now(exporting.database_url, an_event(eventId="a"), an_event(eventId="b"))
    segment = exporting.seal()
    exporting.deliver()
    key = f"{exporting.client.prefix}/_sluice/manifests/{segment.segment_id:012d}.json"
    body = exporting.client.bucket.get(key)
    assert body is not None
    # As a crash before it was noted leaves it, and somebody's hand afterwards.
    query(exporting.database_url, "UPDATE deliveries SET state = 'running' WHERE sink = 'client'")
    query(exporting.database_url, "UPDATE segments SET state = 'deduplicated'")
    exporting.client.bucket.put(key, json.dumps(json.loads(body) | {"objects": []}).encode())
    exporting.deliver(exporting.client)
    delivery = exporting.delivery(segment.segment_id, "client")
    assert delivery["state"] != "delivered"
    assert "counts 2 events" in delivery["last_error"]
