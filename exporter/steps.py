"""The exporter's steps, each a plain function that the schedule calls again and again.

Every step looks in the database for what there is to do, does it, and notes it there: whichever
step a crash interrupts, the next call finds its work.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event, Lock

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from core.clock import Clock
from core.event_id import make_event_id
from core.manifest import Owner
from core.settings import masked
from core.signing import SigningKey, make_key, read_keys
from database.backfills import Backfill, fail_backfill, next_backfill, retry_backfill
from database.circuits import is_paused, know_sinks
from database.deliveries import (
    PendingDelivery,
    mark_failed,
    next_delivery,
    read_stack_id,
    resume_deliveries,
    say_exporter_state,
)
from database.planned_objects import try_orphans_again
from database.retention import forget_letters, forget_recordings
from database.segments import (
    FenceBusy,
    drop_segment,
    end_stale_writers,
    expired_segments,
    has_export_request,
    mark_exported,
    read_open_segment,
    read_shrinkage,
    seal_open_segment,
    segments_in_state,
)
from exporter.backfill import carry_out
from exporter.backfill_source import NoSource
from exporter.backoff import retry_after
from exporter.deduplicator import Deduplicator
from exporter.delivery import ConservationBroken, PrefixForeign, deliver_segment
from exporter.describe import describe_bucket
from exporter.disk_watch import DiskWatch
from exporter.file_watch import watch_files
from exporter.progress import Progress
from exporter.reading.problems import BucketDamaged
from exporter.receipts import ReceiptForeign, announce_keys, put_receipts
from exporter.settings import ExporterSettings
from exporter.sinks.open import Sink
from exporter.sinks.sink import SinkRefused
from exporter.staging import open_staging
from exporter.sweep import abort_uploads, is_ours, sweep_orphans

log = logging.getLogger("sluice.exporter")

_CLOCK_TOLERANCE = timedelta(minutes=1)
# Parquet of events takes this much of their JSON, until segments that were delivered tell.
_USUAL_SHRINKAGE = 0.1
_SHRINKAGE_KEPT = timedelta(minutes=1)
_STALE_WRITER = timedelta(seconds=30)


@dataclass
class Exporter:
    """What the steps share."""

    settings: ExporterSettings
    engine: Engine
    sinks: list[Sink]
    clock: Clock
    deduplicator: Deduplicator = field(init=False)
    started_at: datetime = field(init=False)
    monotonic: Callable[[], float] = time.monotonic
    """For waits: a step of the wall clock must not lengthen them."""
    keys: list[SigningKey] = field(init=False)
    """Those that sign receipts; the last one signs."""
    staging: Path | None = None
    """Where files wait on their way; None for the system's folder for such."""
    stopping: Event = field(default_factory=Event)
    _files_per_day: int | None = None
    _sealing: Lock = field(default_factory=Lock)
    # Sealing, dropping and a collector in mid-transaction would wait for each other in a ring.
    _partitions: Lock = field(default_factory=Lock)
    _fence_waits: int = 0
    _seal_not_before: float = 0.0
    _shrinkage: float = _USUAL_SHRINKAGE
    _shrinkage_not_before: float = 0.0
    _progress: dict[str, Progress] = field(default_factory=dict)
    _disk: DiskWatch = field(init=False)
    _longest_gap: timedelta = field(init=False)
    _tidied: set[str] = field(default_factory=set)
    _announced: set[str] = field(default_factory=set)
    _described: set[str] = field(default_factory=set)
    _receipt_failures: Counter[str] = field(default_factory=Counter)
    _receipts_not_before: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.deduplicator = Deduplicator(self.settings)
        self.started_at = self.clock()
        folder = self.settings.signing_key_dir
        self.keys = read_keys(folder) or [make_key(folder, now=self.started_at)]
        parent = self.settings.staging_dir or Path(tempfile.gettempdir())
        self._disk = DiskWatch(parent, monotonic=self.monotonic)
        self._longest_gap = self.settings.export_interval.longest_gap(self.started_at)

    def recover(self) -> None:
        """At start-up: learn the ids again, and try again what was interrupted or stopped."""
        with self.engine.connect() as connection:
            self.staging = open_staging(
                self.settings.staging_dir or Path(tempfile.gettempdir()), read_stack_id(connection)
            )
            self.deduplicator = Deduplicator(self.settings, self.staging)
            connection.rollback()
            know_sinks(connection, [sink.name for sink in self.sinks])
            resume_deliveries(connection, interrupted=True)
            try_orphans_again(connection)
            self.deduplicator.learn(connection)
        log.info("exporter started", extra={"remembered_ids": len(self.deduplicator.seen)})

    def seal_if_due(self) -> None:
        """Seal the open segment when it is old enough, large enough, or somebody asks for it."""
        if self.monotonic() < self._seal_not_before:
            return
        with self.engine.connect() as connection:
            open_segment = read_open_segment(connection)
            trigger = self._due(
                opened_at=open_segment.opened_at,
                rows=open_segment.rows,
                object_bytes=open_segment.largest_bytes * self._learn_shrinkage(connection),
                requested=has_export_request(connection),
            )
            connection.rollback()
            if trigger is None:
                return
            try:
                with self._partitions:
                    sealed = seal_open_segment(
                        connection,
                        sinks=[sink.name for sink in self.sinks],
                        trigger=trigger,
                        run_id=make_event_id(),
                    )
            except FenceBusy:
                self._make_way(connection)
                return
            self._fence_waits = 0
            if trigger == "manual":  # somebody may have mended a stopped sink
                resume_deliveries(connection, interrupted=False)
        log.info("segment sealed", extra={"segment_id": sealed.segment_id, "trigger": trigger})
        self.deduplicate_sealed()

    def _make_way(self, connection: Connection) -> None:
        """Wait longer and longer, since writers wait meanwhile, and end a writer that is stuck."""
        connection.rollback()
        ended = end_stale_writers(connection, older_than=_STALE_WRITER)
        self._fence_waits += 1
        wait = min(2**self._fence_waits, _STALE_WRITER.total_seconds())
        self._seal_not_before = self.monotonic() + wait
        log.warning("a writer holds the fence", extra={"ended": ended, "retry_in_seconds": wait})

    def _learn_shrinkage(self, connection: Connection) -> float:
        """How much smaller objects are than what they are made of, by what was delivered."""
        if self.monotonic() >= self._shrinkage_not_before:
            client = self.sinks[0].name
            self._shrinkage = read_shrinkage(connection, client) or _USUAL_SHRINKAGE
            self._shrinkage_not_before = self.monotonic() + _SHRINKAGE_KEPT.total_seconds()
        return self._shrinkage

    def _due(
        self, *, opened_at: datetime, rows: int, object_bytes: float, requested: bool
    ) -> str | None:
        if requested:
            return "manual"
        settings = self.settings
        if rows >= settings.segment_max_rows or object_bytes >= settings.target_object_bytes:
            return "size"
        now = self.clock()
        # A segment from the future: the clock was wrong, and has been set.
        if now < opened_at - _CLOCK_TOLERANCE:
            return "schedule"
        return "schedule" if now >= settings.export_interval.next_after(opened_at) else None

    def deduplicate_sealed(self) -> None:
        """Decide, in order, which rows of each sealed segment are duplicates."""
        with self._sealing, self.engine.connect() as connection:
            waiting = segments_in_state(connection, "sealed")
            self.deduplicator.decide(connection, waiting, self.stopping.is_set)

    def deliver(self, sink: Sink) -> None:
        """Deliver to one sink everything whose time has come, in order."""
        with self.engine.connect() as connection:
            while not self.stopping.is_set():
                delivery = next_delivery(connection, sink.name)
                connection.rollback()
                if delivery is None or not self._attempt(connection, delivery, sink):
                    break
            mark_exported(connection)

    def _attempt(self, connection: Connection, delivery: PendingDelivery, sink: Sink) -> bool:
        try:
            deliver_segment(
                connection,
                delivery,
                sink=sink,
                settings=self.settings,
                signing_keys=self.keys,
                announce_key=partial(self._announce, sink),
                progress=self._begin_progress(delivery),
                staging=self.staging,
            )
        except (SinkRefused, ConservationBroken, PrefixForeign, ReceiptForeign) as exc:
            log.error("sink stopped", extra=_facts(delivery, exc))  # noqa: TRY400 - no trace needed
            connection.rollback()
            self._mark_failed(connection, delivery, error=str(exc), stopped=True)
            return False
        except Exception as exc:
            # Transient, or not known to be permanent: the data is kept and it is tried again.
            log.warning("delivery failed", extra=_facts(delivery, exc), exc_info=True)
            connection.rollback()
            if self.stopping.is_set():  # what fails then fails for that; the next start goes on
                return False
            error = f"{type(exc).__name__}: {exc}"
            self._mark_failed(connection, delivery, error=error, stopped=False)
            return False
        finally:
            self._progress.pop(sink.name, None)
        return True

    def _begin_progress(self, delivery: PendingDelivery) -> Progress:
        progress = self._progress[delivery.sink] = Progress(delivery.segment_id, self.clock)
        return progress

    def _mark_failed(
        self, connection: Connection, delivery: PendingDelivery, *, error: str, stopped: bool
    ) -> None:
        mark_failed(
            connection,
            delivery,
            error=error,
            retry_in=self._retry_after(delivery.attempts),
            probe_in=self.settings.probe_interval,
            stopped=stopped,
        )

    def _retry_after(self, attempts: int) -> timedelta:
        return retry_after(
            attempts, first=self.settings.retry_first, longest=self.settings.retry_longest
        )

    def put_receipts(self, sink: Sink) -> None:
        """Put the receipts that a sink lacks, and the keys that they are signed with."""
        if self.monotonic() < self._receipts_not_before.get(sink.name, 0.0):
            return
        try:
            with self.engine.connect() as connection:
                if is_paused(connection, sink.name):
                    return
                connection.rollback()
                self._announce(sink)
                put_receipts(connection, sink)
        except Exception as exc:
            attempts = self._receipt_failures[sink.name]
            self._receipt_failures[sink.name] += 1
            wait = self._retry_after(attempts).total_seconds()
            self._receipts_not_before[sink.name] = self.monotonic() + wait
            log.warning(
                "receipts could not be put",
                extra={"sink": sink.name, "error": f"{type(exc).__name__}: {exc}"},
            )
        else:
            self._receipt_failures[sink.name] = 0

    def _announce(self, sink: Sink) -> None:
        if sink.name not in self._announced:
            announce_keys(sink, self.keys)
            self._announced.add(sink.name)

    def sweep(self, sink: Sink) -> None:
        """Remove what no manifest lists, and once, what this process's predecessors left."""
        with self.engine.connect() as connection:
            is_held_back = is_paused(connection, sink.name)
            owner = Owner(read_stack_id(connection), self.settings.client_id)
            connection.rollback()
            if is_held_back or not is_ours(sink, owner):
                return
            if sink.name not in self._tidied:
                abort_uploads(sink, before=self.started_at)
                self._tidied.add(sink.name)
            sweep_orphans(connection, sink)

    def describe(self, sink: Sink) -> None:
        """Say in a bucket what stands there, once after each start, when it is ours."""
        if sink.name in self._described:
            return
        with self.engine.connect() as connection:
            owner = Owner(read_stack_id(connection), self.settings.client_id)
        if describe_bucket(sink, owner, self.settings):
            self._described.add(sink.name)

    def backfill(self) -> None:
        """Go on with the oldest backfill that is not done."""
        with self.engine.connect() as connection:
            wanted = next_backfill(connection)
            connection.rollback()
            if wanted is not None:
                self._backfill(connection, wanted)

    def _backfill(self, connection: Connection, wanted: Backfill) -> None:
        named = {sink.name: sink for sink in self.sinks}
        facts: dict[str, object] = {"backfill_id": str(wanted.backfill_id)}
        try:
            carry_out(
                connection,
                wanted,
                sink=named[wanted.sink],
                metering=named["metering"],
                settings=self.settings,
                staging=self.staging,
                is_stopping=self.stopping.is_set,
            )
        except (SinkRefused, NoSource, BucketDamaged, ConservationBroken, PrefixForeign) as exc:
            log.error("backfill failed", extra=facts | {"error": str(exc)})  # noqa: TRY400
            connection.rollback()
            fail_backfill(connection, wanted.backfill_id, str(exc))
        except Exception as exc:
            log.warning("backfill is tried again", extra=facts, exc_info=True)
            connection.rollback()
            retry_backfill(
                connection,
                wanted.backfill_id,
                error=f"{type(exc).__name__}: {exc}",
                retry_in=self._retry_after(wanted.attempts),
            )

    def drop_expired(self) -> None:
        """Drop the segments that every sink has had for long enough."""
        with self.engine.connect() as connection:
            expired = expired_segments(connection, self.settings.buffer_retention)
            connection.rollback()
            for segment_id in expired:
                try:
                    with self._partitions:
                        drop_segment(connection, segment_id)
                except OperationalError as exc:  # somebody reads it, a backfill for example
                    facts = {"segment_id": segment_id, "error": str(exc.orig)}
                    log.info("segment not dropped yet", extra=facts)
                else:
                    log.info("segment dropped", extra={"segment_id": segment_id})

    def forget_letters(self) -> None:
        """Delete the dead letters that are too old, or too many."""
        settings = self.settings
        # What is sealed is decided with the same lock: none of its letters goes in the middle.
        with self._sealing, self.engine.connect() as connection:
            forgotten = forget_letters(
                connection,
                before=self.clock() - settings.dead_letter_retention,
                kept=settings.max_dead_letters,
            )
        if forgotten:
            log.info("dead letters forgotten", extra={"letters": forgotten})

    def forget_recordings(self) -> None:
        """Forget what repeats of chunks are told by, as long after them as repeats of events."""
        with self.engine.connect() as connection:
            forget_recordings(connection, before=self.clock() - self.settings.dedup_window)

    def say_state(self) -> None:
        """Leave the heartbeat."""
        with self.engine.connect() as connection:
            opened_at = read_open_segment(connection).opened_at
            connection.rollback()
            say_exporter_state(
                connection,
                started_at=self.started_at,
                next_seal_at=self.settings.export_interval.next_after(opened_at),
                config=self._shown_settings(),
                seen=self._what_is_seen(),
            )

    def watch_files(self) -> None:
        """Learn how many files a day the template makes; the log warns of too many."""
        with self.engine.connect() as connection:
            self._files_per_day = watch_files(connection, self.settings)
            connection.rollback()

    def _what_is_seen(self) -> dict[str, object]:
        under_way = {name: progress.shown() for name, progress in list(self._progress.items())}
        try:
            disk = asdict(self._disk.look())
        except OSError:
            log.warning("the staging folder is gone", exc_info=True)
            disk = None
        return {"disk": disk, "progress": under_way, "files_per_day": self._files_per_day}

    def _shown_settings(self) -> dict[str, object]:
        shown: dict[str, object] = dict(masked(self.settings))
        shown["sinks"] = [
            {"sink": s.name, "prefix": s.prefix, "datasets": sorted(s.datasets)} for s in self.sinks
        ]
        shown["export_interval_seconds"] = self._longest_gap.total_seconds()
        return shown


def _facts(delivery: PendingDelivery, exc: Exception) -> dict[str, object]:
    return {
        "segment_id": delivery.segment_id,
        "sink": delivery.sink,
        "attempt": delivery.attempts + 1,
        "error": str(exc),
    }
