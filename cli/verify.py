"""`sluice verify`: hold a bucket against its signed receipts."""

from __future__ import annotations

import argparse
import sys
import time

from core.clock import utc_now
from core.printable import printable
from exporter.receipts import BILLED_SINK
from exporter.sinks.open import open_bucket
from exporter.sinks.sink import SinkError
from exporter.verify import verify_bucket

_SHOW_EVERY_SECONDS = 0.5


class VerificationFailed(Exception):
    """Something does not hold, or the bucket cannot be read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument(
        "bucket", help="a bucket's name, or file:///a/folder; read access is enough"
    )
    parser.add_argument(
        "--prefix", default="analytics", help="clients/CLIENT_ID in the vendor's bucket"
    )
    parser.add_argument("--region")
    parser.add_argument("--endpoint-url", help="for MinIO, R2 and the like")
    parser.add_argument("--key", help="id of a key that you know to be the stack's")
    parser.add_argument(
        "--receipt", metavar="SHA256", help="of a receipt that you know: it has to be in the chain"
    )
    parser.add_argument(
        "--metering", action="store_true", help="it is the vendor's bucket, with usage records"
    )
    parser.add_argument("--verbose", action="store_true", help="print every segment")


def run(arguments: argparse.Namespace) -> str | None:
    """Print what holds and what does not; says what that comes to, if not all is well."""
    try:
        _verify(arguments)
    except VerificationFailed as exc:
        return str(exc)
    return None


def _verify(arguments: argparse.Namespace) -> None:
    """Print what holds and what does not; raises VerificationFailed."""
    bucket = open_bucket(
        arguments.bucket, region=arguments.region, endpoint_url=arguments.endpoint_url
    )
    failed = segments = 0
    shows_progress = sys.stderr.isatty() and not arguments.verbose
    shown_at = 0.0
    try:
        for finding in verify_bucket(
            bucket,
            arguments.prefix.strip("/"),
            now=utc_now(),
            sink="metering" if arguments.metering else BILLED_SINK,
            trusted_key=arguments.key,
            known_receipt=arguments.receipt,
        ):
            failed += not finding.holds
            segments += finding.is_segment
            if not finding.holds:
                print(f"FAILED  {printable(finding.what)}", flush=True)
            elif arguments.verbose or not finding.is_segment:
                print(f"holds   {printable(finding.what)}", flush=True)
            elif shows_progress and time.monotonic() > shown_at + _SHOW_EVERY_SECONDS:
                shown_at = time.monotonic()
                print(f"\r{segments:,} segments hold …", end="", file=sys.stderr, flush=True)
    except SinkError as exc:
        raise VerificationFailed(f"The bucket cannot be read: {exc}") from exc
    except OSError as exc:
        raise VerificationFailed(f"This machine cannot keep what is read: {exc}") from exc
    if shows_progress:
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    print(f"{segments:,} segments hold, {failed:,} things do not.")
    if failed:
        raise VerificationFailed("The bucket does not hold what its receipts say.")
