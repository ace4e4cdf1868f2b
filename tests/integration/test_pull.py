"""The client's side: a verified copy of the bucket, whatever happens on the way."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from core.manifest import decode_manifest, encode_json
from exporter.reading import (
    BucketDamaged,
    PullError,
    open_events,
    pull,
    read_events,
    read_table,
)
from exporter.sinks.s3 import S3Bucket
from exporter.sinks.sink import Bucket, SinkUnavailable
from tests.conftest import S3_KEYS, S3_REGION, an_event
from tests.integration.building import Exporting, write_now

MANIFESTS = "analytics/_sluice/manifests"


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pulled"


def told(exporting: Exporting) -> set[str]:
    return set(exporting.committed_ids(exporting.client))


def pulled_ids(folder: Path, **window: Any) -> Counter[str]:
    return Counter(read_events(folder, **window)["event_id"])


def files_of(folder: Path) -> list[Path]:
    """What a reader of the whole folder would take for data."""
    return [p for p in sorted(folder.rglob("*.parquet")) if "_sluice" not in p.parts]


def some_segments(exporting: Exporting) -> None:
    """Three, the second of them empty."""
    write_now(exporting.database_url, an_event(), an_event(siteId="b/ü.example"))
    exporting.run()
    exporting.run()
    write_now(exporting.database_url, an_event(), an_event(), an_event(siteId="007"))
    exporting.run()


def test_a_folder_gets_what_was_delivered_and_then_only_what_is_new(
    exporting: Exporting, folder: Path
) -> None:
    some_segments(exporting)
    first = pull(exporting.client.bucket, folder)
    assert (first.segments, first.rows) == (3, 5)
    assert pulled_ids(folder) == Counter(told(exporting))
    asked = CountingBucket(exporting.client.bucket)
    again = pull(asked, folder)
    assert (again.segments, again.objects, again.until) == (0, 0, first.until)
    assert asked.manifests == 0
    write_now(exporting.database_url, an_event())
    sealed = exporting.run()
    third = pull(asked, folder)
    assert (third.segments, third.rows, third.until) == (1, 1, sealed.sealed_at)
    assert asked.manifests == 1
    assert all(after.endswith("003.json") for after in asked.listed_after)
    assert pulled_ids(folder) == Counter(told(exporting))


def test_frames_have_the_types_of_the_contract(exporting: Exporting, folder: Path) -> None:
    write_now(
        exporting.database_url,
        an_event(eventId="one", screenWidth=1920, occurredAt="0001-01-01T00:00:00Z"),
        an_event(eventId="two", siteId="007"),
    )
    exporting.run()
    pull(exporting.client.bucket, folder)
    events = read_events(folder).set_index("event_id")
    assert {name: str(events[name].dtype) for name in events} | {
        "site_id": "str", "screen_width": "Int32", "is_bot": "boolean",
        "received_at": "datetime64[us, UTC]", "properties": "str",
    } == {name: str(events[name].dtype) for name in events}  # fmt: skip
    assert events.loc["one", "screen_width"] == 1920
    assert pd.isna(events.loc["two", "screen_width"])
    assert events.loc["one", "occurred_at"].year == 1
    assert set(events["site_id"]) == {"shop.example", "007"}
    assert "hour" not in events


def test_a_window_is_half_open_and_a_site_stands_alone(exporting: Exporting, folder: Path) -> None:
    times = []
    for _ in range(4):
        times.append(
            write_now(exporting.database_url, an_event(), an_event(siteId="b")).received_at
        )
        exporting.run()
    pull(exporting.client.bucket, folder)
    assert len(read_events(folder, from_=times[1], to=times[3])) == 4
    assert len(read_events(folder, from_=times[1], to=times[3], site_id="b")) == 2
    assert len(read_events(folder, site_id=["b", "none"])) == 4
    assert len(read_events(folder, from_=times[3] + timedelta(seconds=1))) == 0
    assert read_table(folder, to=times[0]).num_rows == 0
    assert list(read_events(folder, to=times[0], columns=["url"]).columns) == ["url"]
    assert read_table(folder, to=times[0]).schema.names == read_table(folder).schema.names
    batches = open_events(folder, from_=times[2]).to_batches(columns=["event_id"])
    assert sum(batch.num_rows for batch in batches) == 4


def test_a_pull_of_a_window_fetches_its_segments_only(exporting: Exporting, folder: Path) -> None:
    sealed = []
    for _ in range(9):
        write_now(exporting.database_url, an_event())
        sealed.append(exporting.run())
    asked = CountingBucket(exporting.client.bucket)
    pulled = pull(asked, folder, from_=sealed[5].opened_at, to=sealed[7].opened_at)
    assert pulled.segments == 2
    assert asked.manifests <= 2 + 1 + 4  # the window's, the one behind it, and by halves to find it
    goes_on = pull(exporting.client.bucket, folder)
    assert goes_on.segments == 2  # without a beginning of its own: from the first pull's
    earlier = pull(exporting.client.bucket, folder, from_=sealed[0].opened_at)
    assert earlier.segments == 5
    assert pulled_ids(folder) == Counter(told(exporting))
    assert pull(exporting.client.bucket, folder).segments == 0


def test_a_gap_between_two_windows_is_filled(exporting: Exporting, folder: Path) -> None:
    sealed = []
    for _ in range(6):
        write_now(exporting.database_url, an_event())
        sealed.append(exporting.run())
    bucket = exporting.client.bucket
    pull(bucket, folder, to=sealed[1].sealed_at)
    pull(bucket, folder, from_=sealed[4].opened_at)
    assert len(read_events(folder)) == 4
    assert pull(bucket, folder).segments == 2
    assert pulled_ids(folder) == Counter(told(exporting))


def test_sites_and_datasets_are_those_of_the_first_pull(exporting: Exporting, folder: Path) -> None:
    some_segments(exporting)
    write_now(exporting.database_url, an_event(eventType="identify", userId="u-1"))
    exporting.run()
    bucket = exporting.client.bucket
    pull(bucket, folder, sites=["007"], datasets=["events", "identities"])
    assert set(read_events(folder)["site_id"]) == {"007"}
    assert read_table(folder, dataset="identities")["user_id"].to_pylist() == ["u-1"]
    assert pull(bucket, folder).segments == 0
    for others in ({"sites": ["b"]}, {"datasets": ["events"]}):
        with pytest.raises(PullError, match="folder of their own"):
            pull(bucket, folder, **others)  # type: ignore[arg-type]


def test_the_vendors_usage_can_be_pulled(exporting: Exporting, folder: Path) -> None:
    some_segments(exporting)
    pull(exporting.metering.bucket, folder, prefix="clients/demo", datasets=["usage"])
    usage = read_table(folder, dataset="usage").to_pandas()
    assert usage["events"].sum() == 5


def test_events_in_several_formats_are_counted_and_read_once(
    database_url: str, engine: Engine, tmp_path: Path, folder: Path
) -> None:
    several = {"CLIENT_FORMATS": "parquet,csv"}
    exporting = Exporting(database_url, engine, tmp_path / "buckets", variables=several)
    some_segments(exporting)
    pulled = pull(exporting.client.bucket, folder, datasets=["events", "events_csv"])
    assert (pulled.rows, pulled.objects) == (5, 8)
    assert pulled_ids(folder) == Counter(told(exporting))
    with pytest.raises(PullError, match="no Parquet"):
        read_table(folder, dataset="events_csv")
    with pytest.raises(PullError, match="only as events, events_csv"):
        pull(exporting.client.bucket, folder.with_name("other"), datasets=["events_json"])


def test_numbers_that_a_seal_gave_up_are_no_gap(exporting: Exporting, folder: Path) -> None:
    from sqlalchemy import text

    some_segments(exporting)
    with exporting.engine.begin() as connection:
        connection.execute(text("SELECT nextval(pg_get_serial_sequence('segments', 'segment_id'))"))
    write_now(exporting.database_url, an_event())
    exporting.run()
    exporting.run()
    write_now(exporting.database_url, an_event())
    last = exporting.run()
    assert pull(exporting.client.bucket, folder).until == last.sealed_at
    assert pulled_ids(folder) == Counter(told(exporting))


# --- what is wrong is said ---------------------------------------------------------------------


def objects_of(exporting: Exporting, segment_id: int) -> list[str]:
    body = exporting.client.bucket.get(f"{MANIFESTS}/{segment_id:012d}.json") or b""
    return [o.key for o in decode_manifest(body).objects]


@pytest.mark.parametrize("how", ["missing", "changed", "cut"])
def test_an_object_that_is_not_as_told_stops_the_pull(
    exporting: Exporting, folder: Path, how: str
) -> None:
    some_segments(exporting)
    (key,) = [k for k in objects_of(exporting, 3) if "007" in k]
    path = exporting.client_root / key
    content = path.read_bytes()
    match how:
        case "missing":
            path.unlink()
        case "changed":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "cut":
            path.write_bytes(content[:-1])
    with pytest.raises(BucketDamaged, match="007"):
        pull(exporting.client.bucket, folder)
    assert len(read_events(folder)) == 2  # the segments before it are kept
    assert not list(folder.rglob("*.partial"))
    assert not [p for p in files_of(folder) if "site_id=007" in str(p)]
    path.write_bytes(content)
    assert pull(exporting.client.bucket, folder).segments == 1
    assert pulled_ids(folder) == Counter(told(exporting))


@pytest.mark.parametrize(("segment_id", "says"), [(1, "missing"), (2, "missing"), (3, "newest")])
def test_a_manifest_that_is_gone_is_noticed(
    exporting: Exporting, folder: Path, segment_id: int, says: str
) -> None:
    some_segments(exporting)
    if segment_id == 1:
        pull(exporting.client.bucket, folder, to=datetime(2000, 1, 1, tzinfo=UTC))
    exporting.client.bucket.delete(f"{MANIFESTS}/{segment_id:012d}.json")
    with pytest.raises(BucketDamaged, match=says):
        pull(exporting.client.bucket, folder)


def test_a_manifest_cannot_write_outside_the_folder(exporting: Exporting, folder: Path) -> None:
    write_now(exporting.database_url, an_event())
    exporting.run()
    key = f"{MANIFESTS}/{1:012d}.json"
    manifest = json.loads(exporting.client.bucket.get(key) or b"")
    for evil in ("analytics/../x.parquet", "analytics//etc/x", "analytics/_sluice/pull.sqlite",
                 "analytics/a\\..\\b", "other/events/x.parquet", "analytics/x"):  # fmt: skip
        manifest["objects"][0]["key"] = evil
        exporting.client.bucket.put(key, json.dumps(manifest).encode())
        with pytest.raises(BucketDamaged, match="no key"):
            pull(exporting.client.bucket, folder)


def test_the_folder_of_another_stack_is_left_alone(
    exporting: Exporting, folder: Path, tmp_path: Path
) -> None:
    some_segments(exporting)
    pull(exporting.client.bucket, folder)
    with pytest.raises(PullError, match="folder of its own"):
        pull(exporting.metering.bucket, folder, prefix="clients/demo")


def test_what_cannot_be_read_is_explained(
    exporting: Exporting, folder: Path, s3_client: Any, s3_bucket: str
) -> None:
    bucket = exporting.client.bucket
    exporting.client_root.mkdir(parents=True)
    with pytest.raises(PullError, match="CLIENT_PREFIX"):
        pull(bucket, folder)
    some_segments(exporting)
    with pytest.raises(PullError, match="prefix"):
        pull(bucket, folder, prefix="analitics")
    with pytest.raises(PullError, match="There is no folder"):
        pull("file:///nowhere/at/all", folder)
    with pytest.raises(PullError, match="does not exist"):
        pull(S3Bucket(s3_client, "no-such-bucket"), folder)
    with pytest.raises(PullError, match="zone"):
        pull(bucket, folder, from_=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(PullError, match="run `sluice pull` first"):
        read_events(folder)
    nothing = pull(bucket, folder, from_=datetime(2100, 1, 1, tzinfo=UTC))
    assert nothing.until is None


def test_files_that_were_taken_out_are_missed(exporting: Exporting, folder: Path) -> None:
    some_segments(exporting)
    pull(exporting.client.bucket, folder)
    files_of(folder)[0].unlink()
    with pytest.raises(PullError, match="taken out"):
        read_events(folder)


# --- on the way --------------------------------------------------------------------------------


class CountingBucket:
    """Counts what is asked of another."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.manifests = 0
        self.listed_after: list[str] = []

    def get(self, key: str) -> bytes | None:
        self.manifests += "/manifests/" in key
        return self._bucket.get(key)

    def list_keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        self.listed_after.append(after)
        return self._bucket.list_keys(prefix, after=after)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)


class BreakingBucket:
    """Breaks off in the middle of every first reading of an object."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._seen: set[str] = set()

    def read_chunks(self, key: str) -> Iterator[bytes] | None:
        chunks = self._bucket.read_chunks(key)
        if chunks is None or key in self._seen:
            return chunks
        self._seen.add(key)
        return self._broken(key, b"".join(chunks))

    def _broken(self, key: str, body: bytes) -> Iterator[bytes]:
        yield body[: len(body) // 2]
        raise SinkUnavailable("the connection was reset", key=key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)


def test_a_connection_that_breaks_is_taken_up_again(exporting: Exporting, folder: Path) -> None:
    some_segments(exporting)
    pull(BreakingBucket(exporting.client.bucket), folder)  # type: ignore[arg-type]
    assert pulled_ids(folder) == Counter(told(exporting))


def test_two_pulls_into_one_folder_do_not_meet(exporting: Exporting, folder: Path) -> None:
    from exporter.reading.state import writing_state

    some_segments(exporting)
    with writing_state(folder), pytest.raises(PullError, match="Another pull"):
        pull(exporting.client.bucket, folder)
    pull(exporting.client.bucket, folder)


def test_notes_that_cannot_be_used_are_told(exporting: Exporting, folder: Path) -> None:
    some_segments(exporting)
    pull(exporting.client.bucket, folder)
    notes = folder / "_sluice" / "pull.sqlite"
    notes.write_bytes(b"not a database, but long enough" * 1_000)
    with pytest.raises(PullError, match="cannot be used: file is not a database"):
        read_events(folder)
    command = [
        sys.executable, "-m", "cli", "pull", exporting.client_root.as_uri(), "--into", str(folder)
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    notes.unlink()
    notes.mkdir()
    with pytest.raises(PullError, match="unable to open database file"):
        pull(exporting.client.bucket, folder)


def test_whenever_it_is_killed_it_goes_on_and_no_file_is_wrong(
    exporting: Exporting, folder: Path
) -> None:
    for n in range(12):
        write_now(exporting.database_url, *(an_event(siteId=f"s-{n % 5}-{m}") for m in range(6)))
        exporting.run()
    digests = {
        o.key.removeprefix("analytics/"): o.sha256
        for key in exporting.client.bucket.list_keys(f"{MANIFESTS}/")
        for o in decode_manifest(exporting.client.bucket.get(key) or b"").objects
    }
    command = [
        sys.executable, "-m", "cli", "pull", exporting.client_root.as_uri(), "--into", str(folder)
    ]  # fmt: skip
    kills = 0
    for wanted in range(4, len(digests), 13):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(files_of(folder)) < wanted:
            time.sleep(0.0005)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        for path in files_of(folder):
            name = path.relative_to(folder).as_posix()
            assert hashlib.sha256(path.read_bytes()).hexdigest() == digests[name]
    assert kills
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert pulled_ids(folder) == Counter(told(exporting))
    assert {p.relative_to(folder).as_posix() for p in files_of(folder)} == set(digests)
    assert not list(folder.rglob("*.partial"))


def test_an_s3_bucket_is_pulled_like_a_folder(
    exporting: Exporting, folder: Path, s3_client: Any, s3_bucket: str, s3_endpoint: str
) -> None:
    some_segments(exporting)
    source = exporting.client.bucket
    for key in source.list_keys("analytics/"):
        s3_client.put_object(Bucket=s3_bucket, Key=key, Body=source.get(key))
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": S3_KEYS["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": S3_KEYS["secret_access_key"],
    }  # fmt: skip
    command = [
        sys.executable, "-m", "cli", "pull", s3_bucket, "--into", str(folder),
        "--endpoint-url", s3_endpoint, "--region", S3_REGION,
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "with 5 events of 3 windows" in done.stdout
    assert pulled_ids(folder) == Counter(told(exporting))
    s3_client.put_object(Bucket=s3_bucket, Key=objects_of(exporting, 1)[0], Body=b"other")
    command[6] = str(folder.with_name("another"))
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "was changed" in done.stderr
    command[4] = "no-such-bucket"
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, "does not exist" in done.stderr) == (3, True)


def test_a_forged_manifest_that_counts_otherwise_is_refused(
    exporting: Exporting, folder: Path
) -> None:
    import msgspec

    some_segments(exporting)
    key = f"{MANIFESTS}/{1:012d}.json"
    manifest = decode_manifest(exporting.client.bucket.get(key) or b"")
    cut = msgspec.structs.replace(manifest, objects=manifest.objects[:1])
    exporting.client.bucket.put(key, encode_json(cut))
    with pytest.raises(BucketDamaged, match="counts 2 events"):
        pull(exporting.client.bucket, folder)
