"""`sluice keys`: the keys that sign receipts."""

from __future__ import annotations

import argparse

from core.signing import SigningKeyError
from exporter.keys import add_arguments, run_keys

__all__ = ["add_arguments", "run"]


def run(arguments: argparse.Namespace) -> str | None:
    """Print number and id of each key; says what is wrong with them."""
    try:
        run_keys(arguments)
    except SigningKeyError as exc:
        return str(exc)
    return None
