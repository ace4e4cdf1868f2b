"""Examine the sinks that somebody asked to have tested: `POST /export/sinks/{sink}/test`.

In order: note that the test has begun, take the steps and keep each as it ends, note that it is
finished. A crash in between leaves an unfinished test, which the next call begins again from its
first step: every step may be taken twice.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from threading import Event
from typing import Any

from sqlalchemy import Engine

from database.sink_tests import begin_test, next_test, note_steps
from exporter.doctor.check import Finding, Outcome
from exporter.doctor.probe import examine_sink
from exporter.doctor.target import Target, targets_of
from exporter.settings import ExporterSettings

log = logging.getLogger("sluice.exporter")


def carry_out_tests(engine: Engine, settings: ExporterSettings, *, stopping: Event) -> None:
    """Carry out the tests that wait, the oldest first."""
    with engine.connect() as connection:
        while not stopping.is_set() and (waiting := next_test(connection)) is not None:
            connection.rollback()
            test_id, sink = waiting
            begin_test(connection, test_id)
            steps: list[dict[str, Any]] = []
            target = _target_named(settings, sink)
            for finding in examine_sink(target) if target else [_unknown(sink)]:
                if stopping.is_set():
                    return
                steps.append(asdict(finding))
                note_steps(connection, test_id, steps, is_finished=False)
            note_steps(connection, test_id, steps, is_finished=True)
            failed = [step["step"] for step in steps if step["outcome"] == Outcome.FAILED]
            log.info("sink tested", extra={"sink": sink, "failed": failed})


def _target_named(settings: ExporterSettings, sink: str) -> Target | None:
    return next((t for t in targets_of(settings) if t.sink.name == sink), None)


def _unknown(sink: str) -> Finding:
    return Finding("settings", Outcome.FAILED, f"there is no sink {sink}", "Ask for another.")
