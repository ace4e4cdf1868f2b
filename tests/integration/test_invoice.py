"""The bill: equal to the signed receipts to the event, or none at all."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from core.keys import manifest_key, receipt_key
from core.receipt import decode_receipt
from exporter.sinks.directory import DirectoryBucket
from tests.conftest import an_event
from tests.integration.building import Exporting, ledger_of, write_now
from tests.integration.planting_receipts import PlantedClient

OCTOBER, NOVEMBER, DECEMBER = (datetime(2026, month, 1, tzinfo=UTC) for month in (10, 11, 12))
HOUR = timedelta(hours=1)


@pytest.fixture
def vendor(tmp_path: Path) -> DirectoryBucket:
    return DirectoryBucket(tmp_path / "vendor")


def plant(vendor: DirectoryBucket, tmp_path: Path, client_id: str = "acme") -> PlantedClient:
    """From the end of October to the beginning of December, with a segment over each border."""
    client = PlantedClient(vendor, client_id, tmp_path, opened_at=OCTOBER + timedelta(days=20))
    client.segment(NOVEMBER - HOUR, ("old.example", OCTOBER + timedelta(days=25), 7))
    client.segment(
        NOVEMBER + HOUR, ("old.example", NOVEMBER - HOUR, 11), ("old.example", NOVEMBER, 1_000)
    )
    client.segment(NOVEMBER + 5 * HOUR)
    client.segment(
        NOVEMBER + timedelta(days=9),
        ("new.example", NOVEMBER + timedelta(days=8, hours=3), 2_500),
        ("old.example", NOVEMBER + timedelta(days=8, hours=3), 499),
        ("new.example", NOVEMBER + timedelta(days=8, hours=5), 1),
    )
    client.segment(
        DECEMBER + HOUR,
        ("old.example", DECEMBER - HOUR, 1), ("late.example", DECEMBER, 1_000_000),
    )  # fmt: skip
    client.segment(DECEMBER + timedelta(days=3))
    return client


def invoice(vendor: DirectoryBucket, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", "invoice", vendor.root.as_uri(), *options],
        capture_output=True, text=True,
    )  # fmt: skip


def document(vendor: DirectoryBucket, *options: str) -> Any:
    done = invoice(vendor, "--month", "2026-11", "--format", "json", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_a_month_is_its_days_in_utc_and_lines_add_up(
    vendor: DirectoryBucket, tmp_path: Path
) -> None:
    plant(vendor, tmp_path)
    made = document(vendor)
    (client,) = made["clients"]
    assert client["is_complete"]
    assert client["events"] == made["events"] == 1_000 + 2_500 + 499 + 1 + 1
    assert [(line["day"], line["site_id"], line["events"]) for line in client["lines"]] == [
        ("2026-11-01", "old.example", 1_000),
        ("2026-11-09", "new.example", 2_501),
        ("2026-11-09", "old.example", 499),
        ("2026-11-30", "old.example", 1),
    ]
    assert client["total"] == "0.04"
    assert sum(Decimal(line["amount"]) for line in client["lines"]) == Decimal(client["total"])
    assert sum(Decimal(site["amount"]) for site in client["sites"]) == Decimal(client["total"])
    receipts = client["receipts"]
    assert (receipts["first_segment"], receipts["last_segment"], receipts["number"]) == (2, 5, 4)
    assert receipts["chain_verified_from_segment"] == 1


def test_new_sites_are_those_that_no_earlier_receipt_bills(
    vendor: DirectoryBucket, tmp_path: Path
) -> None:
    plant(vendor, tmp_path)
    (client,) = document(vendor)["clients"]
    assert client["new_sites"] == [
        {"site_id": "new.example", "first_seen": "2026-11-09T03:00:00+00:00"}
    ]


def test_tiers_price_a_month_as_a_whole(vendor: DirectoryBucket, tmp_path: Path) -> None:
    plant(vendor, tmp_path)
    (client,) = document(vendor, "--tiers", "0:10,3000:1", "--currency", "EUR")["clients"]
    assert [tier["events"] for tier in client["tiers"]] == [3_000, 1_001]
    assert client["total"] == "31.00"
    assert invoice(vendor, "--month", "2026-11", "--price", "cheap").returncode == 2


def test_all_clients_stand_on_one_invoice_and_one_can_be_asked_for(
    vendor: DirectoryBucket, tmp_path: Path
) -> None:
    for client_id in ("acme", "beta"):
        plant(vendor, tmp_path, client_id)
    PlantedClient(vendor, "young", tmp_path, opened_at=DECEMBER).segment(DECEMBER + HOUR)
    made = document(vendor)
    assert [client["client_id"] for client in made["clients"]] == ["acme", "beta"]
    assert made["total"] == "0.08"
    assert [c["client_id"] for c in document(vendor, "--client", "beta")["clients"]] == ["beta"]
    text = invoice(vendor, "--month", "2026-11").stdout
    assert "All 2 clients: 8,002 events, 0.08 USD" in text
    assert "Receipts 2..5 (4): chain verified by digest and signature from receipt 1 on" in text


def test_a_month_that_is_not_over_is_said_to_be_incomplete(
    vendor: DirectoryBucket, tmp_path: Path
) -> None:
    plant(vendor, tmp_path)
    done = invoice(vendor, "--month", "2026-12")
    assert (done.returncode, done.stdout) == (4, "")
    assert "until 2026-12-04 00:00 UTC" in done.stderr
    done = invoice(vendor, "--month", "2026-12", "--allow-incomplete")
    assert done.returncode == 0
    assert "INCOMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("a receipt is gone", "it does not follow the receipt before it"),
        ("the first receipt is gone", "it is the first here"),
        ("a receipt was changed", "its signature is not valid"),
        ("a manifest is gone", "is not there"),
        ("usage is gone", "is not there"),
        ("usage was changed", "was changed"),
        ("the owner is gone", "whose it is cannot be read"),
    ],
)
def test_nothing_is_billed_from_receipts_that_do_not_hold(
    vendor: DirectoryBucket, tmp_path: Path, what: str, says: str
) -> None:
    client = plant(vendor, tmp_path)
    fourth = receipt_key(client.prefix, 4)
    (usage,) = vendor.list_keys(f"{client.prefix}/usage/year=2026/month=11/day=01/000000000004")
    match what:
        case "a receipt is gone":
            vendor.delete(fourth)
        case "the first receipt is gone":
            vendor.delete(receipt_key(client.prefix, 1))
        case "a receipt was changed":
            body = vendor.get(fourth) or b""
            vendor.put(fourth, body.replace(b"2501", b"2401").replace(b"3000", b"2900"))
        case "a manifest is gone":
            vendor.delete(manifest_key(client.prefix, 4))
        case "usage is gone":
            vendor.delete(usage)
        case "usage was changed":
            vendor.put(usage, (vendor.get(usage) or b"") + b" ")
        case "the owner is gone":
            vendor.delete(f"{client.prefix}/_sluice/owner.json")
    done = invoice(vendor, "--month", "2026-11", "--allow-incomplete")
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr


def test_the_bill_is_what_a_stack_delivered(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    exporting = Exporting(database_url, engine, tmp_path / "buckets")
    for _ in range(3):
        repeated = an_event(siteId="b/ü.example")
        write_now(database_url, an_event(), repeated, repeated, {"eventType": ""})
        exporting.run()
        exporting.put_receipts()
    ledger = ledger_of(database_url)
    vendor = DirectoryBucket(exporting.metering_root)
    month = f"{datetime.now(UTC):%Y-%m}"
    done = invoice(vendor, "--month", month, "--format", "json", "--allow-incomplete")
    made = json.loads(done.stdout)
    keys = vendor.list_keys("clients/demo/_sluice/receipts/")
    billed = sum(decode_receipt(vendor.get(key) or b"").billed for key in keys)
    assert made["events"] == billed == ledger["accepted"] - ledger["duplicate"] == 6
    assert {site["site_id"] for site in made["clients"][0]["new_sites"]} == {
        "shop.example", "b/ü.example"
    }  # fmt: skip


def test_an_s3_bucket_is_billed_like_a_folder(
    vendor: DirectoryBucket, tmp_path: Path, s3_client: Any, s3_bucket: str, s3_endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    plant(vendor, tmp_path)
    for key in vendor.list_keys("clients/"):
        s3_client.put_object(Bucket=s3_bucket, Key=key, Body=vendor.get(key))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    done = subprocess.run(
        [sys.executable, "-m", "cli", "invoice", s3_bucket, "--month", "2026-11", "--format", "csv",
         "--endpoint-url", s3_endpoint, "--region", "eu-central-1"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert sum(int(row["events"]) for row in rows) == 4_001
    assert sum(Decimal(row["amount"]) for row in rows) == Decimal("0.04")


def test_names_do_no_harm_in_a_spreadsheet_a_page_or_a_terminal(
    vendor: DirectoryBucket, tmp_path: Path
) -> None:
    client = PlantedClient(vendor, "acme", tmp_path, opened_at=NOVEMBER)
    evil = ["=1+1", "<script>alert(1)</script>", "\x1b[2J"]
    client.segment(DECEMBER, *((site, NOVEMBER, 5) for site in evil))
    rows = list(csv.DictReader(io.StringIO(
        invoice(vendor, "--month", "2026-11", "--format", "csv").stdout)))  # fmt: skip
    assert {row["site_id"] for row in rows} == {"'=1+1", *evil[1:]}
    page = tmp_path / "invoice.html"
    done = invoice(vendor, "--month", "2026-11", "--format", "html", "--output", str(page))
    assert (done.returncode, done.stdout) == (0, "")
    html = page.read_text()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "http" not in html  # nothing is fetched
    assert "\x1b" not in invoice(vendor, "--month", "2026-11").stdout


def test_what_cannot_be_read_is_explained(vendor: DirectoryBucket) -> None:
    done = invoice(vendor, "--month", "2026-11")
    assert (done.returncode, "No client's folder" in done.stderr) == (3, True)
    assert invoice(vendor, "--month", "November").returncode == 2


def test_a_replaced_key_signs_no_bill_where_the_new_one_is_trusted(
    vendor: DirectoryBucket, tmp_path: Path
) -> None:
    client = plant(vendor, tmp_path)
    old = client.key
    client.renew_key()
    options = ("--month", "2026-11", "--client", "acme", "--key")
    done = invoice(vendor, *options, client.key.key_id)
    assert (done.returncode, done.stdout) == (1, "")
    assert "signed with a key that the trusted one replaced" in done.stderr
    assert invoice(vendor, *options, old.key_id).returncode == 0
    client.segment(DECEMBER + timedelta(days=4))
    assert invoice(vendor, *options, client.key.key_id).returncode == 0


def test_what_a_trusted_key_vouches_for_is_followed_behind_the_month_too(
    vendor: DirectoryBucket, tmp_path: Path
) -> None:
    client = plant(vendor, tmp_path)
    client.renew_key()
    for days in (4, 5, 6):
        client.segment(DECEMBER + timedelta(days=days))
    vendor.delete(receipt_key(client.prefix, 8))
    options = ("--month", "2026-11", "--client", "acme")
    assert invoice(vendor, *options).returncode == 0
    done = invoice(vendor, *options, "--key", client.key.key_id)
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not follow the receipt before it" in done.stderr


def test_a_day_that_is_none_of_the_segments_is_not_billed(
    vendor: DirectoryBucket, tmp_path: Path
) -> None:
    client = PlantedClient(vendor, "acme", tmp_path, opened_at=NOVEMBER)
    client.segment(DECEMBER - 10 * HOUR, ("a.example", NOVEMBER + HOUR, 1))
    client.segment(DECEMBER + HOUR, ("a.example", NOVEMBER + timedelta(days=3), 5))
    done = invoice(vendor, "--month", "2026-11")
    assert (done.returncode, done.stdout) == (1, "")
    assert "it bills 2026-11-04, and took nothing in on that day" in done.stderr


def test_what_is_wrong_with_an_option_is_said(vendor: DirectoryBucket, tmp_path: Path) -> None:
    plant(vendor, tmp_path)
    done = invoice(vendor, "--month", "foo")
    assert done.returncode == 2
    assert "'foo' is no month: write 2026-11" in done.stderr
    done = invoice(vendor, "--month", "2026-11", "--tiers", "cheap")
    assert done.returncode == 2
    assert "'cheap' has no prices" in done.stderr
    nowhere = tmp_path / "no" / "folder.html"
    done = invoice(vendor, "--month", "2026-11", "--output", str(nowhere))
    assert (done.returncode, done.stdout) == (3, "")
    assert "cannot be written: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr
