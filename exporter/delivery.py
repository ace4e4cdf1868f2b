"""Deliver one segment into one sink, exactly once.

Order of effects, and what a crash after each leaves behind:

0. claim the prefix for this buffer, once and for all, on condition that nobody has (left: a claim
   that the next attempt finds to be its own); announce the keys that sign receipts, likewise
1. look for the segment's manifest in the bucket: if it is there the segment was committed before
   the database could be told; what it lists is verified and nothing is written again
2. encode into local files (left: files that the next start removes)
3. hold the rows against the ledger (left: the same); note the keys that are about to be put, so
   that none is ever unknown, whatever version makes the next attempt
4. upload each file and read it back (left: objects without a manifest; the next attempt
   overwrites them, their keys are the same)
   chunks of recordings that were erased meanwhile end the attempt here, and from here to 7 nobody
   erases any (recordings.py)
5. put the manifest, on condition that there is none: the commit point (left: case 1)
6. move the watermark (left: case 1, which moves it)
7. tell the database, and with it, for the client's sink, store the signed receipt (left: case 1;
   the receipt is made again from the same manifest, and nobody has seen the other; a database that
   was restored to before this adopts the one that stands)

`receipts.py` puts receipts into each bucket.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection

from core.event import SCHEMA_VERSION
from core.keys import (
    EVENT_DATASETS,
    ObjectKey,
    RecordingKey,
    UsageKey,
    identities_key,
    manifest_key,
    owner_key,
    watermark_key,
)
from core.manifest import (
    Counts,
    DeliveredObject,
    Manifest,
    Owner,
    Watermark,
    Window,
    decode_manifest,
    decode_owner,
    encode_json,
)
from core.signing import SigningKey
from core.version import VERSION
from database.deliveries import (
    HourCount,
    PendingDelivery,
    begin_attempt,
    last_receipt,
    mark_delivered,
    read_duplicate_rows,
    read_segment_ledger,
    read_stack_id,
)
from database.planned_objects import plan_objects
from database.recording_counts import read_segment_chunks
from database.recording_lock import hold_recordings
from exporter.dedup import Marks, mark_rows
from exporter.derive import derive_columns
from exporter.encode import EncodedFile, encode_events, finish_file
from exporter.failed import FAILED
from exporter.identities import write_identities
from exporter.layout import EventFormat, dataset_of
from exporter.objects import VerificationFailed, put_verified, verify_object
from exporter.progress import Progress
from exporter.promote import promote_columns
from exporter.receipts import BILLED_SINK, adopt_receipt, make_receipt
from exporter.recordings import (
    ChunksMissing,
    check_recordings,
    delivered_chunks,
    describe_recordings,
    encode_recordings,
)
from exporter.segment_dataset import encode_dataset
from exporter.session_entries import mark_entries
from exporter.settings import ExporterSettings
from exporter.sinks.layout import layout_of
from exporter.sinks.open import Sink
from exporter.sites import SITES
from exporter.staging import stage
from exporter.stream import stream_links, stream_rows
from exporter.usage import write_usage

log = logging.getLogger("sluice.exporter")

_UPLOADS_AT_ONCE: Final = 4


class ConservationBroken(Exception):
    """The rows that came out of the buffer are not the rows that the ledger counted."""


class PrefixForeign(Exception):
    """Another buffer writes, or wrote, below this prefix: nothing there may be overwritten."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a delivery came to."""

    rows: int
    bytes: int
    objects: int


def deliver_segment(
    connection: Connection,
    delivery: PendingDelivery,
    *,
    sink: Sink,
    settings: ExporterSettings,
    signing_keys: Sequence[SigningKey],
    announce_key: Callable[[], None],
    progress: Progress,
    staging: Path | None = None,
) -> Delivered:
    """Carry out a delivery; safe to run twice.

    Raises SinkError, ConservationBroken, PrefixForeign, ReceiptForeign, RecordingsErased, or what
    `announce_key` does, and then nothing is marked.
    """
    begin_attempt(connection, delivery)
    ledger = read_segment_ledger(connection, delivery.segment_id)
    is_duplicate = mark_rows(read_duplicate_rows(connection, delivery.segment_id))
    owner = Owner(read_stack_id(connection), settings.client_id)
    connection.rollback()  # the reads need no transaction while the files are written
    claim_prefix(sink, owner)
    if sink.name == BILLED_SINK:
        announce_key()  # nothing is signed with a key that the bucket does not take
    key = manifest_key(sink.prefix, delivery.segment_id)
    standing = sink.bucket.get(key)
    was_standing = standing is not None
    if standing is not None:
        manifest = _read_manifest(standing, key)
        _check_ours(manifest, _describe(delivery, ledger, manifest.objects, sink, settings))
        _check_rows(manifest, key, sink)
        for listed in manifest.objects:
            verify_object(sink, listed)
    else:
        with stage("sluice-", staging) as folder:
            files = _encode(delivery, ledger, is_duplicate, sink, settings, Path(folder), progress)
            if "replay" in sink.datasets:
                files += _encode_recordings(connection, delivery, sink, Path(folder))
            keys = [file.key.under(sink.prefix) for file in files]
            plan_objects(connection, delivery.segment_id, sink.name, keys)
            progress.uploading(len(files))
            objects = _upload(sink, files, progress)
        progress.committing()
    with hold_recordings(connection, delivery.segment_id):
        if standing is None:
            chunks = read_segment_chunks(connection, delivery.segment_id)
            connection.rollback()
            if "replay" in sink.datasets:
                check_recordings(chunks, objects)
            manifest = msgspec.structs.replace(
                _describe(delivery, ledger, objects, sink, settings),
                recordings=describe_recordings(chunks),
            )
            standing = _commit(sink, key, manifest)
        sink.bucket.put(
            watermark_key(sink.prefix),
            encode_json(Watermark(delivery.sealed_at, delivery.segment_id, key)),
        )
        delivered = _summarise(manifest)
        receipt = None
        if sink.name == BILLED_SINK:
            receipt = make_receipt(
                manifest,
                ledger,
                manifest_key=key,
                manifest_body=standing,
                stack_id=owner.stack_id,
                previous=last_receipt(connection, before=delivery.segment_id),
                key=signing_keys[-1],
            )
            connection.rollback()
            if was_standing:
                receipt = adopt_receipt(sink, receipt, signing_keys)
        mark_delivered(
            connection,
            delivery,
            rows=manifest.counts.exported,
            size=delivered.bytes,
            objects=delivered.objects,
            manifest_key=key,
            keys=[listed.key for listed in manifest.objects],
            receipt=receipt,
            chunks=delivered_chunks(manifest.objects) if sink.name == BILLED_SINK else {},
        )
    log.info(
        "segment delivered",
        extra={"segment_id": delivery.segment_id, "sink": sink.name, "rows": delivered.rows},
    )
    return delivered


def check_conservation(
    ledger: Iterable[HourCount],
    files: Iterable[EncodedFile],
    *,
    formats: Iterable[EventFormat] = ("parquet",),
) -> None:
    """Raise ConservationBroken unless every site's hour has accepted - duplicates rows, in each
    format."""
    due: Counter[tuple[str, datetime]] = Counter()
    for count in ledger:
        due[count.site_id, count.hour] += _due(count)
    written: dict[str, Counter[tuple[str, datetime]]] = {
        dataset_of(form): Counter() for form in formats
    }
    for file in files:
        if isinstance(file.key, ObjectKey):
            partition = file.key.partition
            hours = {partition.hour: file.rows} if file.hours is None else file.hours
            for hour, rows in hours.items():
                written[file.key.dataset][partition.site_id, hour] += rows
    for dataset, found in written.items():
        different = sorted(k for k in {*due, *found} if due[k] != found[k])
        if different:
            site, hour = different[0]
            raise ConservationBroken(
                f"{len(different)} site-hours do not add up; {site} at {hour:%Y-%m-%d %H}h: the"
                f" ledger counts {due[site, hour]} rows to export, {found[site, hour]} were written"
                f" into {dataset}"
            )


def _due(count: HourCount) -> int:
    """The rows to export that a line of the ledger adds or takes away."""
    return {"accepted": count.events, "duplicate": -count.events}.get(count.outcome, 0)


def _encode(
    delivery: PendingDelivery,
    ledger: list[HourCount],
    is_duplicate: Marks,
    sink: Sink,
    settings: ExporterSettings,
    folder: Path,
    progress: Progress,
) -> list[EncodedFile]:
    files: list[EncodedFile] = []
    progress.of_rows = sum(_due(count) for count in ledger)
    layout = layout_of(sink, settings)
    if layout.formats:
        misfits: Counter[str] = Counter()
        with stream_rows(settings.database_url, delivery.segment_id, is_duplicate) as batches:
            derived = mark_entries(map(derive_columns, progress.counting(batches)))
            promoted = promote_columns(derived, layout.promotions, misfits)
            files += encode_events(
                promoted, segment_id=delivery.segment_id, folder=folder, layout=layout
            )
        check_conservation(ledger, files, formats=layout.formats)
        if misfits:
            log.warning(
                "promoted values do not fit",
                extra={"segment_id": delivery.segment_id, "values": dict(sorted(misfits.items()))},
            )
    if "identities" in sink.datasets:
        path = folder / "identities.parquet"
        with stream_links(settings.database_url, delivery.segment_id) as batches:
            rows = write_identities(path, batches)
        if rows:
            key = identities_key(delivery.opened_at, delivery.segment_id)
            files.append(finish_file(key, path, rows))
    for dataset in (FAILED, SITES):
        if dataset.name in sink.datasets:
            files += encode_dataset(
                dataset, delivery, database_url=settings.database_url, folder=folder
            )
    if "usage" in sink.datasets and ledger:
        path = folder / "usage.parquet"
        rows = write_usage(path, client_id=settings.client_id, counts=ledger)
        files.append(finish_file(UsageKey(delivery.opened_at, delivery.segment_id), path, rows))
    return files


def _encode_recordings(
    connection: Connection, delivery: PendingDelivery, sink: Sink, folder: Path
) -> list[EncodedFile]:
    try:
        return encode_recordings(connection, delivery, sink=sink, folder=folder)
    except ChunksMissing as exc:
        raise ConservationBroken(str(exc)) from exc


def _upload(sink: Sink, files: Sequence[EncodedFile], progress: Progress) -> list[DeliveredObject]:
    """One by one; the many small ones of recordings several at once, since each waits twice."""
    objects = []
    with ThreadPoolExecutor(_UPLOADS_AT_ONCE, "upload") as uploads:
        small = [file for file in files if isinstance(file.key, RecordingKey)]
        put = {id(file): uploads.submit(put_verified, sink, file) for file in small}
        try:
            for file in files:
                waiting = put.get(id(file))
                objects.append(waiting.result() if waiting else put_verified(sink, file))
                progress.uploaded()
        except BaseException:
            uploads.shutdown(wait=True, cancel_futures=True)
            raise
    return objects


def claim_prefix(sink: Sink, owner: Owner) -> None:
    """Put our name under the prefix, or raise PrefixForeign when another stands there."""
    key = owner_key(sink.prefix)
    if sink.bucket.get(key) is None:
        sink.bucket.put_if_absent(key, encode_json(owner))
    standing = sink.bucket.get(key)
    try:
        if standing is not None and decode_owner(standing) == owner:
            return
    except msgspec.MsgspecError as exc:
        raise PrefixForeign(
            f"{key} cannot be read by this version: {exc}. Where no newer one wrote it, somebody"
            " damaged it: remove it, and it is put there anew."
        ) from exc
    raise PrefixForeign(
        f"{key} names another stack. Two stacks share a prefix, or the database was made anew over"
        " an old bucket: choose another prefix."
    )


def _read_manifest(body: bytes, key: str) -> Manifest:
    try:
        return decode_manifest(body)
    except msgspec.MsgspecError as exc:
        raise PrefixForeign(
            f"{key} cannot be read by this version: {exc}. Where no newer one wrote it, somebody"
            " damaged it: without it, the segment is delivered anew."
        ) from exc


def _check_ours(standing: Manifest, ours: Manifest) -> None:
    """Raise PrefixForeign when a manifest is of another buffer that wrote into this bucket."""
    for field in ("client_id", "sink", "segment_id", "window", "counts"):
        if getattr(standing, field) != getattr(ours, field):
            raise PrefixForeign(
                f"The bucket holds a manifest of segment {ours.segment_id} that is not of this"
                f" buffer: its {field} is {getattr(standing, field)}. The database was made anew"
                " over an old bucket, or two stacks share a prefix: choose another prefix."
            )


def _check_rows(standing: Manifest, key: str, sink: Sink) -> None:
    """Raise ConservationBroken when what a manifest lists is not what it counts."""
    listed = standing.rows_by_dataset()
    # The vendor's bucket may have had none of the events when this one was written.
    lacks_all = sink.name == BILLED_SINK and standing.counts.exported and not listed
    if lacks_all or set(listed.values()) - {standing.counts.exported}:
        raise ConservationBroken(
            f"The manifest {key} counts {standing.counts.exported} events, and its objects hold"
            f" {listed or 'none'}: somebody changed it. Without it, the segment is delivered anew."
        )


def _describe(
    delivery: PendingDelivery,
    ledger: list[HourCount],
    objects: list[DeliveredObject],
    sink: Sink,
    settings: ExporterSettings,
) -> Manifest:
    totals: Counter[str] = Counter()
    for count in ledger:
        totals[count.outcome] += count.events
    accepted, duplicates = totals.pop("accepted", 0), totals.pop("duplicate", 0)
    return Manifest(
        client_id=settings.client_id,
        sink=sink.name,
        segment_id=delivery.segment_id,
        window=Window(delivery.opened_at, delivery.sealed_at),
        counts=Counts(
            received=accepted + totals.total(),
            accepted=accepted,
            rejected=totals.total(),
            duplicates=duplicates,
            exported=accepted - duplicates,
            rejected_by_reason=dict(sorted(totals.items())),
        ),
        objects=objects,
        schema_version=SCHEMA_VERSION,
        partitioned_by=layout_of(sink, settings).cut_by,
        previous=delivery.previous_manifest,
        written_by=f"sluice exporter {VERSION}",
    )


def _commit(sink: Sink, key: str, manifest: Manifest) -> bytes:
    """Put the manifest, and return what stands; where one did already, it has to be ours."""
    body = encode_json(manifest)
    if sink.bucket.put_if_absent(key, body):
        return body
    # The answer to our own put was lost and it was sent again, or another exporter came first.
    standing = sink.bucket.get(key)
    if standing is None or _read_manifest(standing, key) != manifest:
        raise VerificationFailed("another manifest stands in its place", key=key)
    return standing


def _summarise(manifest: Manifest) -> Delivered:
    rows: Counter[str] = Counter()
    for delivered in manifest.objects:
        if delivered.dataset in EVENT_DATASETS:
            rows[delivered.dataset] += delivered.rows
    return Delivered(
        rows=max(rows.values(), default=0),  # each dataset has them all
        bytes=sum(o.bytes for o in manifest.objects),
        objects=len(manifest.objects),
    )
