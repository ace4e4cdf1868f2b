"""Examine one sink, from its name on the network to what it must not allow."""

from __future__ import annotations

from collections.abc import Iterator

from core.clock import Clock, utc_now
from exporter.doctor.bucket import BucketChecks
from exporter.doctor.check import CHECK_SECONDS, Check, Finding, run_checks
from exporter.doctor.denied import DeniedChecks
from exporter.doctor.folder import FolderChecks
from exporter.doctor.network import Way
from exporter.doctor.target import Target


def checks_of(target: Target, *, clock: Clock = utc_now) -> list[Check]:
    """The steps for a sink, in order; their names are the same for S3 and for a folder."""
    if target.client is None:
        return FolderChecks(target).checks()
    return [
        *Way.to(target.client.meta.endpoint_url).checks(),
        *BucketChecks(target, clock=clock).checks(),
        *DeniedChecks(target).checks(),
    ]


def examine_sink(
    target: Target, *, clock: Clock = utc_now, seconds: float = CHECK_SECONDS
) -> Iterator[Finding]:
    """Take every step; safe to do at any time, beside deliveries too."""
    return run_checks(checks_of(target, clock=clock), seconds=seconds)
