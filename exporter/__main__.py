"""`python -m exporter`: seal, deliver and tidy up on a schedule, until told to stop."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from sqlalchemy import Connection, Engine, text

from core.clock import utc_now
from core.garbage import collect_seldom
from core.processes import say_ready
from core.settings import SettingsError, read_settings
from core.signing import SigningKeyError
from core.telemetry import configure_logging
from database.engine import sync_engine
from database.fence import EXPORTER_KEY
from exporter.aside import schedule_aside
from exporter.memory import settle_memory
from exporter.settings import ExporterSettings
from exporter.sinks.open import open_sinks
from exporter.steps import Exporter

log = logging.getLogger("sluice.exporter")

_LOOK_EVERY = timedelta(seconds=1)
_TIDY_EVERY = timedelta(seconds=10)
_COUNT_EVERY = timedelta(hours=1)


def schedule(exporter: Exporter) -> BlockingScheduler:
    """Wiring only: every job is a step, runs at most once at a time, and is tried again."""
    scheduler = BlockingScheduler(
        timezone="UTC",
        # Threads for each sink, so that a slow one holds up no other.
        executors={"default": ThreadPoolExecutor(3 * len(exporter.sinks) + 4)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )

    def every(interval: timedelta, step: Callable[[], None], name: str) -> None:
        scheduler.add_job(step, "interval", seconds=interval.total_seconds(), id=name, name=name)

    every(_LOOK_EVERY, exporter.seal_if_due, "seal")
    every(_LOOK_EVERY, exporter.deduplicate_sealed, "deduplicate")
    for sink in exporter.sinks:
        every(_LOOK_EVERY, partial(exporter.deliver, sink), f"deliver to {sink.name}")
        every(_LOOK_EVERY, partial(exporter.put_receipts, sink), f"receipts to {sink.name}")
        every(_TIDY_EVERY, partial(exporter.sweep, sink), f"sweep {sink.name}")
        every(_TIDY_EVERY, partial(exporter.describe, sink), f"describe {sink.name}")
    every(_LOOK_EVERY, exporter.backfill, "backfill")
    every(_TIDY_EVERY, exporter.drop_expired, "drop expired")
    every(_TIDY_EVERY * 6, exporter.forget_letters, "forget dead letters")
    every(_TIDY_EVERY * 6, exporter.forget_recordings, "forget recordings")
    every(_TIDY_EVERY / 2, exporter.say_state, "heartbeat")
    every(_COUNT_EVERY, exporter.watch_files, "count files")
    schedule_aside(scheduler, exporter)
    scheduler.add_listener(_log_failure, EVENT_JOB_ERROR)
    return scheduler


def _log_failure(event: JobExecutionEvent) -> None:
    log.warning(
        "step failed; it is tried again",
        extra={"step": event.job_id, "error": str(event.exception)},
    )


def take_exporter_lock(engine: Engine, *, wait_seconds: float = 60) -> Connection:
    """Be the only exporter of this database, for as long as the connection lives."""
    deadline = time.monotonic() + wait_seconds
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    while not connection.execute(
        text("SELECT pg_try_advisory_lock(:key)"), {"key": EXPORTER_KEY}
    ).scalar_one():
        if time.monotonic() > deadline:
            connection.close()
            sys.exit("Another exporter works on this database. There can only be one: stop it.")
        time.sleep(0.5)
    return connection


def main() -> None:
    """Read the settings, then run until SIGTERM or SIGINT."""
    try:
        settings = read_settings(ExporterSettings, os.environ)
    except SettingsError as exc:
        sys.exit(str(exc))
    configure_logging(settings.log_level, file=settings.log_file)
    settle_memory()
    engine = sync_engine(settings.database_url, application_name="sluice exporter")
    lock = take_exporter_lock(engine)
    try:
        exporter = Exporter(
            settings=settings, engine=engine, sinks=open_sinks(settings), clock=utc_now
        )
    except SigningKeyError as exc:
        sys.exit(str(exc))
    exporter.recover()
    exporter.watch_files()
    exporter.say_state()
    scheduler = schedule(exporter)

    def check_lock() -> None:
        # With the connection the lock is gone, and another exporter may have taken it.
        try:
            lock.execute(text("SELECT 1"))
        except Exception:
            log.exception("lost the exporter's lock: stopping")
            os._exit(1)

    scheduler.add_job(check_lock, "interval", seconds=2, id="lock")

    def stop(*_: object) -> None:
        exporter.stopping.set()
        scheduler.shutdown(wait=False)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    collect_seldom()
    say_ready()
    scheduler.start()
    log.info("exporter stopped")


if __name__ == "__main__":
    main()
