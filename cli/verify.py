"""`sluice verify`: hold a bucket against its signed receipts."""

from __future__ import annotations

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


def run_verify(
    address: str,
    *,
    prefix: str,
    region: str | None,
    endpoint_url: str | None,
    trusted_key: str | None,
    known_receipt: str | None,
    is_metering: bool,
    is_verbose: bool,
) -> None:
    """Print what holds and what does not; raises VerificationFailed."""
    bucket = open_bucket(address, region=region, endpoint_url=endpoint_url)
    failed = segments = 0
    shows_progress = sys.stderr.isatty() and not is_verbose
    shown_at = 0.0
    try:
        for finding in verify_bucket(
            bucket,
            prefix,
            now=utc_now(),
            sink="metering" if is_metering else BILLED_SINK,
            trusted_key=trusted_key,
            known_receipt=known_receipt,
        ):
            failed += not finding.holds
            segments += finding.is_segment
            if not finding.holds:
                print(f"FAILED  {printable(finding.what)}", flush=True)
            elif is_verbose or not finding.is_segment:
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
