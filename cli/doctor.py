"""`sluice doctor`: what is wrong with a stack, and what to do about it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dotenv import load_dotenv

from cli.up import Stack
from exporter.doctor.report import run_doctor


def examine_stack(*, env_file: Path | None, data: Path | None, tells: bool) -> int:
    """Print each step; 1 when one has failed. `data` is a folder that `sluice up` runs."""
    if env_file is not None and not load_dotenv(env_file):
        sys.exit(f"{env_file} is missing or empty.")
    if data is None:
        return run_doctor(os.environ, tells=tells)
    stack = Stack(data=data.absolute(), port=0)
    return run_doctor(stack.environment_of("exporter"), tells=tells)
