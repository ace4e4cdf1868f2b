"""Signed receipts: made once, put into both buckets, and each forgery is found."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Engine

from core.manifest import Window, decode_manifest
from core.receipt import BilledDay, Receipt, decode_receipt, digest_receipt
from core.signing import KeyStatement, make_key
from exporter.sinks.sink import Bucket, SinkUnavailable
from tests.conftest import NOON, an_event
from tests.integration.building import Exporting, query, write_now
from tests.integration.receipting import (
    RECEIPTS,
    edit_json,
    problems,
    receipts,
    resign,
    run,
    some_segments,
    swap,
)


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets")


def test_both_buckets_get_the_same_chain(exporting: Exporting) -> None:
    some_segments(exporting)
    first, second, third = receipts(exporting.client)
    assert receipts(exporting.metering) == [first, second, third]
    assert (first.billed, second.billed, third.billed) == (2, 0, 2)
    assert (third.counts.accepted, third.counts.duplicates, third.counts.rejected) == (3, 1, 1)
    assert [(d.site_id, d.events) for d in first.billed_by_day] == [
        ("b.example", 1),
        ("shop.example", 1),
    ]
    for receipt in (first, second, third):
        manifest = decode_manifest(exporting.client.bucket.get(receipt.manifest) or b"")
        assert receipt.objects == manifest.objects
        assert receipt.counts == manifest.counts
    for sink in exporting.sinks:
        assert problems(sink) == []
        assert problems(sink, trusted_key=first.key_id) == []
    assert problems(exporting.client, trusted_key="0" * 16)
    assert first.previous is None
    body = exporting.client.bucket.get(f"analytics/{RECEIPTS}/{first.segment_id:012d}.json")
    assert second.previous == digest_receipt(body or b"")


def test_a_new_key_signs_from_then_on(exporting: Exporting) -> None:
    some_segments(exporting)
    make_key(exporting.settings.signing_key_dir, now=NOON)
    exporting.restart()
    run(exporting)
    ids = [receipt.key_id for receipt in receipts(exporting.client)]
    assert ids[:3] == [ids[0]] * 3
    assert ids[3] != ids[0]
    for sink in exporting.sinks:
        assert problems(sink) == []
        assert problems(sink, trusted_key=ids[3]) == []


@pytest.mark.parametrize("lost", ["all", "the newest"])
def test_lost_keys_stop_the_sink_until_they_are_back(exporting: Exporting, lost: str) -> None:
    folder = exporting.settings.signing_key_dir
    some_segments(exporting)
    make_key(folder, now=NOON)
    exporting.restart()
    run(exporting)
    backup = folder.with_name("backup")
    shutil.copytree(folder, backup)
    for path in folder.iterdir():
        if lost == "all" or path.stem == "0002":
            path.unlink()
    exporting.restart()
    write_now(exporting.database_url, an_event())
    sealed = exporting.run()
    exporting.put_receipts()
    delivery = exporting.delivery(sealed.segment_id, "client")
    assert delivery["state"] == "stopped"
    assert "SIGNING_KEY_DIR" in delivery["last_error"]
    assert len(receipts(exporting.client)) == 4
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)
    exporting.restart()
    exporting.deliver()
    exporting.put_receipts()
    assert len(receipts(exporting.client)) == 5
    for sink in exporting.sinks:
        assert problems(sink) == []


class Failing:
    """A bucket that does nothing where it `fails`, and does not say so where it `loses` answers."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.fails: Callable[[str], bool] = lambda key: False
        self.loses: Callable[[str], bool] = lambda key: False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bucket, name)

    def put_if_absent(self, key: str, body: bytes) -> bool:
        if self.fails(key):
            raise SinkUnavailable("away", key=key)
        put = self.bucket.put_if_absent(key, body)
        if put and self.loses(key):
            raise SinkUnavailable("the answer was lost", key=key)
        return put


def test_whatever_fails_there_is_one_receipt_in_the_end(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    failing: dict[str, Failing] = {}

    def wrap(bucket: Bucket, name: str) -> Bucket:
        return failing.setdefault(name, Failing(bucket))

    exporting = Exporting(database_url, engine, tmp_path / "buckets", wrap=wrap)
    failing["client"].fails = lambda key: "/receipts/" in key
    failing["metering"].loses = lambda key: "/receipts/" in key
    some_segments(exporting)
    assert receipts(exporting.client) == []
    assert len(receipts(exporting.metering)) == 1
    failing["client"].loses = failing["client"].fails
    failing["client"].fails = failing["metering"].loses = lambda key: False
    for _ in range(5):
        exporting.restart()  # which forgets how long to wait
        exporting.put_receipts()
    assert len(receipts(exporting.client)) == 3
    assert receipts(exporting.client) == receipts(exporting.metering)
    for sink in exporting.sinks:
        assert problems(sink) == []


def test_the_vendor_bills_nothing_that_the_client_has_not(exporting: Exporting) -> None:
    write_now(exporting.database_url, an_event())
    exporting.seal()
    exporting.deliver(exporting.metering)
    exporting.put_receipts()
    assert receipts(exporting.metering) == []
    exporting.deliver(exporting.client)
    exporting.put_receipts()
    assert len(receipts(exporting.metering)) == 1


TAMPERINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "an object gone": (
        lambda root: next(root.glob("events/**/*.parquet")).unlink(),
        "is not there",
    ),
    "an object changed": (
        lambda root: next(root.glob("events/**/*.parquet")).write_bytes(b"PAR1"),
        "was changed",
    ),
    "objects swapped": (
        lambda root: swap(*sorted(root.glob("events/**/*.parquet"))[:2]),
        "was changed",
    ),
    "a manifest gone": (
        lambda root: min(root.glob("_sluice/manifests/*")).unlink(),
        "is not there",
    ),
    "a manifest changed": (
        lambda root: edit_json(min(root.glob("_sluice/manifests/*")), written_by="me"),
        "was changed",
    ),
    "a manifest that counts otherwise": (
        lambda root: edit_json(min(root.glob("_sluice/manifests/*")), objects=[]),
        "was changed",
    ),
    "more billed": (
        lambda root: edit_json(max(root.glob(f"{RECEIPTS}/*")), billed=1_000),
        "signature is not valid",
    ),
    "a receipt unsigned": (
        lambda root: edit_json(max(root.glob(f"{RECEIPTS}/*")), signature=""),
        "signature is not valid",
    ),
    "a receipt of another key": (
        lambda root: edit_json(max(root.glob(f"{RECEIPTS}/*")), key_id="0" * 16),
        "not in the bucket",
    ),
    "the first receipt gone": (
        lambda root: min(root.glob(f"{RECEIPTS}/*")).unlink(),
        "one is missing",
    ),
    "a receipt in the middle gone": (
        lambda root: sorted(root.glob(f"{RECEIPTS}/*"))[1].unlink(),
        "its receipt is gone",
    ),
    "every receipt gone": (
        lambda root: shutil.rmtree(root / RECEIPTS),
        "its receipt is gone",
    ),
    "the newest segment gone": (lambda root: remove_newest(root), "the newest are gone"),
    "events beside those that were delivered": (
        lambda root: shutil.copy(
            min(root.glob("events/**/*.parquet")),
            min(root.glob("events/**/*.parquet")).with_name("000000000001-0009.parquet"),
        ),
        "named by no manifest",
    ),
    "a receipt that is no text": (
        lambda root: max(root.glob(f"{RECEIPTS}/*")).write_bytes(b'{"format": "\xff"}'),
        "no receipt can be read",
    ),
    "a deep receipt": (
        lambda root: max(root.glob(f"{RECEIPTS}/*")).write_bytes(b"[" * 100_000),
        "no receipt can be read",
    ),
    "receipts swapped": (
        lambda root: swap(*sorted(root.glob(f"{RECEIPTS}/*"))[:2]),
        "in the place of",
    ),
    "nonsense for a receipt": (
        lambda root: max(root.glob(f"{RECEIPTS}/*")).write_text("{}"),
        "no receipt can be read",
    ),
    "no key": (lambda root: next(root.glob("_sluice/keys/*")).unlink(), "no key stands there"),
    "another key": (
        lambda root: edit_json(next(root.glob("_sluice/keys/*")), key_id="0" * 16),
        "no key can be read",
    ),
    "a key statement changed": (
        lambda root: edit_json(next(root.glob("_sluice/keys/*")), made_at="2020-01-01T00:00:00Z"),
        "not signed by",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_each_tampering_is_found(exporting: Exporting, name: str) -> None:
    tamper, message = TAMPERINGS[name]
    some_segments(exporting)
    tamper(exporting.client_root / "analytics")
    assert any(message in problem for problem in problems(exporting.client)), problems(
        exporting.client
    )
    assert problems(exporting.metering) == []


def remove_newest(root: Path) -> None:
    (max(root.glob("_sluice/manifests/*"))).unlink()
    newest = max(root.glob(f"{RECEIPTS}/*"))
    newest.unlink()
    for path in root.glob(f"**/{newest.stem}-*"):
        path.unlink()


def billing(receipt: Receipt, **different: Any) -> dict[str, Any]:
    """More events than there were, with sums that agree."""
    more = receipt.billed + 1_000
    (day, *_) = receipt.billed_by_day
    return {
        "billed": more,
        "counts": msgspec.structs.replace(
            receipt.counts,
            received=receipt.counts.received + 1_000,
            accepted=receipt.counts.accepted + 1_000,
            exported=more,
        ),
        "billed_by_day": [BilledDay(day.site_id, day.day, more)],
    } | different


LIES: dict[str, Callable[[Receipt], dict[str, Any]]] = {
    "more events": billing,
    "more events and no objects": lambda r: billing(r, objects=[]),
    "more rows": lambda r: billing(
        r, objects=[msgspec.structs.replace(r.objects[0], rows=r.billed + 1_000)]
    ),
    "a site that is none": lambda r: {
        "billed_by_day": [BilledDay("invented", NOON.date(), r.billed)]
    },
    "less than nothing": lambda r: {
        "billed_by_day": [
            *r.billed_by_day,
            BilledDay("a", NOON.date(), 5),
            BilledDay("a", NOON.date(), -5),
        ]
    },
    "a manifest elsewhere": lambda r: {"manifest": "elsewhere/x.json"},
    "another stack": lambda r: {"stack_id": UUID(int=7)},
    "another client": lambda r: {"client_id": "other"},
    "another window": lambda r: {"window": Window(NOON, NOON)},
    "no objects": lambda r: {"objects": []},
}


@pytest.mark.parametrize("name", LIES)
def test_who_signs_cannot_lie_about_what_is_in_the_bucket(exporting: Exporting, name: str) -> None:
    some_segments(exporting)
    newest = max((exporting.client_root / "analytics" / RECEIPTS).iterdir())
    key = exporting.exporter.keys[-1]
    resign(newest, key)
    assert problems(exporting.client) == []
    resign(newest, key, **LIES[name](receipts(exporting.client)[-1]))
    assert problems(exporting.client)


def test_no_object_is_named_in_two_receipts(exporting: Exporting) -> None:
    write_now(exporting.database_url, an_event())
    run(exporting)
    write_now(exporting.database_url, an_event())
    run(exporting)
    first, second = receipts(exporting.client)
    newest = max((exporting.client_root / "analytics" / RECEIPTS).iterdir())
    resign(newest, exporting.exporter.keys[-1], objects=first.objects)
    assert problems(exporting.client)
    assert second.objects != first.objects


def test_a_key_that_was_replaced_signs_no_more(exporting: Exporting) -> None:
    some_segments(exporting)
    make_key(exporting.settings.signing_key_dir, now=NOON)
    exporting.restart()
    run(exporting)
    run(exporting)
    newest = max((exporting.client_root / "analytics" / RECEIPTS).iterdir())
    old = exporting.exporter.keys[0]
    resign(newest, old, key_id=old.key_id)
    assert any("took its place" in problem for problem in problems(exporting.client))


def test_the_backup_is_whole_too(exporting: Exporting) -> None:
    some_segments(exporting)
    root = exporting.metering_root / "clients" / "demo"
    min(root.glob("_sluice/manifests/*")).unlink()
    assert any("is not there" in problem for problem in problems(exporting.metering))


def test_a_manifest_cannot_name_what_lies_elsewhere(exporting: Exporting) -> None:
    some_segments(exporting)
    root = exporting.metering_root / "clients" / "demo"
    manifest = min(root.glob("_sluice/manifests/*"))
    objects = json.loads(manifest.read_text())["objects"]
    for key in ("clients/demo/../../../secret", "/etc/passwd", "other/events/x.parquet"):
        edit_json(manifest, objects=[objects[0] | {"key": key}])
        assert any("no key of an object" in problem for problem in problems(exporting.metering))


def test_what_others_put_beside_ours_is_left_alone(exporting: Exporting) -> None:
    some_segments(exporting)
    for folder in ("keys", "receipts"):
        (exporting.client_root / "analytics" / "_sluice" / folder / "README.txt").write_text("hi")
    assert problems(exporting.client) == []


def test_days_are_those_of_utc_whatever_the_database_thinks(exporting: Exporting) -> None:
    name = query(exporting.database_url, "SELECT current_database()")[0][0]
    query(exporting.database_url, f"ALTER DATABASE {name} SET timezone = 'Etc/GMT+11'")
    exporting.engine.dispose()
    write_now(exporting.database_url, an_event())
    run(exporting)
    assert problems(exporting.client) == []


def test_a_forger_with_a_key_of_his_own_is_found(exporting: Exporting, tmp_path: Path) -> None:
    some_segments(exporting)
    (honest, *_) = receipts(exporting.client)
    root = exporting.client_root / "analytics"
    forger = make_key(tmp_path / "forger", now=NOON)
    (root / "_sluice/keys/0001.json").write_bytes(forger.statement)
    previous = None
    for path in sorted(root.glob(f"{RECEIPTS}/*")):
        receipt = msgspec.structs.replace(
            decode_receipt(path.read_bytes()), key_id=forger.key_id, previous=previous
        )
        body = forger.sign(receipt)
        previous = digest_receipt(body)
        path.write_bytes(body)
    # He who believes the key in the bucket cannot know; who knows the stack's key does, also where
    # the forger announces that one after his own.
    assert problems(exporting.client) == []
    assert problems(exporting.client, trusted_key=honest.key_id)
    announced = msgspec.json.decode(exporting.exporter.keys[0].statement, type=KeyStatement)
    (root / "_sluice/keys/0002.json").write_bytes(
        forger.sign(msgspec.structs.replace(announced, number=2, signed_by=forger.key_id))
    )
    assert problems(exporting.client) == []
    assert problems(exporting.client, trusted_key=honest.key_id)


def test_the_command_says_so_and_exits_with_it(exporting: Exporting) -> None:
    some_segments(exporting)
    command = [sys.executable, "-m", "cli", "verify", exporting.client_root.as_uri()]
    held = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (held.returncode, held.stdout.splitlines()[-1]) == (
        0,
        "3 segments hold, 0 things do not.",
    )
    next((exporting.client_root / "analytics").glob("events/**/*.parquet")).unlink()
    broken = subprocess.run(command, capture_output=True, text=True, check=False)
    assert broken.returncode == 1
    assert "FAILED  segment" in broken.stdout
    assert "does not hold what its receipts say" in broken.stderr
