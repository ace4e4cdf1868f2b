"""What the exporter does beside its deliveries, on threads of its own: none waits for it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Final

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.base import BaseScheduler

from exporter.sink_tests import carry_out_tests
from exporter.steps import Exporter

_LOOK_EVERY: Final = timedelta(seconds=1)


def schedule_aside(scheduler: BaseScheduler, exporter: Exporter) -> None:
    """Wiring only, as in `exporter.__main__`."""
    scheduler.add_executor(ThreadPoolExecutor(3), alias="aside")
    carry_out = partial(
        carry_out_tests, exporter.engine, exporter.settings, stopping=exporter.stopping
    )
    scheduler.add_job(
        carry_out,
        "interval",
        seconds=_LOOK_EVERY.total_seconds(),
        id="test sinks",
        executor="aside",
    )
