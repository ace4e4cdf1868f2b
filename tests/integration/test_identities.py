"""Identity links, from the event to the bucket, and the join that the docs promise."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from core.keys import IdentitiesKey, parse_identities_key
from exporter.arrow_schema import IDENTITIES_SCHEMA
from exporter.sinks.open import Sink
from exporter.sinks.sink import Bucket, SinkUnavailable
from tests.conftest import ROOT, a_batch, an_event
from tests.integration.building import (
    Exporting,
    collect,
    query,
    read_parquet,
    seal,
    serving,
    write_now,
)
from tests.integration.test_delivery import FailingBucket

DOCS = ROOT / "docs" / "identity.md"


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets")


def login(visitor: str, user: str, **different: Any) -> dict[str, Any]:
    return an_event(eventType="login", visitorId=visitor, userId=user, **different)


def manifest_of(sink: Sink, segment_id: int) -> dict[str, Any]:
    body = sink.bucket.get(f"{sink.prefix}/_sluice/manifests/{segment_id:012d}.json")
    assert body is not None
    manifest: dict[str, Any] = json.loads(body)
    return manifest


def listed_identities(sink: Sink, segment_id: int) -> list[dict[str, Any]]:
    objects = manifest_of(sink, segment_id)["objects"]
    return [o for o in objects if o["dataset"] == "identities"]


def test_links_are_delivered_as_a_dataset_of_their_own(exporting: Exporting) -> None:
    committed = write_now(
        exporting.database_url,
        an_event(),
        login("v-1", "u-1"),
        an_event(eventType="alias", visitorId=None, userId="u-2", properties={"previousId": "v-0"}),
    )
    sealed = exporting.run()
    for sink in exporting.sinks:
        (listed,) = listed_identities(sink, sealed.segment_id)
        assert (listed["rows"], listed["format"]) == (2, "parquet")
        assert listed["key"].startswith(f"{sink.prefix}/identities/year=")
        key = parse_identities_key(listed["key"])
        assert key is not None
        assert (key.segment_id, key.day.date()) == (sealed.segment_id, sealed.opened_at.date())
        digest = sink.bucket.read_back(listed["key"])
        assert digest is not None
        assert (digest.bytes, digest.sha256) == (listed["bytes"], listed["sha256"])
        assert read_parquet(sink, listed["key"]) == [
            {
                "site_id": "shop.example",
                "visitor_id": visitor,
                "user_id": user,
                "event_type": event_type,
                "linked_at": committed.received_at,
                "segment_id": sealed.segment_id,
            }
            for visitor, user, event_type in [("v-1", "u-1", "login"), ("v-0", "u-2", "alias")]
        ]
        assert manifest_of(sink, sealed.segment_id)["counts"]["exported"] == 3


def test_the_file_has_the_schema(exporting: Exporting, tmp_path: Path) -> None:
    write_now(exporting.database_url, login("v-1", "u-1"))
    sealed = exporting.run()
    (listed,) = listed_identities(exporting.client, sealed.segment_id)
    assert pq.read_schema(exporting.client_root / listed["key"]).equals(IDENTITIES_SCHEMA)


def test_without_links_there_is_no_file(exporting: Exporting) -> None:
    write_now(exporting.database_url, an_event())
    sealed = exporting.run()
    assert listed_identities(exporting.client, sealed.segment_id) == []
    assert list(exporting.client.bucket.list_keys("analytics/identities/")) == []


def test_the_vendor_gets_none_where_it_gets_no_events(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"METERING_MODE": "usage"})
    write_now(database_url, login("v-1", "u-1"))
    sealed = exporting.run()
    assert len(listed_identities(exporting.client, sealed.segment_id)) == 1
    assert listed_identities(exporting.metering, sealed.segment_id) == []


def test_each_segment_has_its_own_links_and_they_go_with_it(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path, variables={"BUFFER_RETENTION": "0s"})
    write_now(database_url, login("v-1", "u-1"))
    first = exporting.run()
    write_now(database_url, login("v-2", "u-2"))
    second = exporting.seal()
    exporting.exporter.drop_expired()
    assert query(database_url, "SELECT segment_id, visitor_id FROM identity_links") == [
        (second.segment_id, "v-2")
    ]
    exporting.deliver()
    assert [
        row["visitor_id"]
        for segment in (first, second)
        for listed in listed_identities(exporting.client, segment.segment_id)
        for row in read_parquet(exporting.client, listed["key"])
    ] == ["v-1", "v-2"]


@pytest.mark.parametrize("at", range(1, 9))
@pytest.mark.parametrize("after", [False, True])
def test_a_bucket_that_fails_anywhere_gets_them_once_all_the_same(
    database_url: str, engine: Engine, tmp_path: Path, at: int, after: bool
) -> None:
    def wrap(bucket: Bucket, name: str) -> Bucket:
        if name == "client":
            return FailingBucket(bucket, at=at, after=after, exception=SinkUnavailable)
        return bucket

    exporting = Exporting(database_url, engine, tmp_path, wrap=wrap)
    write_now(database_url, login("v-1", "u-1"), login("v-1", "u-1"))
    sealed = exporting.run()
    exporting.deliver()
    exporting.deliver()
    (listed,) = listed_identities(exporting.client, sealed.segment_id)
    assert [row["user_id"] for row in read_parquet(exporting.client, listed["key"])] == ["u-1"] * 2
    keys = list(exporting.client.bucket.list_keys("analytics/identities/"))
    assert keys == [listed["key"]]


def test_links_in_the_hundred_thousands_stay_one_file(
    exporting: Exporting, database_url: str
) -> None:
    write_now(database_url, an_event())
    query(
        database_url,
        "INSERT INTO identity_links SELECT 1, now(), 'shop.example', 'v-' || n, 'u-' || n % 1000,"
        " 'login' FROM generate_series(1, 200000) AS n",
    )
    sealed = exporting.run()
    (listed,) = listed_identities(exporting.client, sealed.segment_id)
    assert listed["rows"] == 200_000
    table = pq.read_table(exporting.client_root / listed["key"])
    assert len(set(table["visitor_id"].to_pylist())) == 200_000


def documented_queries() -> list[str]:
    """The SQL of the docs."""
    return re.findall(r"```sql\n(.*?)```", DOCS.read_text(), re.DOTALL)


async def test_the_join_of_the_docs_stitches_a_visit_to_its_user(
    database_url: str, exporting: Exporting
) -> None:
    visit = [
        an_event(eventId="1", visitorId="v-1", url="https://shop.example/a"),
        an_event(eventId="2", visitorId="v-1", url="https://shop.example/b"),
        an_event(eventId="3", visitorId="v-9", url="https://shop.example/stranger"),
        # The same visitor id at another site is somebody else's.
        an_event(eventId="4", visitorId="v-1", siteId="other.example", url="https://other/x"),
    ]
    async with serving(database_url) as http:
        assert (await collect(http, a_batch(*visit))).status_code == 200
        await asyncio.to_thread(seal, exporting.engine)
        await collect(http, login("v-1", "u-1", eventId="5"))
        await collect(http, login("v-1", "u-1", eventId="5"))  # sent twice: the link stands twice
        # Somebody else signs in on the same machine later on.
        await collect(http, login("v-2", "u-2", eventId="6"))
        await collect(http, login("v-2", "u-1", eventId="7"))
        await collect(http, an_event(eventId="8", visitorId="v-2", userId="u-2"))
    await asyncio.to_thread(exporting.run)
    connection = duckdb.connect()
    create, stitched, ambiguous = documented_queries()
    bucket = str(exporting.client_root)
    connection.execute(create.replace("s3://your-bucket", bucket))
    rows = (
        connection.sql(stitched.replace("s3://your-bucket", bucket)).arrow().read_all().to_pylist()
    )
    people = {row["event_id"]: row["person_id"] for row in rows}
    assert len(rows) == 8, "the events are neither multiplied nor lost"
    assert people == {
        "1": "u-1", "2": "u-1", "3": "v-9", "4": "v-1",
        "5": "u-1", "6": "u-2", "7": "u-1", "8": "u-2",
    }  # fmt: skip
    shared = connection.execute(ambiguous.replace("s3://your-bucket", bucket)).fetchall()
    assert shared == [("shop.example", "v-2", 2)]


def test_the_key_in_the_docs_is_one_that_we_build() -> None:
    (example,) = re.findall(r"^\s*(\S+/identities/\S+\.parquet)$", DOCS.read_text(), re.MULTILINE)
    assert isinstance(parse_identities_key(example), IdentitiesKey)


def test_the_columns_in_the_docs_are_those_of_the_file() -> None:
    named = re.findall(r"^\| `(\w+)` \|", DOCS.read_text(), re.MULTILINE)
    assert named == IDENTITIES_SCHEMA.names
