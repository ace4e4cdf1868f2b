"""Decides about sealed segments, and remembers their ids for the next.

What is stored in PostgreSQL is what holds; the ids at hand are a copy of it, which is made anew
wherever it may have become another's: after a commit whose answer was lost, beside a second
exporter, on a standby that lacks the last commits, and when somebody emptied the folder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Connection

from database.deliveries import list_decided_segments, read_event_ids, store_deduplication
from database.segments import Segment
from exporter.dedup import find_duplicates
from exporter.seen_ids import IdsDamaged, SeenIds
from exporter.settings import ExporterSettings
from exporter.stream import stream_ids

log = logging.getLogger("sluice.exporter")


class Deduplicator:
    """Which rows of each segment are duplicates; `seen` has the ids of those decided before."""

    def __init__(self, settings: ExporterSettings, staging: Path | None = None) -> None:
        self._settings = settings
        self._staging = staging
        self._forget()

    def _forget(self) -> None:
        self.seen = SeenIds(self._settings.dedup_window, self._staging)

    def learn(self, connection: Connection) -> None:
        """Copy the ids that are stored and not yet at hand.

        All of them at start-up. Later there are some only where a commit's answer was lost, or
        where another exporter worked in between.
        """
        window = self._settings.dedup_window
        for segment_id, sealed_at in list_decided_segments(connection, window):
            if segment_id not in self.seen:
                self.seen.learn(segment_id, sealed_at, read_event_ids(connection, segment_id))

    def decide(
        self, connection: Connection, waiting: Sequence[Segment], is_stopping: Callable[[], bool]
    ) -> None:
        """Decide about sealed segments, in their order, each in a transaction of its own."""
        if waiting:
            self.learn(connection)
        connection.rollback()
        is_learnt_anew = False
        for segment in waiting:
            if is_stopping():
                return
            # Decided since the list was read, or before the database became an older state of
            # itself: held against its own ids each of its events would be a repeat.
            if segment.segment_id in self.seen and not is_learnt_anew:
                self._learn_anew(connection)
                is_learnt_anew = True
            try:
                self._decide(connection, segment)
            except (FileNotFoundError, IdsDamaged):
                log.warning("files of ids are gone or damaged: they are made again", exc_info=True)
                connection.rollback()
                self._learn_anew(connection)
                self._decide(connection, segment)

    def _learn_anew(self, connection: Connection) -> None:
        self._forget()
        self.learn(connection)
        connection.rollback()

    def _decide(self, connection: Connection, segment: Segment) -> None:
        if segment.segment_id in self.seen:
            return  # what is stored says so
        self.seen.forget_before(segment.sealed_at)
        with stream_ids(self._settings.database_url, segment.segment_id) as batches:
            found = find_duplicates(batches, self.seen)
        is_stored = store_deduplication(
            connection,
            segment.segment_id,
            rows=len(found.is_duplicate),
            id_chunks=found.ids.chunks(),
            duplicate_rows=found.duplicate_rows(),
            window=self._settings.dedup_window,
        )
        if is_stored:
            self.seen.add(segment.segment_id, segment.sealed_at, found.ids)
        else:  # decided meanwhile: by a commit whose answer was lost, or by another exporter
            self.learn(connection)
            connection.rollback()
