"""`sluice invoice`: what a month costs, from the signed receipts in the vendor's bucket."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cli.arguments import told
from core.clock import utc_now
from core.keys import owner_key
from exporter.invoice.bill import Bill, InvoiceRefused, bill_client
from exporter.invoice.invoice import make_invoice
from exporter.invoice.month import parse_month
from exporter.invoice.prices import DEFAULT_TIERS, parse_tiers
from exporter.invoice.render import render_csv, render_html, render_json, render_text
from exporter.sinks.open import open_bucket
from exporter.sinks.sink import Bucket, SinkError

EXIT_REFUSED: Final = 1
EXIT_UNUSABLE: Final = 3
EXIT_INCOMPLETE: Final = 4

_FORMATS: Final[dict[str, Callable[..., str]]] = {
    "text": render_text, "csv": render_csv, "json": render_json, "html": render_html
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.description = (
        "Verify the month's receipts and bill what they bill. Exit codes: 0 done; 1 the receipts"
        " do not hold; 2 wrong usage; 3 the bucket cannot be read, or FILE not written; 4 the month"
        " is not covered yet."
    )
    parser.add_argument("bucket", help="the vendor's, by name, or file:///a/folder")
    parser.add_argument("--month", required=True, type=told(parse_month), help="2026-11, in UTC")
    parser.add_argument(
        "--client", action="append", metavar="CLIENT_ID", help="all when left out; may be repeated"
    )
    parser.add_argument("--prefix", default="clients", help="where the clients' folders stand")
    price = parser.add_mutually_exclusive_group()
    price.add_argument(
        "--price", type=told(parse_tiers), help="for 1,000 events; 0.01 when left out"
    )
    price.add_argument("--tiers", type=told(parse_tiers), help="0:0.01,10000000:0.008")
    parser.add_argument("--currency", default="USD")
    parser.add_argument("--format", choices=_FORMATS, default="text")
    parser.add_argument("--output", type=Path, metavar="FILE", help="instead of the terminal")
    parser.add_argument(
        "--allow-incomplete", action="store_true", help="the receipts do not cover the whole month"
    )
    parser.add_argument("--key", help="id of a key that you know to be the stack's (one client)")
    parser.add_argument("--region")
    parser.add_argument("--endpoint-url", help="for MinIO, R2 and the like")


def run(arguments: argparse.Namespace) -> int:
    """Print or write the invoice, and return the exit code."""
    bucket = open_bucket(
        arguments.bucket, region=arguments.region, endpoint_url=arguments.endpoint_url
    )
    problems: list[str] = []
    bills: list[Bill] = []
    try:
        prefixes = _prefixes(bucket, arguments.prefix.strip("/"), arguments.client)
        for prefix in prefixes:
            try:
                bills.append(
                    bill_client(bucket, prefix, arguments.month, trusted_key=arguments.key)
                )
            except InvoiceRefused as exc:
                problems += exc.problems
    except SinkError as exc:
        return _fail(EXIT_UNUSABLE, [f"The bucket cannot be read: {exc}"])
    if not prefixes:
        return _fail(EXIT_UNUSABLE, [f"No client's folder stands below {arguments.prefix}."])
    if problems:
        return _fail(EXIT_REFUSED, [*problems, "Nothing is billed: the receipts do not hold."])
    begun = [b for b in bills if b.begun_at is None or b.begun_at < arguments.month.end]
    incomplete = [bill for bill in begun if not bill.is_complete]
    if incomplete and not arguments.allow_incomplete:
        return _fail(EXIT_INCOMPLETE, [_explain(bill) for bill in incomplete])
    invoice = make_invoice(
        begun,
        month=arguments.month,
        tiers=arguments.tiers or arguments.price or DEFAULT_TIERS,
        currency=arguments.currency,
    )
    text = _FORMATS[arguments.format](invoice, now=utc_now())
    if arguments.output is None:
        sys.stdout.write(text)
        return 0
    try:
        arguments.output.write_text(text, encoding="utf-8", newline="")
    except OSError as exc:
        return _fail(EXIT_UNUSABLE, [f"{arguments.output} cannot be written: {exc.strerror}."])
    return 0


def _prefixes(bucket: Bucket, prefix: str, clients: list[str] | None) -> list[str]:
    if clients:
        return [f"{prefix}/{client}" for client in dict.fromkeys(clients)]
    if bucket.get(owner_key(prefix)) is not None:
        return [prefix]  # METERING_PREFIX of one stack
    return [f"{prefix}/{name}" for name in bucket.list_folders(prefix)]


def _explain(bill: Bill) -> str:
    until = f"until {bill.covered_until:%Y-%m-%d %H:%M} UTC" if bill.covered_until else "not at all"
    return (
        f"{bill.client_id}: the month is covered {until}. Its last hours may still be on their way;"
        " --allow-incomplete bills what is there, and marks it."
    )


def _fail(code: int, lines: list[str]) -> int:
    for line in lines:
        print("".join(c if c.isprintable() else repr(c)[1:-1] for c in line), file=sys.stderr)
    return code
