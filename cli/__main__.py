"""`sluice`: run a stack on this machine, hold a bucket against its receipts, derive files."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import Final

_COMMANDS: Final = {
    "up": "run the whole stack on this machine, without Docker",
    "contract": "derive schemas, types and docs",
    "verify": "hold a bucket against its signed receipts",
    "doctor": "what is wrong with a stack, and what to do",
    "export": "deliver a window once more, into a set of its own",
    "invoice": "what a month costs, from the signed receipts",
    "pull": "a verified copy of a bucket in a folder, kept up to date",
    "schema": "ready DDL for an engine",
    "tag": "the script tag for a site's pages",
    "keys": "the keys that sign receipts",
}
"""Each a module here, which says what it takes (`add_arguments`) and does it (`run`)."""


def main() -> None:
    """Parse the command line and do what it says; exits with what the command's `run` returns."""
    parser = argparse.ArgumentParser(prog="sluice", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    modules = {}
    for name, about in _COMMANDS.items():
        command = commands.add_parser(name, help=about)
        # No other: together they take two seconds to import, pandas and boto3 among them.
        if name in sys.argv[1:2]:
            modules[name] = import_module(f"cli.{name}")
            modules[name].add_arguments(command)
    arguments = parser.parse_args()
    sys.exit(modules[arguments.command].run(arguments))


if __name__ == "__main__":
    main()
