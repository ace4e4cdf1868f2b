"""`python -m exporter.keys`: the keys that sign receipts, the next one, one for those lost.

Keys that are lost are replaced by what the client's bucket knows of them, by the exporter's own
settings.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from core.clock import utc_now
from core.keys import key_statement_key, key_statements_prefix, number_of_statement
from core.settings import SettingsError, read_settings
from core.signing import SigningKeyError, make_key, read_keys, replace_lost_keys
from exporter.receipts import BILLED_SINK
from exporter.settings import ExporterSettings
from exporter.sinks.open import Sink, open_sinks
from exporter.sinks.sink import SinkError


def run_keys(arguments: argparse.Namespace) -> None:
    """Print number and id of each key, after making the next one. Raises SigningKeyError."""
    folder = arguments.dir or Path(os.environ.get("SIGNING_KEY_DIR") or "keys")
    if arguments.replace_lost:
        folder = _replace_lost(arguments.dir)
    elif arguments.new:
        make_key(folder, now=utc_now())
    for key in read_keys(folder):
        lost = "" if key.private else "  lost, and replaced"
        sys.stdout.write(f"{key.number}  {key.key_id}{lost}\n")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What both ways to call it take."""
    parser.add_argument("--dir", type=Path, help="SIGNING_KEY_DIR when left out, else ./keys")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--new", action="store_true", help="make the next one; restart the exporter")
    which.add_argument(
        "--replace-lost",
        action="store_true",
        help="the newest is lost for ever: make one that nobody vouches for; "
        "needs the exporter's settings; restart the exporter, and tell the client the new id",
    )


def _replace_lost(folder: Path | None) -> Path:
    try:
        settings = read_settings(ExporterSettings, os.environ)
        (sink,) = (sink for sink in open_sinks(settings) if sink.name == BILLED_SINK)
        announced = announced_keys(sink)
    except (SettingsError, SinkError) as exc:
        raise SigningKeyError(f"The client's bucket is asked which keys it knows: {exc}") from exc
    folder = folder or settings.signing_key_dir
    replace_lost_keys(folder, announced, now=utc_now())
    return folder


def announced_keys(sink: Sink) -> list[bytes]:
    """The statements that a bucket has, in order."""
    keys = sink.bucket.list_keys(key_statements_prefix(sink.prefix))
    ours = (k for k in keys if (n := number_of_statement(k)) and k == _key_of(sink, n))
    return [sink.bucket.get(key) or b"" for key in ours]


def _key_of(sink: Sink, number: int) -> str:
    return key_statement_key(sink.prefix, number)


def main() -> None:
    """For the exporter's image, which has no `sluice`."""
    parser = argparse.ArgumentParser(prog="python -m exporter.keys", description=__doc__)
    add_arguments(parser)
    try:
        run_keys(parser.parse_args())
    except SigningKeyError as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
