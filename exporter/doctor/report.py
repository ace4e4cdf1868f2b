"""`sluice doctor`: examine a stack from its settings, and print each step with its remedy."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Mapping

from botocore.exceptions import BotoCoreError

from core.printable import printable
from core.settings import SettingsError, read_settings
from database.engine import sync_engine
from exporter.doctor.channels import ChannelChecks
from exporter.doctor.check import Finding, Outcome, run_checks
from exporter.doctor.probe import examine_sink
from exporter.doctor.stack import StackChecks
from exporter.doctor.target import targets_of
from exporter.settings import ExporterSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What both ways to call it take."""
    parser.add_argument(
        "--tell", action="store_true", help="send a test message to those whom alerts are told"
    )


def run_doctor(environment: Mapping[str, str], *, tells: bool = False) -> int:
    """Print what every step came to; 1 when one has failed, else 0.

    With `tells` a test message is sent to those whom alerts are told.
    """
    counts: Counter[Outcome] = Counter()

    def show(findings: Iterable[Finding]) -> None:
        for finding in findings:
            counts[finding.outcome] += 1
            _print(finding)

    try:
        settings = read_settings(ExporterSettings, environment)
    except SettingsError as exc:
        for problem in exc.problems:
            show([Finding("settings", Outcome.FAILED, problem, _SETTINGS_REMEDY)])
        return _conclude(counts)
    show([Finding("settings", Outcome.PASSED, f"client {settings.client_id}")])
    engine = sync_engine(settings.database_url, application_name="sluice doctor")
    try:
        show(run_checks(StackChecks(settings, engine).checks()))
        show(run_checks(ChannelChecks(settings, tells=tells).checks(), seconds=35))
    finally:
        engine.dispose()
    try:
        targets = targets_of(settings)
    except (ValueError, BotoCoreError) as exc:
        show([Finding("buckets", Outcome.FAILED, str(exc), "Correct it in the settings.")])
        return _conclude(counts)
    for target in targets:
        sys.stdout.write(f"\nSink {target.sink.name}: {target.address}\n")
        show(examine_sink(target))
    return _conclude(counts)


_SETTINGS_REMEDY = (
    "Every setting is described in .env.example. With compose DATABASE_URL and others are set"
    " inside: docker compose exec exporter python -m exporter.doctor."
)


def _print(finding: Finding) -> None:
    sys.stdout.write(f"{finding.outcome:<7}  {finding.step}: {printable(finding.seen)}\n")
    if finding.remedy:
        sys.stdout.write(f"         → {printable(finding.remedy)}\n")
    sys.stdout.flush()


def _conclude(counts: Counter[Outcome]) -> int:
    failed = counts[Outcome.FAILED]
    sys.stdout.write(
        f"\n{counts[Outcome.PASSED]} passed, {failed} failed, {counts[Outcome.SKIPPED]} skipped.\n"
    )
    return 1 if failed else 0
