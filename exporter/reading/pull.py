"""Bring what a bucket has, and a folder has not, into the folder: verified, and each object once.

Order of effects for a segment, and what a crash after each leaves behind:

1. its manifest is read, and has to follow the one before it
2. its objects are fetched (left: whole files that are not noted; the next pull finds them right)
3. the segment is noted with its files, in one transaction

Segments are noted in their order, so that what is noted has no gap; those behind are being fetched
meanwhile. A file under its final name is always a whole object of a committed manifest.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

from core.keys import EVENT_DATASETS, partition_values
from core.manifest import DeliveredObject, Manifest, Owner
from exporter.reading.download import fetch, patiently
from exporter.reading.manifests import (
    check_link,
    find_segment,
    list_segments,
    local_path,
    previous_segment,
    read_manifest,
    read_owner,
    read_watermark,
)
from exporter.reading.problems import BucketDamaged, PullError
from exporter.reading.state import OWN_FOLDER, PullState, text_of, writing_state
from exporter.sinks.directory import DirectoryBucket
from exporter.sinks.open import open_bucket
from exporter.sinks.sink import Bucket, SinkError

_THREADS: Final = 8
_AHEAD: Final = 32
"""Segments whose manifests are read, and objects fetched, before the first of them is noted."""
_DATASET: Final = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull has come."""

    segments: int
    of_segments: int
    objects: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull brought, and what the folder has now."""

    segments: int
    objects: int
    """New ones; of these `bytes` were downloaded."""
    rows: int
    """Events, each once, in however many formats it came."""
    bytes: int
    until: datetime | None
    """Everything received before it, from the pull's beginning on, is here; None for nothing."""


@dataclass(frozen=True, slots=True)
class _Selection:
    """What a folder is a copy of; it stays the same from its first pull on."""

    stack_id: str
    prefix: str
    datasets: tuple[str, ...]
    sites: tuple[str, ...] | None

    def wants(self, delivered: DeliveredObject) -> bool:
        site_id = partition_values(delivered.key).get("site_id")
        return delivered.dataset in self.datasets and (
            self.sites is None or site_id is None or site_id in self.sites
        )

    def facts(self) -> dict[str, str]:
        return {
            "format": "sluice-pull/1",
            "stack_id": self.stack_id,
            "prefix": self.prefix,
            "datasets": json.dumps(self.datasets),
            "sites": json.dumps(self.sites),
        }


def pull(
    bucket: Bucket | str,
    folder: Path | str,
    *,
    prefix: str = "analytics",
    from_: datetime | None = None,
    to: datetime | None = None,
    datasets: Iterable[str] | None = None,
    sites: Iterable[str] | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Pulled:
    """Fetch every segment that took in events in [from, to) and is not in the folder yet.

    A bucket is an open one, or its name on S3, or file:///a/folder. Without `from_` a folder goes
    on from where its first pull began. `datasets` (events) and `sites` (all) are those of the
    first pull, and cannot be changed. Whole segments are fetched: up to an hour more on each side
    than was asked for, which `read_events` leaves out.

    Raises BucketDamaged when what stands there is not what its manifests say, PullError when the
    bucket or the folder cannot be used; what was noted until then is kept.
    """
    folder = Path(folder)
    if any(moment is not None and moment.tzinfo is None for moment in (from_, to)):
        raise PullError("A time has to say its zone: datetime(2026, 11, 1, tzinfo=UTC).")
    if from_ is not None and to is not None and from_ >= to:
        raise PullError(f"From {from_} to {to} is no time at all.")
    with _explained(folder):
        if isinstance(bucket, str):
            bucket = open_bucket(bucket)
        if isinstance(bucket, DirectoryBucket) and not bucket.root.is_dir():
            raise PullError(f"There is no folder {bucket.root}.")
        owner = patiently(lambda: read_owner(bucket, prefix))
        with writing_state(folder) as state:
            selection = _select(state, owner, prefix, datasets, sites)
            return _Pull(bucket, folder, state, selection, owner, on_progress).run(from_, to)


class _Pull:
    """One run of it."""

    def __init__(
        self,
        bucket: Bucket,
        folder: Path,
        state: PullState,
        selection: _Selection,
        owner: Owner,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._bucket, self._folder, self._state = bucket, folder, state
        self._selection, self._owner, self._on_progress = selection, owner, on_progress
        self._partial = folder / OWN_FOLDER / "partial"
        self._done = Pulled(0, 0, 0, 0, None)
        self._seen = 0

    def run(self, from_: datetime | None, to: datetime | None) -> Pulled:
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir()
        try:
            first = patiently(lambda: self._find_first(from_))
            if first is not None:
                self._walk(first, to)
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)
        return self._done

    def _find_first(self, from_: datetime | None) -> int | None:
        """The segment to begin with, remembered; None when there is none yet."""
        prefix, facts = self._selection.prefix, self._state.facts()
        begun = facts.get("from")
        if "first_segment" in facts and (from_ is None or text_of(from_) == begun):
            return int(facts["first_segment"])
        watermark = read_watermark(self._bucket, prefix)
        if watermark is None:
            return None
        if from_ is None:
            first = next(list_segments(self._bucket, prefix, after=None), None)
        else:
            first = find_segment(self._bucket, prefix, moment=from_, newest=watermark.segment_id)
        known = facts.get("first_segment")
        if first is not None and (known is None or first < int(known)):
            begin = text_of(from_) if from_ else ""
            self._state.note_facts(first_segment=str(first), **{"from": begin})
        return first

    def _walk(self, first: int, to: datetime | None) -> None:
        """Fetch from `first` on whatever is not here, until `to` or the newest."""
        prefix, state = self._selection.prefix, self._state
        watermark = patiently(lambda: read_watermark(self._bucket, prefix))
        last = state.end_of_run(first)
        after = last if last is not None else first - 1
        listed = patiently(lambda: list(list_segments(self._bucket, prefix, after=after)))
        if watermark is not None and watermark.segment_id > (listed or [after])[-1]:
            raise BucketDamaged(
                f"The watermark names segment {watermark.segment_id}, and the newest manifest is"
                f" of {(listed or [after])[-1]}: the newest are gone, or the bucket was restored."
            )
        if last is not None:
            self._done = replace(self._done, until=state.window_end(last))
        remaining = iter(listed)
        with ThreadPoolExecutor(_THREADS, "pull") as threads:
            try:
                while ahead := list(islice(remaining, _AHEAD)):
                    coming = self._fetch_ahead(threads, ahead)
                    for manifest, objects in coming:
                        if to is not None and manifest.window.opened_at >= to:
                            return
                        if last is not None or manifest.segment_id != first:
                            check_link(manifest, last)
                        self._note(manifest, objects, of_segments=len(listed))
                        last = manifest.segment_id
            finally:
                threads.shutdown(cancel_futures=True)

    def _fetch_ahead(
        self, threads: ThreadPoolExecutor, segment_ids: list[int]
    ) -> Iterator[tuple[Manifest, _Fetches]]:
        """Have segments fetched at once, and give them in order; what fails, fails in its turn."""
        readings = [threads.submit(self._read_manifest, segment_id) for segment_id in segment_ids]
        begun: deque[tuple[Manifest, _Fetches]] = deque()
        failure: Exception | None = None
        for reading in readings:
            try:
                manifest = reading.result()
                begun.append((manifest, self._fetch_objects(threads, manifest)))
            except (PullError, SinkError) as exc:
                failure = exc
                break
        yield from begun
        if failure is not None:
            raise failure

    def _read_manifest(self, segment_id: int) -> Manifest:
        manifest = patiently(
            lambda: read_manifest(self._bucket, self._selection.prefix, segment_id)
        )
        if manifest.client_id != self._owner.client_id:
            raise BucketDamaged(
                f"The manifest of segment {segment_id} is of client {manifest.client_id}."
            )
        there = {delivered.dataset for delivered in manifest.objects}
        lacking = {d for d in self._selection.datasets if d in EVENT_DATASETS} - there
        if lacking and manifest.counts.exported:
            raise PullError(
                f"The events of segment {segment_id} do not stand there as {min(lacking)}, only as"
                f" {', '.join(sorted(there)) or 'nothing'}: name that dataset, with a folder of"
                " its own (docs/formats.md)."
            )
        return manifest

    def _fetch_objects(self, threads: ThreadPoolExecutor, manifest: Manifest) -> _Fetches:
        if self._state.has(manifest.segment_id):
            return []
        wanted = [o for o in manifest.objects if self._selection.wants(o)]
        placed = [(local_path(o, self._selection.prefix), o) for o in wanted]
        return [
            (
                path,
                delivered,
                threads.submit(
                    fetch,
                    self._bucket,
                    delivered,
                    self._folder / path,
                    partial_folder=self._partial,
                ),
            )
            for path, delivered in placed
        ]

    def _note(self, manifest: Manifest, objects: _Fetches, *, of_segments: int) -> None:
        """Wait for a segment's objects, then remember it; those that are here already pass by."""
        done = self._done
        for _, delivered, fetching in objects:
            done = replace(
                done,
                objects=done.objects + 1,
                bytes=done.bytes + delivered.bytes * fetching.result(),
            )
            self._on_progress(Progress(self._seen, of_segments, done.objects, done.bytes))
        if not self._state.has(manifest.segment_id):
            files = [(path, delivered) for path, delivered, _ in objects]
            self._state.note_segment(manifest, previous_segment(manifest), files)
            rows = _count_events(delivered for _, delivered in files)
            done = replace(done, segments=done.segments + 1, rows=done.rows + rows)
        self._done = replace(done, until=manifest.window.sealed_at)
        self._seen += 1
        self._on_progress(Progress(self._seen, of_segments, done.objects, done.bytes))


def _count_events(objects: Iterable[DeliveredObject]) -> int:
    by_dataset = Counter[str]()
    for delivered in objects:
        if delivered.dataset in EVENT_DATASETS:
            by_dataset[delivered.dataset] += delivered.rows
    return max(by_dataset.values(), default=0)


_Fetches = list[tuple[str, DeliveredObject, "Future[bool]"]]


def _select(
    state: PullState,
    owner: Owner,
    prefix: str,
    datasets: Iterable[str] | None,
    sites: Iterable[str] | None,
) -> _Selection:
    """What this folder is a copy of; raises PullError when it is one of something else."""
    facts = state.facts()
    if not facts:
        wanted = tuple(sorted(set(datasets or ("events",))))
        for name in wanted:
            if not _DATASET.fullmatch(name):
                raise PullError(f"{name!r} is no dataset's name.")
        chosen = None if sites is None else tuple(sorted(set(sites)))
        selection = _Selection(str(owner.stack_id), prefix, wanted, chosen)
        state.note_facts(**selection.facts())
        return selection
    if (facts["stack_id"], facts["prefix"]) != (str(owner.stack_id), prefix):
        raise PullError(
            f"The folder holds what stack {facts['stack_id']} delivered below {facts['prefix']};"
            f" this is stack {owner.stack_id} below {prefix}. Pull into a folder of its own."
        )
    known_sites = json.loads(facts["sites"])
    selection = _Selection(
        facts["stack_id"],
        prefix,
        tuple(json.loads(facts["datasets"])),
        None if known_sites is None else tuple(known_sites),
    )
    for what, asked, known in (
        ("datasets", datasets, selection.datasets),
        ("sites", sites, selection.sites),
    ):
        if asked is not None and tuple(sorted(set(asked))) != known:
            raise PullError(
                f"The folder was begun with the {what} {', '.join(known or ('all',))}."
                " Pull others into a folder of their own."
            )
    return selection


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except SinkError as exc:
        raise PullError(f"The bucket cannot be read: {exc}") from exc
    except OSError as exc:
        raise PullError(f"{folder} cannot hold what is pulled: {exc.strerror or exc}.") from exc
