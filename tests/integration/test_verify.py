"""What verify finds: by outsiders, by whoever holds the key, and what it must not mistake."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Generator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from core.manifest import DeliveredObject, decode_manifest, encode_json
from core.receipt import BilledDay, decode_receipt, digest_receipt
from exporter.arrow_schema import USAGE_SCHEMA
from exporter.sinks.directory import DirectoryBucket
from exporter.sinks.sink import SinkUnavailable
from tests.conftest import an_event
from tests.integration.building import Exporting, query, write_now
from tests.integration.receipting import (
    RECEIPTS,
    edit_json,
    findings,
    problems,
    receipts,
    run,
    some_segments,
)


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets")


def newest(root: Path, kind: str) -> Path:
    return max((root / "_sluice" / kind).iterdir())


def newest_events(exporting: Exporting) -> DeliveredObject:
    (listed,) = (o for o in receipts(exporting.client)[-1].objects if o.dataset == "events")
    return listed


def lie(exporting: Exporting, objects: list[DeliveredObject], more: int) -> None:
    """Who holds the key signs a newest receipt of these events, in all its sums consistent."""
    root = exporting.client_root / "analytics"
    receipt = decode_receipt(newest(root, "receipts").read_bytes())
    objects = [*objects, *(o for o in receipt.objects if o.dataset != "events")]
    counts = msgspec.structs.replace(
        receipt.counts,
        received=receipt.counts.received + more,
        accepted=receipt.counts.accepted + more,
        exported=receipt.counts.exported + more,
    )
    manifest = msgspec.structs.replace(
        decode_manifest(newest(root, "manifests").read_bytes()), counts=counts, objects=objects
    )
    newest(root, "manifests").write_bytes(encode_json(manifest))
    (day,) = receipt.billed_by_day
    lying = msgspec.structs.replace(
        receipt,
        counts=counts,
        objects=objects,
        billed=receipt.billed + more,
        billed_by_day=[BilledDay(day.site_id, day.day, day.events + more)],
        manifest_sha256=sha256(newest(root, "manifests").read_bytes()).hexdigest(),
    )
    newest(root, "receipts").write_bytes(exporting.exporter.keys[-1].sign(lying))


def found(problem: str, problems: list[str]) -> bool:
    return any(problem in one for one in problems)


def test_rows_that_an_object_does_not_hold_are_not_billed(exporting: Exporting) -> None:
    some_segments(exporting)
    listed = newest_events(exporting)
    lie(exporting, [msgspec.structs.replace(listed, rows=listed.rows + 1_000)], 1_000)
    assert [p.partition("parquet ")[2] for p in problems(exporting.client)] == [
        "holds 2 rows, not 1002"
    ]


def test_a_format_whose_rows_nobody_can_count_is_not_believed(exporting: Exporting) -> None:
    some_segments(exporting)
    listed = newest_events(exporting)
    root = exporting.client_root
    key = listed.key.replace(".parquet", ".dat")
    shutil.move(root / listed.key, root / key)
    lie(exporting, [msgspec.structs.replace(listed, key=key, format="dat", rows=99)], 97)
    assert found("cannot count the rows of dat", problems(exporting.client))


class BreakingFolder(DirectoryBucket):
    """Breaks off in the middle of the first reading of some objects."""

    def __init__(self, root: Path, keys: set[str]) -> None:
        super().__init__(root)
        self.unbroken = keys

    def read_chunks(self, key: str) -> Generator[bytes] | None:
        chunks = super().read_chunks(key)
        if chunks is None or key not in self.unbroken:
            return chunks
        self.unbroken.remove(key)
        return self._broken(key, b"".join(chunks))

    def _broken(self, key: str, body: bytes) -> Generator[bytes]:
        yield body[: len(body) // 2]
        raise SinkUnavailable("the connection was reset", key=key)


def test_a_connection_that_breaks_is_taken_up_again(exporting: Exporting) -> None:
    some_segments(exporting)
    sink = exporting.client
    receipt = next(iter(sink.bucket.list_keys(f"{sink.prefix}/_sluice/receipts/")))
    breaking = BreakingFolder(exporting.client_root, {receipt, newest_events(exporting).key})
    assert problems(dataclasses.replace(sink, bucket=breaking)) == []
    assert breaking.unbroken == set()


def test_one_object_is_not_billed_under_two_names(exporting: Exporting) -> None:
    some_segments(exporting)
    listed = newest_events(exporting)
    key = listed.key.replace("-0000.", "-0001.")
    shutil.copy(exporting.client_root / listed.key, exporting.client_root / key)
    lie(exporting, [listed, msgspec.structs.replace(listed, key=key)], listed.rows)
    assert found("the very bytes of another object", problems(exporting.client))


def test_a_receipt_that_says_two_things_is_told(exporting: Exporting) -> None:
    some_segments(exporting)
    path = newest(exporting.client_root / "analytics", "receipts")
    path.write_bytes(path.read_bytes().replace(b'  "billed":', b'  "billed": 7,\n  "billed":'))
    assert found("it says 'billed' twice", problems(exporting.client))


def test_the_clients_manifests_cannot_be_passed_off_as_the_vendors(exporting: Exporting) -> None:
    """Those are not signed: an outsider could take everything away."""
    some_segments(exporting)
    root = exporting.client_root / "analytics"
    for path in (root / "_sluice/manifests").iterdir():
        edit_json(path, sink="metering", objects=[])
    shutil.rmtree(root / "events")
    assert found("is of the bucket 'metering'", problems(exporting.client))
    assert found("was changed", problems(exporting.client))


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a manifest without a zone": lambda root: edit_json(
        newest(root, "manifests"),
        window={"opened_at": "2026-01-01T00:00:00", "sealed_at": "2026-01-01T00:00:00"},
    ),
    "a manifest without a zone, and no receipt": lambda root: (
        edit_json(
            newest(root, "manifests"),
            window={"opened_at": "2026-01-01T00:00:00", "sealed_at": "2026-01-01T00:00:00"},
        ),
        newest(root, "receipts").unlink(),
    ),
    "a huge receipt": lambda root: os.truncate(newest(root, "receipts"), 300 << 20),
    "a huge manifest": lambda root: os.truncate(newest(root, "manifests"), 300 << 20),
    "a deep manifest": lambda root: newest(root, "manifests").write_bytes(b"[" * 100_000),
    "a deep watermark": lambda root: (root / "_sluice/watermark.json").write_bytes(b"[" * 100_000),
    "a number without end": lambda root: newest(root, "receipts").write_bytes(
        newest(root, "receipts").read_bytes().replace(b'"billed": 2', b'"billed": ' + b"9" * 9_999)
    ),
    "a second receipt for a segment": lambda root: shutil.copy(
        newest(root, "receipts"),
        newest(root, "receipts").with_name("000000000099.json"),
    ),
    "events of a segment that is none": lambda root: shutil.copy(
        min(root.glob("events/**/*.parquet")),
        min(root.glob("events/**/*.parquet")).with_name("999999999999-0000.parquet"),
    ),
    "identities that nobody delivered": lambda root: plant(
        root / "identities/year=2026/month=11/day=01/000000000001-0000.parquet"
    ),
}


def plant(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"planted")


def test_whatever_is_put_there_is_told_and_breaks_nothing(exporting: Exporting) -> None:
    some_segments(exporting)
    kept = exporting.client_root.with_name("kept")
    shutil.copytree(exporting.client_root, kept)
    for name, tamper in HOSTILE.items():
        shutil.rmtree(exporting.client_root)
        shutil.copytree(kept, exporting.client_root)
        tamper(exporting.client_root / "analytics")
        assert problems(exporting.client), name


def test_what_is_named_like_ours_and_stands_elsewhere_is_left_alone(exporting: Exporting) -> None:
    some_segments(exporting)
    root = exporting.client_root / "analytics" / RECEIPTS
    receipt = max(root.iterdir())
    shutil.copy(receipt, receipt.with_name(f"0{receipt.name}"))
    nested = root / "copy" / RECEIPTS / receipt.name
    nested.parent.mkdir(parents=True)
    shutil.copy(receipt, nested)
    assert problems(exporting.client) == []


def test_a_clock_that_was_set_back_is_no_fraud(exporting: Exporting) -> None:
    some_segments(exporting)
    query(exporting.database_url, "UPDATE segments SET opened_at = now() + interval '1 hour'"
          " WHERE state = 'open'")  # fmt: skip
    before = receipts(exporting.client)[-1]
    write_now(exporting.database_url, an_event())
    run(exporting)
    run(exporting)
    window = receipts(exporting.client)[-2].window
    assert window.opened_at > window.sealed_at
    assert before.window.sealed_at < window.opened_at
    told = [f.what for f in findings(exporting.client) if f.holds]
    assert found("the clock was set back while it was open", told)
    # That nothing of the sort happened to the start of the segment is our doing, and told.
    assert [p.partition(": ")[2] for p in problems(exporting.client)] == [
        "its window does not begin where the one before it ends"
    ]


def test_sites_of_every_script_are_billed(exporting: Exporting) -> None:
    for site in ("bücher.example", "店.example", "a b/c%2F", "naïve", "nai\u0308ve"):
        write_now(exporting.database_url, an_event(siteId=site))
    run(exporting)
    assert len(receipts(exporting.client)[0].billed_by_day) == 5
    for sink in exporting.sinks:
        assert problems(sink) == []


def test_what_is_being_delivered_is_no_orphan(exporting: Exporting) -> None:
    some_segments(exporting)
    root = exporting.client_root / "analytics"
    newest(root, "receipts").unlink()
    newest(root, "manifests").unlink()
    manifest = json.loads(newest(root, "manifests").read_text())
    edit_json(
        root / "_sluice/watermark.json",
        segment_id=manifest["segment_id"],
    )
    assert problems(exporting.client) == []
    assert found("it is being delivered", [f.what for f in findings(exporting.client)])
    (uncommitted,) = root.glob("events/**/000000000003-*")
    shutil.copy(uncommitted, uncommitted.with_name("000000000004-0000.parquet"))
    assert found("named by no manifest", problems(exporting.client))


def test_months_are_summed_to_be_held_against_an_invoice(exporting: Exporting) -> None:
    some_segments(exporting)
    query(exporting.database_url, "SELECT 1")
    month = receipts(exporting.client)[0].billed_by_day[0].day.strftime("%Y-%m")
    for sink in exporting.sinks:
        told = [f.what for f in findings(sink) if f.holds]
        assert f"billed for {month}: 4 events" in told


def test_a_chain_that_was_cut_is_found_by_a_receipt_that_is_known(exporting: Exporting) -> None:
    some_segments(exporting)
    root = exporting.client_root / "analytics"
    known = digest_receipt(newest(root, "receipts").read_bytes())
    assert problems(exporting.client, known_receipt=known) == []
    for path in (newest(root, "receipts"), newest(root, "manifests")):
        path.unlink()
    for path in root.glob("events/**/000000000003-*"):
        path.unlink()
    edit_json(root / "_sluice/watermark.json", segment_id=2)
    assert problems(exporting.client) == []
    assert found("is not in the chain", problems(exporting.client, known_receipt=known))


# --- the vendor's bucket ------------------------------------------------------------------------


def edit_usage(exporting: Exporting, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """An outsider changes the newest usage records, and the manifest with them."""
    root = exporting.metering_root / "clients" / "demo"
    path = max(root.glob("usage/**/*.parquet"))
    rows = [change(row) for row in pq.read_table(path).to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, schema=USAGE_SCHEMA), path)
    manifest = newest(root, "manifests")
    objects = json.loads(manifest.read_text())["objects"]
    for listed in objects:
        if listed["dataset"] == "usage":
            body = path.read_bytes()
            listed |= {"bytes": len(body), "sha256": sha256(body).hexdigest()}
    edit_json(manifest, objects=objects)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"events": 1_000}, "do not add up to what is billed"),
        ({"site_id": "other"}, "do not add up to what is billed"),
        ({"client_id": "other"}, "of another client"),
        ({"outcome": "duplicate"}, "do not add up to what is billed"),
    ],
)
def test_usage_records_say_what_the_receipts_bill(
    exporting: Exporting, change: dict[str, Any], problem: str
) -> None:
    write_now(exporting.database_url, an_event())
    run(exporting)
    edit_usage(exporting, lambda row: row)
    assert problems(exporting.metering) == []
    edit_usage(exporting, lambda row: row | change)
    assert found(problem, problems(exporting.metering))


def test_missing_usage_records_are_told(exporting: Exporting) -> None:
    some_segments(exporting)
    root = exporting.metering_root / "clients" / "demo"
    max(root.glob("usage/**/*.parquet")).unlink()
    manifest = newest(root, "manifests")
    objects = json.loads(manifest.read_text())["objects"]
    edit_json(manifest, objects=[o for o in objects if o["dataset"] != "usage"])
    assert found("has 0 usage objects", problems(exporting.metering))


def test_what_the_client_has_not_is_not_billed_and_no_fault_of_the_vendors(
    exporting: Exporting,
) -> None:
    some_segments(exporting)
    write_now(exporting.database_url, an_event())
    exporting.seal()
    exporting.deliver(exporting.metering)
    exporting.put_receipts()
    assert problems(exporting.metering) == []
    told = [f.what for f in findings(exporting.metering)]
    assert found("here before the client has it; not billed", told)
    assert "a backup is here of 2 of 2 segments with events" in told
