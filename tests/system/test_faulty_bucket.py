"""Between the exporter and S3 everything goes wrong: nothing is lost, doubled, or billed twice."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.clock import utc_now
from core.keys import manifests_prefix, parse_object_key, receipts_prefix
from core.manifest import decode_manifest
from core.receipt import decode_receipt
from exporter.sinks.open import open_bucket
from exporter.sinks.sink import Bucket
from exporter.verify import verify_bucket
from tests.conftest import S3_KEYS, S3_REGION, empty_s3_bucket, make_s3_bucket
from tests.system.faulty_s3 import Fault, FaultyS3, Seen
from tests.system.load import Load
from tests.system.running_stack import RunningStack, wait_until

# `make chaos` asks for more.
FAULTS = int(os.environ.get("CHAOS_FAULTS", "10"))
STEPS = int(os.environ.get("CHAOS_STEPS", "3"))
PAIRS = int(os.environ.get("CHAOS_FAULT_PAIRS", "6"))
DENIED_SECONDS = float(os.environ.get("CHAOS_DENIED_SECONDS", "5"))
SEED = int(os.environ.get("CHAOS_SEED", str(random.SystemRandom().randrange(2**32))))

PREFIXES = {"client": "analytics", "metering": "clients/demo"}


class Field:
    """A stack whose two buckets are behind a proxy that can be told to fail."""

    def __init__(self, folder: Path, endpoint: str, client: Any) -> None:
        self.proxy = FaultyS3(endpoint, lambda _: Fault.NONE)
        self.buckets: dict[str, Bucket] = {}
        self.names: dict[str, str] = {}
        settings = {
            "EXPORT_INTERVAL": "2s",
            "RETRY_FIRST": "1s",
            "RETRY_LONGEST": "2s",
            "PROBE_INTERVAL": "2s",
        }
        for side in PREFIXES:
            name = self.names[side] = make_s3_bucket(client)
            # What is checked is read from the server itself.
            self.buckets[side] = open_bucket(
                name, region=S3_REGION, endpoint_url=endpoint, **S3_KEYS
            )
            settings |= {
                f"{side.upper()}_S3_BUCKET": name,
                f"{side.upper()}_S3_REGION": S3_REGION,
                f"{side.upper()}_S3_ENDPOINT_URL": self.proxy.url,
                f"{side.upper()}_S3_ACCESS_KEY_ID": S3_KEYS["access_key_id"],
                f"{side.upper()}_S3_SECRET_ACCESS_KEY": S3_KEYS["secret_access_key"],
            }
        self.stack = RunningStack(folder / "data", settings=settings)

    def told(self, events: int = 3) -> set[str]:
        """Send some events of one site; returns their ids."""
        ids = [str(uuid.uuid4()) for _ in range(events)]
        body = {
            "eventType": "batch",
            "siteId": "shop.example",
            "events": [{"eventId": i, "eventType": "click"} for i in ids],
        }
        self.stack.post("/collect", body)
        return set(ids)

    def check(self, told: set[str]) -> None:
        """Both buckets hold what was told, once, by manifest and by file; receipts say so."""
        self.proxy.choose = lambda _: Fault.NONE
        for side in PREFIXES:
            self.stack.post(f"/export/sinks/{side}/resume", {})
        status = self.stack.wait_until_delivered(seconds=120)
        wait_until(self._nothing_waits, seconds=60, what="receipts, and orphans to be gone")
        self.stack.stop()  # what is read does not change any more
        assert status["conservation"]["holds"]
        assert status["conservation"]["accepted"] - status["conservation"]["duplicates"] == len(
            told
        )
        for side, prefix in PREFIXES.items():
            bucket = self.buckets[side]
            listed, standing = _listed(bucket, prefix), _standing(bucket, prefix)
            assert sorted(listed) == standing, "an object that no manifest lists"
            ids = Counter(i for key in standing for i in _ids(bucket, key))
            assert set(ids) == told
            assert max(ids.values()) == 1
            assert sum(listed.values()) == len(told)
            findings = list(verify_bucket(bucket, prefix, now=utc_now(), sink=side))
            assert [finding.what for finding in findings if not finding.holds] == []
            bodies = [bucket.get(key) or b"" for key in bucket.list_keys(receipts_prefix(prefix))]
            assert sum(decode_receipt(body).billed for body in bodies) == len(told)

    def _nothing_waits(self) -> bool:
        sinks = self.stack.get("/export/status")["sinks"]
        return all(sink["receipts_waiting"] == sink["orphans"] == 0 for sink in sinks)


def _listed(bucket: Bucket, prefix: str) -> dict[str, int]:
    """Rows of the events' objects that manifests list, by key."""
    return {
        listed.key: listed.rows
        for key in bucket.list_keys(manifests_prefix(prefix))
        for listed in decode_manifest(bucket.get(key) or b"").objects
        if parse_object_key(listed.key) and listed.dataset == "events"
    }


def _standing(bucket: Bucket, prefix: str) -> list[str]:
    return sorted(bucket.list_keys(f"{prefix}/events/"))


def _ids(bucket: Bucket, key: str) -> list[str]:
    body = pa.BufferReader(bucket.get(key) or b"")
    ids: list[str] = pq.read_table(body, columns=["event_id"])["event_id"].to_pylist()
    return ids


@pytest.fixture
def field(tmp_path: Path, s3_endpoint: str, s3_client: Any) -> Iterator[Field]:
    made = Field(tmp_path, s3_endpoint, s3_client)
    made.stack.start()
    yield made
    made.stack.stop()
    made.proxy.close()
    for name in made.names.values():
        empty_s3_bucket(s3_client, name)
        s3_client.delete_bucket(Bucket=name)


# --- at random ---------------------------------------------------------------------------------


@pytest.mark.timeout(300 + 5 * FAULTS)
def test_faults_at_random_lose_and_double_nothing(field: Field) -> None:
    print(f"CHAOS_SEED={SEED}")
    dice = random.Random(SEED)
    kinds = [fault for fault in Fault if fault not in (Fault.NONE, Fault.SLOW)]
    load = Load(field.stack)
    load.start()
    field.proxy.choose = lambda _: dice.choice(kinds) if dice.random() < 0.25 else Fault.NONE

    def enough_went_wrong() -> bool:
        happened = field.proxy.happened
        return happened.total() - happened[Fault.NONE] >= FAULTS

    wait_until(enough_went_wrong, seconds=60 + 5 * FAULTS, what=f"{FAULTS} faults")
    load.finish()
    field.check(load.told)
    print(dict(field.proxy.happened), f"{len(load.told)} events")


# --- one by one --------------------------------------------------------------------------------

TARGETS = {
    "the claim": ("GET", r"/_sluice/owner\.json"),
    "an object": ("PUT", r"/events/site_id"),
    "its reading back": ("GET", r"/events/site_id"),
    "the look for a manifest": ("GET", r"/_sluice/manifests/"),
    "the manifest": ("PUT", r"/_sluice/manifests/"),
    "the watermark": ("PUT", r"/_sluice/watermark\.json"),
    "the receipt": ("PUT", r"/_sluice/receipts/"),
}


@pytest.mark.timeout(120 + 20 * PAIRS)
def test_each_fault_at_each_request_is_made_good(field: Field) -> None:
    print(f"CHAOS_SEED={SEED}")
    every = [(fault, target) for fault in Fault if fault is not Fault.NONE for target in TARGETS]
    chosen = random.Random(SEED).sample(every, min(PAIRS, len(every)))
    told: set[str] = set()
    for fault, target in chosen:
        method, pattern = TARGETS[target]
        # As often as the client repeats a request by itself, and once more.
        left = [4 if fault is not Fault.SLOW else 1]

        def choose(
            seen: Seen,
            fault: Fault = fault,
            method: str = method,
            pattern: str = pattern,
            left: list[int] = left,
        ) -> Fault:
            if left[0] and seen.method == method and seen.matches(pattern):
                left[0] -= 1
                return fault
            return Fault.NONE

        field.proxy.choose = choose
        told |= field.told()
        field.stack.wait_until_delivered(seconds=60)
        wait_until(
            lambda: field._nothing_waits(), seconds=60, what=f"receipts after {fault} at {target}"
        )
    field.check(told)


@pytest.mark.timeout(240 + 3 * DENIED_SECONDS)
def test_a_bucket_that_denies_access_stops_alone_and_goes_on_by_itself(field: Field) -> None:
    told = field.told()
    field.stack.wait_until_delivered()
    denied = f"/{field.names['client']}/"
    field.proxy.choose = lambda seen: Fault.DENIED if seen.path.startswith(denied) else Fault.NONE
    told |= field.told()
    field.stack.post("/export/run", {})

    def stopped(at_most: int = 0) -> Any:
        sinks = {s["sink"]: s for s in field.stack.get("/export/status")["sinks"]}
        client, metering = sinks["client"], sinks["metering"]
        return client["state"] == "stopped" and metering["pending"] <= at_most and client

    client = wait_until(stopped, seconds=60, what="the client's sink to stop, the other to go on")
    assert "AccessDenied" in client["last_error"]
    assert "docs/buckets.md" in client["last_error"], "what to do about it"
    assert client["circuit"] == "open"
    assert client["pending"] == 3
    denied_until = time.monotonic() + DENIED_SECONDS
    while time.monotonic() < denied_until:
        told |= field.told()
        time.sleep(min(5, DENIED_SECONDS / 5))  # what is sent meanwhile, now and then
    # Nor is the other one slower for what waits.
    client = wait_until(
        lambda: stopped(at_most=10), seconds=60, what="the client's sink alone to be stopped still"
    )
    assert client["pending"] > 3
    field.proxy.choose = lambda _: Fault.NONE

    def goes_on() -> bool:
        sinks = field.stack.get("/export/status")["sinks"]
        return all(sink["state"] == "ok" and sink["pending"] == 0 for sink in sinks)

    wait_until(
        goes_on,
        seconds=60 + DENIED_SECONDS,
        what="a probe to close the circuit, and the backlog to go",
    )
    field.check(told)


# --- killed between any two steps ----------------------------------------------------------------


@pytest.mark.timeout(240 + 40 * STEPS)
def test_a_kill_between_any_two_steps_of_an_export_loses_and_doubles_nothing(
    field: Field,
) -> None:
    """The exporter is killed at its n-th request after an export was asked for.

    Before the request is carried out, or after and before it is answered: at one moment in turn.
    """
    print(f"CHAOS_SEED={SEED}")
    told = field.told()
    field.stack.wait_until_delivered()
    of_one_export = _requests_of_an_export(field, told)
    moments = [(n, is_after) for n in range(1, of_one_export + 1) for is_after in (False, True)]
    chosen = random.Random(SEED).sample(moments, min(STEPS, len(moments)))
    print(f"{of_one_export} requests in an export; killed at {sorted(chosen)}")
    for number, is_after in sorted(chosen):
        told |= field.told()
        kill = _Killer(field, at=len(field.proxy.requests) + number)
        setattr(field.proxy, "after" if is_after else "before", kill)
        field.stack.post("/export/run", {})
        wait_until(lambda: kill.done, seconds=120, what=f"request {number} of an export")  # noqa: B023
        field.proxy.before = field.proxy.after = lambda _: None
        wait_until(field.stack.is_healthy, seconds=60, what="the exporter to come back")
        field.stack.wait_until_delivered()
    field.check(told)


def _requests_of_an_export(field: Field, told: set[str]) -> int:
    """How many requests an export makes, its receipts included."""
    wait_until(field._nothing_waits, seconds=30, what="receipts")
    before = len(field.proxy.requests)
    told |= field.told()
    field.stack.wait_until_delivered()
    wait_until(field._nothing_waits, seconds=30, what="receipts")
    return len(field.proxy.requests) - before


class _Killer:
    def __init__(self, field: Field, *, at: int) -> None:
        self._field = field
        self._at = at
        self.done = False

    def __call__(self, seen: Seen) -> None:
        if seen.number >= self._at and not self.done:
            self.done = self._field.stack.kill("exporter")
