"""`python -m exporter.keys`: the keys that sign receipts, and the next one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from core.clock import utc_now
from core.signing import SigningKeyError, make_key, read_keys


def run_keys(folder: Path, *, makes_new: bool) -> None:
    """Print number and id of each key, after making the next one. Raises SigningKeyError."""
    if makes_new:
        make_key(folder, now=utc_now())
    for key in read_keys(folder):
        sys.stdout.write(f"{key.number}  {key.key_id}\n")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What both ways to call it take."""
    parser.add_argument("--dir", type=Path, default=Path("keys"), help="SIGNING_KEY_DIR")
    parser.add_argument(
        "--new", action="store_true", help="make the next one; restart the exporter"
    )


def main() -> None:
    """For the exporter's image, which has no `sluice`."""
    parser = argparse.ArgumentParser(prog="python -m exporter.keys", description=__doc__)
    add_arguments(parser)
    arguments = parser.parse_args()
    try:
        run_keys(arguments.dir, makes_new=arguments.new)
    except SigningKeyError as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
