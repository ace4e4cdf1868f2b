"""`sluice doctor`: what is wrong with a stack, and what to do about it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from cli.arguments import load_settings
from cli.up import Stack
from exporter.doctor import report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("--env-file", type=Path, help="settings, as in .env.example")
    parser.add_argument("--data", type=Path, help="examine what `sluice up --data` runs")
    report.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print each step; 1 when one has failed."""
    load_settings(arguments.env_file)
    if arguments.data is None:
        return report.run_doctor(os.environ, tells=arguments.tell)
    stack = Stack(data=arguments.data.absolute(), port=0)
    return report.run_doctor(stack.environment_of("exporter"), tells=arguments.tell)
