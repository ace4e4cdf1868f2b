"""One behaviour suite for every bucket, and how each of them fails."""

from __future__ import annotations

import errno
import hashlib
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier
from typing import Any

import pytest

from exporter.sinks.directory import DirectoryBucket
from exporter.sinks.s3 import ObjectOptions, S3Bucket, connect_s3
from exporter.sinks.sink import Bucket, SinkRefused, SinkUnavailable
from tests.conftest import needs_own_s3

KEY = "analytics/events/site_id=a%2Fb/year=2026/file.parquet"


@pytest.fixture(params=["directory", "s3"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    if request.param == "directory":
        return DirectoryBucket(tmp_path / "bucket")
    return S3Bucket(request.getfixturevalue("s3_client"), request.getfixturevalue("s3_bucket"))


def a_file(folder: Path, content: bytes) -> tuple[Path, str]:
    path = folder / "upload"
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def test_what_is_put_is_there(bucket: Bucket) -> None:
    assert bucket.get(KEY) is None
    bucket.put(KEY, b"one")
    assert bucket.get(KEY) == b"one"
    bucket.put(KEY, b"two")
    assert bucket.get(KEY) == b"two"
    bucket.put(KEY, b"")
    assert bucket.get(KEY) == b""


def test_a_file_replaces_what_was_there_and_is_read_back(bucket: Bucket, tmp_path: Path) -> None:
    assert bucket.read_back(KEY) is None
    for content in (b"first " * 1_000, b"second", b""):
        path, sha256 = a_file(tmp_path, content)
        bucket.put_file(KEY, path, sha256=sha256)
        found = bucket.read_back(KEY)
        assert found is not None
        assert (found.bytes, found.sha256) == (len(content), sha256)
        assert bucket.get(KEY) == content


def test_what_is_read_back_is_handed_on_whole_and_may_be_refused(
    bucket: Bucket, tmp_path: Path
) -> None:
    content = random.Random(2).randbytes(3 << 20)
    path, sha256 = a_file(tmp_path, content)
    bucket.put_file(KEY, path, sha256=sha256)
    pieces: list[bytes] = []
    assert bucket.read_back(KEY, pieces.append) is not None
    assert b"".join(pieces) == content

    def refuse(piece: bytes) -> None:
        raise ValueError(len(piece))

    for _ in range(20):  # more than there are connections
        with pytest.raises(ValueError, match=r"\d+"):
            bucket.read_back(KEY, refuse)
    assert bucket.read_back(KEY) is not None


def test_a_full_disk_here_is_not_blamed_on_the_bucket(bucket: Bucket) -> None:
    bucket.put(KEY, b"x")

    def keep(_: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        bucket.read_back(KEY, keep)


def test_a_conditional_put_does_not_replace(bucket: Bucket) -> None:
    assert bucket.put_if_absent(KEY, b"first") is True
    assert bucket.put_if_absent(KEY, b"second") is False
    assert bucket.get(KEY) == b"first"
    bucket.delete(KEY)
    assert bucket.put_if_absent(KEY, b"third") is True


def test_of_many_conditional_puts_one_wins(bucket: Bucket) -> None:
    racers = 8
    for round_number in range(5):
        key = f"analytics/_sluice/manifests/{round_number}.json"
        start = Barrier(racers)

        def race(number: int, key: str = key, start: Barrier = start) -> bool:
            start.wait()
            return bucket.put_if_absent(key, b"%d" % number * 10_000)

        with ThreadPoolExecutor(racers) as threads:
            won = list(threads.map(race, range(racers)))
        assert won.count(True) == 1
        assert bucket.get(key) == b"%d" % won.index(True) * 10_000


def test_keys_are_listed_in_order_and_by_prefix(bucket: Bucket) -> None:
    keys = ["p/a/2", "p/a/1", "p/ab", "p/b=%C3%BC/x", "q/a", "p/a.b/c"]
    for key in keys:
        bucket.put(key, b"x")
    assert list(bucket.list_keys("p/")) == sorted(k for k in keys if k.startswith("p/"))
    assert list(bucket.list_keys("p/a")) == ["p/a.b/c", "p/a/1", "p/a/2", "p/ab"]
    assert list(bucket.list_keys("p/a/")) == ["p/a/1", "p/a/2"]
    assert list(bucket.list_keys("nothing/here")) == []


def test_deleting_removes_and_does_not_mind_when_there_is_nothing(bucket: Bucket) -> None:
    bucket.delete(KEY)
    bucket.put(KEY, b"x")
    bucket.delete(KEY)
    assert bucket.get(KEY) is None
    assert list(bucket.list_keys("analytics/")) == []


def test_a_missing_file_leaves_no_object(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises((SinkUnavailable, SinkRefused)):
        bucket.put_file(KEY, tmp_path / "nowhere", sha256="")
    assert bucket.get(KEY) is None
    assert list(bucket.list_keys("")) == []


def test_a_large_file_goes_in_parts(s3_client: Any, s3_bucket: str, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(40 << 20)
    path, sha256 = a_file(tmp_path, content)
    bucket = S3Bucket(s3_client, s3_bucket)
    bucket.put_file(KEY, path, sha256=sha256)
    found = bucket.read_back(KEY)
    assert found is not None
    assert (found.bytes, found.sha256) == (len(content), sha256)
    head = s3_client.head_object(Bucket=s3_bucket, Key=KEY)
    assert head["ETag"].strip('"').endswith("-2"), "two parts"
    assert head["Metadata"] == {"sha256": sha256}


# --- how S3 fails ------------------------------------------------------------------------------


def each_call(bucket: Bucket, path: Path) -> list[Callable[[], object]]:
    return [
        lambda: bucket.put(KEY, b"x"),
        lambda: bucket.put_if_absent(KEY, b"x"),
        lambda: bucket.put_file(KEY, path, sha256="0"),
        lambda: bucket.get(KEY),
        lambda: bucket.read_back(KEY),
        lambda: list(bucket.list_keys("")),
        lambda: bucket.delete(KEY),
    ]


def test_a_missing_bucket_is_permanent_and_says_what_to_do(s3_client: Any, tmp_path: Path) -> None:
    path, _ = a_file(tmp_path, b"x")
    for call in each_call(S3Bucket(s3_client, "no-such-bucket"), path):
        with pytest.raises(SinkRefused, match="does not exist: create it, or correct its name"):
            call()


@pytest.mark.parametrize("address", ["/mnt/bucket", "s3://bucket"])
def test_an_address_that_is_no_buckets_name_is_told_how_to_be_given(
    s3_client: Any, address: str
) -> None:
    with pytest.raises(SinkRefused, match="file:///a/folder"):
        S3Bucket(s3_client, address).get("watermark.json")


def test_a_server_that_is_away_is_transient(tmp_path: Path) -> None:
    client = connect_s3(
        region="eu-central-1",
        endpoint_url="http://127.0.0.1:9",  # discard: nobody listens
        access_key_id="k",
        secret_access_key="s",
    )
    path, _ = a_file(tmp_path, b"x")
    for call in each_call(S3Bucket(client, "bucket"), path)[:4]:
        with pytest.raises(SinkUnavailable):
            call()


def test_no_credentials_are_permanent(
    s3_endpoint: str, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    client = connect_s3(
        region="eu-central-1", endpoint_url=s3_endpoint, access_key_id=None, secret_access_key=None
    )
    with pytest.raises(SinkRefused, match="give the machine a role, or set the access keys"):
        S3Bucket(client, s3_bucket).put(KEY, b"x")


# --- how a directory fails ---------------------------------------------------------------------


def test_a_file_in_the_way_of_a_folder_is_permanent(tmp_path: Path) -> None:
    (tmp_path / "analytics").write_text("in the way")
    bucket = DirectoryBucket(tmp_path)
    for call in (lambda: bucket.put(KEY, b"x"), lambda: bucket.put_if_absent(KEY, b"x")):
        with pytest.raises(SinkRefused):
            call()


def test_a_read_only_directory_is_permanent() -> None:
    with TemporaryDirectory(prefix="sluice-tests-") as folder:
        Path(folder).chmod(0o555)
        with unprivileged(), pytest.raises(SinkRefused, match="Permission denied"):
            DirectoryBucket(Path(folder, "bucket")).put(KEY, b"x")


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everywhere: be nobody for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_is_half_written_is_seen_by_no_reader(tmp_path: Path) -> None:
    bucket = DirectoryBucket(tmp_path)
    bucket.put("p/object", b"x")
    (tmp_path / "p" / ".object.0123.partial").write_bytes(b"half")
    assert list(bucket.list_keys("p/")) == ["p/object"]


def test_nothing_is_left_beside_an_object(tmp_path: Path) -> None:
    bucket = DirectoryBucket(tmp_path / "bucket")
    path, sha256 = a_file(tmp_path, b"content")
    bucket.put("a", b"x")
    bucket.put_if_absent("a", b"y")
    bucket.put_file("b", path, sha256=sha256)
    assert sorted(p.name for p in (tmp_path / "bucket").iterdir()) == ["a", "b"]
    assert path.exists()


# --- how objects are stored, and as whom --------------------------------------------------------


@needs_own_s3
def test_objects_are_encrypted_classed_and_tagged_as_the_settings_say(
    s3_client: Any, s3_bucket: str, tmp_path: Path
) -> None:
    options = ObjectOptions(
        encryption="aws:kms",
        kms_key_id="alias/sluice",
        storage_class="INTELLIGENT_TIERING",
        tags={"team": "data", "env": "a b"},
    )
    bucket = S3Bucket(s3_client, s3_bucket, options)
    large = b"x" * (33 << 20)  # in parts
    for name, content in (("small", b"x"), ("large", large)):
        path, sha256 = a_file(tmp_path, content)
        bucket.put_file(name, path, sha256=sha256)
    bucket.put("watermark", b"{}")
    assert bucket.put_if_absent("manifest", b"{}")
    assert not bucket.put_if_absent("manifest", b"{}")
    for name in ("small", "large", "watermark", "manifest"):
        head = s3_client.head_object(Bucket=s3_bucket, Key=name)
        assert head["ServerSideEncryption"] == "aws:kms"
        assert head["SSEKMSKeyId"].endswith("alias/sluice")
        is_file = name in ("small", "large")
        assert head.get("StorageClass") == ("INTELLIGENT_TIERING" if is_file else None)
        tags = s3_client.get_object_tagging(Bucket=s3_bucket, Key=name)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "data", "env": "a b"}
    found = bucket.read_back("large")
    assert found is not None
    assert found.bytes == len(large)


def test_a_role_that_cannot_be_taken_stops_the_sink(s3_bucket: str) -> None:
    client = connect_s3(
        region="eu-central-1",
        endpoint_url="http://127.0.0.1:9",
        access_key_id="test-key",
        secret_access_key="test-secret",
        role_arn="arn:aws:iam::123456789012:role/sluice",
    )
    with pytest.raises(SinkUnavailable):
        S3Bucket(client, s3_bucket).get(KEY)


def test_an_object_is_read_in_pieces(bucket: Bucket) -> None:
    assert bucket.read_chunks(KEY) is None
    content = random.Random(1).randbytes(3 << 20)
    bucket.put(KEY, content)
    chunks = list(bucket.read_chunks(KEY) or ())
    assert b"".join(chunks) == content
    assert max(map(len, chunks)) <= 1 << 20


def test_a_listing_begins_behind_a_key(bucket: Bucket) -> None:
    for n in range(5):
        bucket.put(f"a/m/{n}", b"")
    bucket.put("a/n/0", b"")
    assert list(bucket.list_keys("a/m/", after="a/m/2")) == ["a/m/3", "a/m/4"]
    assert list(bucket.list_keys("a/m/", after="a/m/9")) == []


def test_folders_are_listed_without_what_is_in_them(bucket: Bucket) -> None:
    for key in ("c/b/x/1", "c/b/y", "c/a/1", "c/z", "d/e/1"):
        bucket.put(key, b"")
    assert list(bucket.list_folders("c")) == ["a", "b"]
    assert list(bucket.list_folders("none")) == []
