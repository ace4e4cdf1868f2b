"""`sluice pull`: a verified copy of a bucket in a folder, kept up to date."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from cli.arguments import told
from exporter.reading import BucketDamaged, Progress, Pulled, PullError, pull
from exporter.sinks.open import open_bucket

EXIT_DAMAGED = 1
EXIT_UNUSABLE = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.description = (
        "Fetch what the bucket has and the folder has not. Exit codes: 0 done; 1 something in the"
        " bucket is missing or changed; 2 wrong usage; 3 the bucket or the folder cannot be used."
        " Whatever the end, run it again to go on."
    )
    parser.add_argument(
        "bucket", help="a bucket's name, or file:///a/folder; read access is enough"
    )
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="where to")
    moment = told(parse_moment)
    parser.add_argument("--from", dest="from_", type=moment, metavar="TIME", help=_TIME_HELP)
    parser.add_argument("--to", type=moment, metavar="TIME", help="received before it")
    parser.add_argument(
        "--site", action="append", metavar="SITE_ID", help="only this one; may be repeated"
    )
    parser.add_argument("--dataset", action="append", help="events when left out; may be repeated")
    parser.add_argument(
        "--prefix", default="analytics", help="clients/CLIENT_ID in the vendor's bucket"
    )
    parser.add_argument("--region")
    parser.add_argument("--endpoint-url", help="for MinIO, R2 and the like")


_TIME_HELP = "received then or later: 2026-11-01, 2026-11-01T12:00Z; UTC where no zone is said"


def run(arguments: argparse.Namespace) -> int:
    """Pull, say what came, and return the exit code."""
    bucket = open_bucket(
        arguments.bucket, region=arguments.region, endpoint_url=arguments.endpoint_url
    )
    # None: only where somebody sees it.
    with tqdm(unit=" windows", disable=None, leave=False, dynamic_ncols=True) as bar:
        try:
            pulled = pull(
                bucket,
                arguments.into,
                prefix=arguments.prefix.strip("/"),
                from_=arguments.from_,
                to=arguments.to,
                datasets=arguments.dataset,
                sites=arguments.site,
                on_progress=lambda progress: _show(bar, progress),
            )
        except PullError as exc:
            bar.close()
            print(f"{exc}\nWhat was pulled before is kept.", file=sys.stderr)
            return EXIT_DAMAGED if isinstance(exc, BucketDamaged) else EXIT_UNUSABLE
        except KeyboardInterrupt:
            bar.close()
            print("Stopped. What was pulled is kept; run it again to go on.", file=sys.stderr)
            return 130
    print(describe(pulled, to=arguments.to))
    return 0


def describe(pulled: Pulled, *, to: datetime | None) -> str:
    """What came, and up to when everything is here."""
    if pulled.until is None:
        return "Nothing is there yet for that time."
    came = (
        f"{pulled.objects:,} files with {pulled.rows:,} events of {pulled.segments:,} windows"
        f" ({pulled.bytes:,} bytes downloaded)"
        if pulled.segments
        else "Nothing new"
    )
    until = pulled.until if to is None else min(pulled.until, to)
    later = " The rest is not delivered yet." if to is not None and pulled.until < to else ""
    return (
        f"{came}. Everything received before {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        f" is here.{later}"
    )


def parse_moment(text: str) -> datetime:
    """A day or a time, in UTC where it says no zone; raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        what = f"{text!r} is no time: write 2026-11-01 or 2026-11-01T12:00Z"
        raise ValueError(what) from exc
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _show(bar: tqdm, progress: Progress) -> None:
    bar.total = progress.of_segments
    bar.set_postfix_str(
        f"{progress.objects:,} files, {progress.bytes / 1e6:,.1f} MB", refresh=False
    )
    bar.update(progress.segments - bar.n)
