"""What unit, contract and integration tests share: a real PostgreSQL, a real S3 protocol, a clock.

Everything of ours is imported inside the fixtures: the system and browser tests load this file
too, and they import nothing of ours.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from database.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parent.parent
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

# Two shared cores: an example may be slow for reasons of its neighbours'.
hypothesis.settings.register_profile(
    "sluice", deadline=None, max_examples=100, derandomize=True, database=None
)
hypothesis.settings.load_profile("sluice")

_numbers = itertools.count(1)

COPIED = "STRATEGY FILE_COPY TEMPLATE"
"""A quarter of the time that the usual way takes, where nothing is fsynced."""
MEMORY_BYTES = 6_000_000_000
"""Of several servers, each with up to a gigabyte of log."""

# Files with few tests that take minutes: begun last, one of them would be waited for alone.
_FIRST = ("system", "browser", "sdks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest folders first."""

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)

    items.sort(key=place)


class HandClock:
    """Tells the time that a test sets, and no other."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **by: float) -> datetime:
        """Turn the hands forward: `clock.turn(minutes=5)`."""
        self.now += timedelta(**by)
        return self.now


def an_event(**different: Any) -> dict[str, Any]:
    """One event as a tracker sends it; keyword arguments are wire names, None leaves one out."""
    event = {
        "eventId": str(uuid.uuid4()),
        "eventType": "page_view",
        "siteId": "shop.example",
        "visitorId": "v-1",
        "sessionId": "s-1",
        "url": "https://shop.example/p/7",
    } | different
    return {name: value for name, value in event.items() if value is not None}


def a_batch(*events: Any, **shared: Any) -> bytes:
    """A request body with these events and what they share."""
    return json.dumps({"eventType": "batch", **shared, "events": list(events)}).encode()


@pytest.fixture
def clock() -> HandClock:
    """Noon, until the test turns it."""
    return HandClock()


def _memory() -> Path | None:
    """Files that live in memory, where there is room; None where not.

    A database is 300 files. ext4 goes through all that were deleted in the last seconds for each
    new one: a third of these tests' processor time.
    """
    folder = Path("/dev/shm")
    has_room = folder.is_dir() and shutil.disk_usage(folder).free > MEMORY_BYTES
    return folder if has_room else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """One server for the whole run; it may run as another account, who must reach its folder."""
    from database.embedded import EmbeddedServer

    folder = Path(tempfile.mkdtemp(prefix="sluice-tests-", dir=_memory()))
    folder.chmod(0o755)
    settings = {"shared_buffers": "64MB", "max_wal_size": "1GB", "fsync": "off"}
    settings["autovacuum"] = "off"  # a database that it works in cannot be a template
    server = EmbeddedServer(folder=folder / "postgres", memory=settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def with_database(url: str, name: str) -> str:
    """The same server's address, another database."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{query}"


@pytest.fixture(scope="session")
def template_database(postgres: EmbeddedServer) -> str:
    """A migrated database to clone; nothing may be connected to it."""
    import psycopg

    from database.engine import sync_engine
    from database.migrate import migrate

    name = "migrated"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    engine = sync_engine(with_database(postgres.url, name), application_name="tests")
    migrate(engine)
    engine.dispose()
    return name


@pytest.fixture
def database_url(postgres: EmbeddedServer, template_database: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    import psycopg

    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {COPIED} {template_database}")
        yield with_database(postgres.url, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def read_database_url(postgres: EmbeddedServer, template_database: str) -> str:
    """A migrated database that the tests which share it leave as it is."""
    import psycopg

    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE shared {COPIED} {template_database}")
    return with_database(postgres.url, "shared")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The exporter's kind of engine on the test's own database."""
    from database.engine import sync_engine

    engine = sync_engine(database_url, application_name="tests")
    yield engine
    engine.dispose()


GIVEN_S3 = os.environ.get("S3_TEST_ENDPOINT")
"""A server to test against instead of our own; keys and region are then AWS's usual variables."""
S3_REGION = (os.environ.get("AWS_REGION") if GIVEN_S3 else None) or "eu-central-1"
S3_KEYS = {
    "access_key_id": os.environ["AWS_ACCESS_KEY_ID"] if GIVEN_S3 else "test-key",
    "secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"] if GIVEN_S3 else "test-secret",
}

needs_own_s3 = pytest.mark.skipif(
    GIVEN_S3 is not None, reason="asks for more than a bucket: a role service, a KMS key, a class"
)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A server that speaks S3."""
    if GIVEN_S3 is not None:
        yield GIVEN_S3
        return
    from moto.s3.responses import S3Response
    from moto.server import ThreadedMotoServer

    # Of several conditional puts at once S3 lets one win; moto looks, and then puts.
    put, one_by_one = S3Response.put_object, Lock()

    def put_object(response: S3Response) -> Any:
        with one_by_one:
            return put(response)

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Response, "put_object", put_object)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def s3_client(s3_endpoint: str) -> Any:
    """Our client, on that server."""
    from exporter.sinks.s3 import connect_s3

    return connect_s3(region=S3_REGION, endpoint_url=s3_endpoint, **S3_KEYS)


@pytest.fixture
def s3_bucket(s3_client: Any) -> Iterator[str]:
    """The name of an empty bucket."""
    given = os.environ.get("S3_TEST_BUCKET") if GIVEN_S3 else None
    name = given or make_s3_bucket(s3_client)
    if given:
        assert "sluice-test" in given, "S3_TEST_BUCKET is emptied: its name has to say sluice-test"
        empty_s3_bucket(s3_client, name)
    yield name
    empty_s3_bucket(s3_client, name)
    if not given:
        s3_client.delete_bucket(Bucket=name)


def make_s3_bucket(client: Any) -> str:
    """Create a bucket that nobody else has; returns its name."""
    name = f"sluice-test-{uuid.uuid4().hex[:16]}"
    place = {"LocationConstraint": S3_REGION}
    options = {} if S3_REGION == "us-east-1" else {"CreateBucketConfiguration": place}
    client.create_bucket(Bucket=name, **options)
    return name


def empty_s3_bucket(client: Any, name: str) -> None:
    """Remove whatever is in it."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        for found in page.get("Contents", ()):
            client.delete_object(Bucket=name, Key=found["Key"])
    for upload in client.list_multipart_uploads(Bucket=name).get("Uploads", ()):
        client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
