"""What commands take: values that are told with their own text when they are none, settings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dotenv import load_dotenv

Value = TypeVar("Value")


def told(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """For `type=`: of a ValueError argparse keeps nothing but the function's name."""

    def parse_told(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from exc

    return parse_told


def load_settings(env_file: Path | None) -> None:
    """Take the file's settings into the environment; exits when there are none in it."""
    if env_file is not None and not load_dotenv(env_file):
        sys.exit(f"{env_file} is missing or empty.")
