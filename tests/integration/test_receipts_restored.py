"""Receipts after something was lost: a database's last moments, keys, or the place of a prefix."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.receipt import digest_receipt
from core.signing import SigningKeyError, make_key, read_keys, replace_lost_keys
from exporter.keys import announced_keys
from exporter.sinks.open import Sink
from tests.conftest import NOON, an_event
from tests.integration.building import Exporting, query, write_now
from tests.integration.receipting import (
    RECEIPTS,
    findings,
    problems,
    receipts,
    resign,
    run,
    some_segments,
)


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets")


class Backup:
    """The tables as they are now, to go back to."""

    TABLES = ("segments", "deliveries", "receipts", "ledger", "segment_event_ids")

    def __init__(self, exporting: Exporting) -> None:
        self.exporting = exporting
        for table in self.TABLES:
            query(exporting.database_url, f"CREATE TABLE backup_{table} AS TABLE {table}")

    def restore(self) -> None:
        for table in self.TABLES:
            query(self.exporting.database_url, f"DELETE FROM {table}")
            query(
                self.exporting.database_url,
                f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM backup_{table}",
            )
        self.exporting.restart()


def bodies(sink: Sink) -> list[bytes]:
    keys = sink.bucket.list_keys(f"{sink.prefix}/{RECEIPTS}/")
    return [sink.bucket.get(key) or b"" for key in keys]


def deliver(exporting: Exporting) -> None:
    exporting.deliver()
    exporting.put_receipts()


def test_a_restored_database_goes_on_from_the_receipts_that_stand(exporting: Exporting) -> None:
    some_segments(exporting)
    write_now(exporting.database_url, an_event())
    exporting.seal()
    write_now(exporting.database_url, an_event())
    exporting.seal()
    backup = Backup(exporting)
    deliver(exporting)
    standing = bodies(exporting.client)
    assert len(standing) == 5
    make_key(exporting.settings.signing_key_dir, now=NOON)  # its receipts would be other bytes
    backup.restore()
    deliver(exporting)
    run(exporting)
    assert bodies(exporting.client)[:5] == standing
    assert bodies(exporting.client) == bodies(exporting.metering)
    assert len(bodies(exporting.client)) == 6
    for sink in exporting.sinks:
        assert problems(sink) == []


@pytest.mark.parametrize("how", ["says otherwise", "signed by another", "unreadable"])
def test_a_receipt_that_is_not_ours_stops_the_sink(
    exporting: Exporting, tmp_path: Path, how: str
) -> None:
    write_now(exporting.database_url, an_event())
    sealed = exporting.seal()
    backup = Backup(exporting)
    deliver(exporting)
    (path,) = (exporting.client_root / "analytics" / RECEIPTS).iterdir()
    if how == "says otherwise":
        resign(path, exporting.exporter.keys[-1], billed=7)
    elif how == "signed by another":
        resign(path, make_key(tmp_path / "other", now=NOON))
    else:
        path.write_text("{}")
    standing = bodies(exporting.client)
    backup.restore()
    deliver(exporting)
    delivery = exporting.delivery(sealed.segment_id, "client")
    assert delivery["state"] == "stopped"
    assert str(sealed.segment_id) in delivery["last_error"]
    assert bodies(exporting.client) == standing
    assert query(exporting.database_url, "SELECT count(*) FROM receipts") == [(0,)]


# --- keys that are lost for ever -----------------------------------------------------------------


def replace(exporting: Exporting) -> str:
    folder = exporting.settings.signing_key_dir
    return replace_lost_keys(folder, announced_keys(exporting.client), now=NOON).key_id


@pytest.mark.parametrize("lost", ["all", "the newest", "all, and a stray one made"])
def test_lost_keys_are_replaced_in_the_open(exporting: Exporting, lost: str) -> None:
    folder = exporting.settings.signing_key_dir
    some_segments(exporting)
    make_key(folder, now=NOON)
    exporting.restart()
    run(exporting)
    first, second = (key.key_id for key in exporting.exporter.keys)
    for path in folder.iterdir():
        if lost != "the newest" or path.stem == "0002":
            path.unlink()
    if "stray" in lost:
        exporting.restart()
        run(exporting)
        assert len(receipts(exporting.client)) == 4
    third = replace(exporting)
    exporting.restart()
    assert [key.key_id for key in exporting.exporter.keys] == [first, second, third]
    run(exporting)
    deliver(exporting)
    for sink in exporting.sinks:
        assert receipts(sink)[-1].key_id == third
        (problem,) = problems(sink)
        assert problem.startswith("key 3 was not vouched for by the key before it")
        assert problems(sink, trusted_key=third) == []
        assert problems(sink, trusted_key=second)
    fourth = make_key(folder, now=NOON).key_id
    exporting.restart()
    run(exporting)
    assert problems(exporting.client, trusted_key=third) == []
    assert problems(exporting.client, trusted_key=fourth) == []
    told = [f.what for f in findings(exporting.client, trusted_key=fourth) if f.holds]
    assert "key 3 was not vouched for by the key before it; it is, by the trusted key" in told


def test_keys_that_are_not_lost_are_not_replaced(exporting: Exporting, tmp_path: Path) -> None:
    some_segments(exporting)
    before = sorted(p.name for p in exporting.settings.signing_key_dir.iterdir())
    with pytest.raises(SigningKeyError, match="Use --new"):
        replace(exporting)
    assert sorted(p.name for p in exporting.settings.signing_key_dir.iterdir()) == before
    with pytest.raises(SigningKeyError, match="knows no key"):
        replace_lost_keys(tmp_path, [], now=NOON)
    with pytest.raises(SigningKeyError, match="cannot be read"):
        replace_lost_keys(tmp_path, [b"{}"], now=NOON)


def test_an_interrupted_replacement_is_made_again(exporting: Exporting) -> None:
    folder = exporting.settings.signing_key_dir
    some_segments(exporting)
    shutil.rmtree(folder)
    replace(exporting)
    (folder / "0002.pem").unlink()  # as a crash before it leaves them
    new = replace(exporting)
    assert [key.key_id for key in read_keys(folder)][1] == new


def test_the_command_replaces_them_by_the_exporters_settings(exporting: Exporting) -> None:
    folder = exporting.settings.signing_key_dir
    some_segments(exporting)
    shutil.rmtree(folder)
    environment = {
        "DATABASE_URL": exporting.database_url,
        "CLIENT_S3_BUCKET": exporting.client_root.as_uri(),
        "METERING_S3_BUCKET": exporting.metering_root.as_uri(),
        "SIGNING_KEY_DIR": str(folder),
    }
    for module in ("exporter.keys", "cli keys"):
        done = subprocess.run(
            [sys.executable, "-m", *module.split(), "--replace-lost"],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if module == "exporter.keys":
            assert done.returncode == 0, done.stderr
            first, second = done.stdout.splitlines()
            assert first.endswith("lost, and replaced")
            assert second == f"2  {read_keys(folder)[1].key_id}"
            exporting.restart()
            run(exporting)
        else:
            assert "none is lost" in done.stderr
    assert receipts(exporting.client)[-1].key_id == read_keys(folder)[1].key_id


# --- another prefix ------------------------------------------------------------------------------


def test_under_another_prefix_the_chain_goes_on_and_says_so(
    exporting: Exporting, database_url: str, engine: Engine, tmp_path: Path
) -> None:
    some_segments(exporting)
    write_now(database_url, an_event())
    exporting.run()  # whose receipt is still to come
    moved = Exporting(
        database_url, engine, tmp_path / "buckets", variables={"CLIENT_PREFIX": "elsewhere"}
    )
    write_now(database_url, an_event())
    run(moved)
    run(moved)
    assert len(receipts(exporting.client)) == 4
    assert len(receipts(moved.client)) == 2
    assert problems(exporting.client) == []
    assert problems(moved.metering) == []
    (problem,) = problems(moved.client)
    last = digest_receipt(bodies(exporting.client)[-1])
    assert f"it is the first here, and follows one with the SHA-256 {last}" in problem
    assert problems(moved.client, known_receipt=last) == []
    assert problems(moved.client, known_receipt="0" * 64)
