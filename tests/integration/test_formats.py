"""Events in several formats at once: each holds them all, and each event is billed once."""

from __future__ import annotations

import gzip
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from sqlalchemy import Engine

from core.keys import EVENT_DATASETS
from core.manifest import Manifest, decode_manifest
from core.receipt import decode_receipt
from core.settings import SettingsError, read_settings
from exporter.settings import ExporterSettings
from exporter.sinks.open import Sink
from exporter.sinks.sink import Bucket
from tests.conftest import an_event
from tests.integration.building import Exporting, write_now
from tests.integration.receipting import problems
from tests.integration.test_delivery import Crash

FORMATS = {
    "CLIENT_FORMATS": "json,csv,parquet", "METERING_FORMATS": "parquet,json",
    "JSON_COMPRESSION": "zstd",
}  # fmt: skip


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets", variables=FORMATS)


def some_events(exporting: Exporting) -> None:
    write_now(
        exporting.database_url,
        an_event(eventId="a", title='say "hi"\r\n', properties={"price": 12.5}),
        an_event(eventId="a"), an_event(eventId="b", siteId="b.example", title=""), 7,
    )  # fmt: skip


def manifest_of(sink: Sink, segment_id: int) -> Manifest:
    key = f"{sink.prefix}/_sluice/manifests/{segment_id:012d}.json"
    return decode_manifest(sink.bucket.get(key) or b"")


def test_each_format_has_a_folder_with_every_event_and_each_is_billed_once(
    exporting: Exporting,
) -> None:
    some_events(exporting)
    sealed = exporting.run()
    exporting.put_receipts()
    rows = Counter[str]()
    for listed in manifest_of(exporting.client, sealed.segment_id).objects:
        if listed.dataset in EVENT_DATASETS:
            rows[f"{listed.dataset} {listed.format}"] += listed.rows
    assert rows == {"events parquet": 2, "events_csv csv.gz": 2, "events_json json.zst": 2}
    backup = manifest_of(exporting.metering, sealed.segment_id).objects
    assert {o.dataset for o in backup} & set(EVENT_DATASETS) == {"events", "events_json"}
    assert exporting.delivery(sealed.segment_id, "client")["rows"] == 2
    for sink in exporting.sinks:
        assert problems(sink) == []
        assert exporting.committed_ids(sink) == Counter("ab")
        (key,) = sink.bucket.list_keys(f"{sink.prefix}/_sluice/receipts/")
        receipt = decode_receipt(sink.bucket.get(key) or b"")
        assert receipt.billed == sum(day.events for day in receipt.billed_by_day) == 2


def test_an_outside_reader_finds_the_same_events_in_each_folder(exporting: Exporting) -> None:
    some_events(exporting)
    exporting.run()
    root = exporting.client_root / "analytics"
    found = [
        duckdb.sql(
            f"SELECT site_id, event_id, title, properties, epoch_us(received_at::TIMESTAMPTZ), hour"
            f" FROM {source} ORDER BY event_id"
        ).fetchall()
        for source in (
            f"read_parquet('{root}/events/**/*.parquet', hive_partitioning = true)",
            f"read_csv('{root}/events_csv/**/*.csv.gz', hive_partitioning = true,"
            " allow_quoted_nulls = false, all_varchar = true)",
            f"read_json('{root}/events_json/**/*.json.zst', hive_partitioning = true,"
            " format = 'newline_delimited', union_by_name = true)",
        )
    ]
    assert [row[:3] for row in found[0]] == [
        ("shop.example", "a", 'say "hi"\r\n'),
        ("b.example", "b", ""),
    ]
    assert found[0] == found[1]
    assert [row[:5] for row in found[0]] == [row[:5] for row in found[2]]


def test_a_second_attempt_gives_every_object_the_same_bytes(
    exporting: Exporting, database_url: str, engine: Engine
) -> None:
    some_events(exporting)
    sealed = exporting.run()
    other = Exporting(database_url, engine, exporting.folder / "again", variables=FORMATS)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE deliveries SET state = 'pending'")
        connection.exec_driver_sql(
            "UPDATE segments SET state = 'deduplicated' WHERE state <> 'open'"
        )
    other.deliver()
    for mine, theirs in zip(exporting.sinks, other.sinks, strict=True):
        first, again = (manifest_of(s, sealed.segment_id).objects for s in (mine, theirs))
        assert [(o.key, o.sha256) for o in first] == [(o.key, o.sha256) for o in again]


@pytest.mark.parametrize("dataset", ["events", "events_csv", "events_json"])
def test_what_is_wrong_in_any_format_is_found(exporting: Exporting, dataset: str) -> None:
    some_events(exporting)
    exporting.run()
    exporting.put_receipts()
    (first, *_) = sorted((exporting.client_root / "analytics" / dataset).rglob("0000*"))
    stray = first.with_name("000000000001-0009" + "".join(first.suffixes))
    stray.write_bytes(first.read_bytes())
    assert [p.endswith("is named by no manifest") for p in problems(exporting.client)] == [True]
    stray.unlink()
    body = first.read_bytes()
    first.write_bytes(gzip.compress(b"") + body[1:])
    assert len(problems(exporting.client)) == 1
    first.unlink()
    assert "is not there" in problems(exporting.client)[0]


def test_a_format_that_lacks_an_event_is_found_whoever_signs(exporting: Exporting) -> None:
    some_events(exporting)
    exporting.run()
    exporting.put_receipts()
    (key,) = exporting.client.bucket.list_keys("analytics/_sluice/receipts/")
    receipt = decode_receipt(exporting.client.bucket.get(key) or b"")
    less = [
        msgspec.structs.replace(o, rows=0) if o.dataset == "events_csv" else o
        for o in receipt.objects
    ]
    exporting.client.bucket.put(
        key, exporting.exporter.keys[-1].sign(msgspec.structs.replace(receipt, objects=less))
    )
    found = problems(exporting.client)
    assert any("is not what its events_csv objects hold" in problem for problem in found)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"CLIENT_FORMATS": "avro"}, "CLIENT_FORMATS: 'avro' is no format: parquet, csv, json"),
        ({"CLIENT_FORMATS": "csv,csv"}, "twice"),
        ({"METERING_FORMATS": "csv"}, "METERING_FORMATS has to name parquet"),
        ({"JSON_COMPRESSION": "snappy"}, "JSON_COMPRESSION"),
        ({"PROMOTE": "price:double"}, "PROMOTE: .price:double. is no promotion"),
    ],
)
def test_formats_that_cannot_be_are_named_at_the_start(
    variables: dict[str, str], message: str
) -> None:
    given = {
        "DATABASE_URL": "postgresql://db/x", "CLIENT_S3_BUCKET": "c", "METERING_S3_BUCKET": "m",
    }  # fmt: skip
    with pytest.raises(SettingsError, match=message):
        read_settings(ExporterSettings, given | variables)


def test_promoted_columns_stand_in_the_clients_bucket_and_misfits_are_logged(
    database_url: str, engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    variables = {"PROMOTE": "eventData.price:double,properties.cart.id:string as cart_id"}
    exporting = Exporting(database_url, engine, tmp_path, variables=variables)
    write_now(
        database_url,
        an_event(eventId="a", properties={"price": "12.50", "cart": {"id": 7}}),
        an_event(eventId="b", properties={"price": "12,50"}), an_event(eventId="c"),
    )  # fmt: skip
    exporting.run()
    rows = {row["event_id"]: row for row in exporting.committed_rows(exporting.client)}
    assert [(rows[i]["p_price"], rows[i]["cart_id"]) for i in "abc"] == [
        (12.5, "7"), (None, None), (None, None),
    ]  # fmt: skip
    assert '"12,50"' in rows["b"]["properties"], "the full truth"
    assert "p_price" not in exporting.committed_rows(exporting.metering)[0]
    (record,) = [r for r in caplog.records if r.message == "promoted values do not fit"]
    assert vars(record)["values"] == {"p_price": 1}
    exporting.put_receipts()
    assert problems(exporting.client) == problems(exporting.metering) == []


PUTS = [("events", False), ("events_csv", True), ("events_json", False), ("manifests", True)]


@pytest.mark.parametrize(("where", "after"), PUTS)
def test_a_crash_between_two_formats_leaves_each_event_once_in_each(
    database_url: str, engine: Engine, tmp_path: Path, where: str, after: bool
) -> None:
    exporting = Exporting(
        database_url, engine, tmp_path, variables=FORMATS,
        wrap=lambda bucket, name: CrashingBucket(bucket, where, after=after),
    )  # fmt: skip
    some_events(exporting)
    exporting.seal()
    for sink in exporting.sinks:
        with suppress(Crash):  # the backup has no CSV to crash at
            exporting.deliver(sink)
    exporting.restart()
    exporting.deliver()
    exporting.put_receipts()
    for sink in exporting.sinks:
        assert problems(sink) == []
    root = exporting.client_root / "analytics"
    for dataset, read in (
        ("events/**/*.parquet", "read_parquet"),
        ("events_csv/**/*.csv.gz", "read_csv"),
        ("events_json/**/*.json.zst", "read_json"),
    ):
        ids = duckdb.sql(f"SELECT event_id FROM {read}('{root}/{dataset}') ORDER BY 1").fetchall()
        assert ids == [("a",), ("b",)]


def test_what_an_attempt_with_other_settings_left_is_removed(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    """Folders and formats change between two attempts: readers of folders count each event once."""
    crashing = Exporting(
        database_url, engine, tmp_path, variables=FORMATS,
        wrap=lambda bucket, name: CrashingBucket(bucket, "manifests", after=False),
    )  # fmt: skip
    some_events(crashing)
    crashing.seal()
    with pytest.raises(Crash):
        crashing.deliver(crashing.client)
    changed = {"PARTITION_TEMPLATE": "site_id/type/year/month/day"}
    exporting = Exporting(database_url, engine, tmp_path, variables=changed)
    exporting.deliver()
    exporting.exporter.sweep(exporting.client)
    exporting.put_receipts()
    files = [p for p in (tmp_path / "client/analytics").rglob("0*") if "events" in str(p)]
    assert len(files) == 2
    assert all("/events/site_id=" in str(path) and "/type=" in str(path) for path in files)
    assert problems(exporting.client) == []


class CrashingBucket:
    """The process ends once, at the first object below a folder, before it is put or after."""

    def __init__(self, bucket: Bucket, where: str, *, after: bool) -> None:
        self._bucket, self._where, self._after = bucket, f"/{where}/", after
        self._crashed = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._bucket, name)
        if name not in ("put_file", "put_if_absent"):
            return method

        def put(key: str, *arguments: Any, **named: Any) -> Any:
            crashes = self._where in key and not self._crashed
            self._crashed |= crashes
            result = None if crashes and not self._after else method(key, *arguments, **named)
            if crashes:
                raise Crash
            return result

        return put
