"""`replay/`: what was recorded of each session, and `replay_index/`, which says what stands where.

Chunks are written by the transaction that counts them, under the fence, so a chunk's segment is
the one that is delivered with its counts, and a sealed segment gets no more of them. What may
still happen is an erasure. Each attempt reads the counts and the chunks in one snapshot, and holds
one against the other; and before the manifest is put the counts are read once more, under a lock
that an erasure needs: where they changed, the attempt is given up, and the next writes what is
left (its objects are overwritten, those that have none of it any more are swept).
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from sqlalchemy import Connection, Row, text

from core.keys import day_key, parse_recording_key, recording_key
from core.manifest import DeliveredObject, RecordingCounts
from database.deliveries import PendingDelivery
from database.recording_counts import ChunkCounts, read_segment_chunks
from exporter.described import TIME, column
from exporter.encode import EncodedFile, finish_file
from exporter.line_file import open_lines
from exporter.parquet_file import open_parquet
from exporter.sinks.open import Sink

_AT_ONCE: Final = 20
"""Chunks that are read at a time: of 250 kB at most."""

# By the first of its moments a page's recording comes before the next page's.
_CHUNKS = text("""
SELECT site_id, session_id, recording_id, visitor_id, user_id, sequence, started_at, ended_at,
  events, body
FROM recording_chunks WHERE segment_id = :segment_id
ORDER BY site_id, session_id,
  min(started_at) OVER (PARTITION BY site_id, session_id, recording_id), recording_id, sequence
""")

INDEX_SCHEMA: Final = pa.schema(
    [
        column("site_id", pa.string(), "The site that was recorded.", never_null=True),
        column("visitor_id", pa.string(), "Whose recording it is.", never_null=True),
        column("user_id", pa.string(), "The user that they said to be, if the recorder told."),
        column("session_id", pa.string(), "Their session.", never_null=True),
        column(
            "recording_id",
            pa.string(),
            "One recorder's work: its chunks are numbered from 0. A session has several, of "
            "several tabs for example.",
            never_null=True,
        ),
        column("segment_id", pa.int64(), "The segment that its chunks are in.", never_null=True),
        column("first_sequence", pa.int32(), "The first chunk in this object.", never_null=True),
        column("last_sequence", pa.int32(), "The last one.", never_null=True),
        column("chunks", pa.int32(), "How many, each a line.", never_null=True),
        column(
            "gaps",
            pa.string(),
            "Chunks between first and last that are not in this object: `3-4,7`. Lost, or in "
            "another segment's; empty for none.",
            never_null=True,
        ),
        column("started_at", TIME, "When its first event happened.", never_null=True),
        column("ended_at", TIME, "When its last one did.", never_null=True),
        column("events", pa.int64(), "How many events of rrweb's.", never_null=True),
        column("bytes", pa.int64(), "Of its lines, unpacked.", never_null=True),
        column("key", pa.string(), "The object that it stands in.", never_null=True),
        column("sha256", pa.string(), "Of that object, in hexadecimal.", never_null=True),
    ]
)
INDEX_MEANING: Final = "Which recordings there are, of whom, and in which object of `replay/`."
CHUNK_MEANING: Final = "What was recorded of a session: a line of JSON for each chunk."

CHUNK_COLUMNS: Final = pa.schema(
    [
        column("visitorId", pa.string(), "Whose recording it is.", never_null=True),
        column("userId", pa.string(), "The user that they said to be."),
        column("recordingId", pa.string(), "Which recording it is a piece of.", never_null=True),
        column("sequence", pa.int32(), "Which piece, from 0 on.", never_null=True),
        column("startedAt", TIME, "When its first event happened.", never_null=True),
        column("endedAt", TIME, "When its last one did.", never_null=True),
        column("url", pa.string(), "The page, redacted."),
        column("consent", pa.string(), "The visitor's, as it was sent."),
        column("redactions", pa.int32(), "Values that were replaced.", never_null=True),
        column(
            "events",
            pa.string(),
            "An array of rrweb's events, as its player takes them.",
            never_null=True,
        ),
    ]
)


class RecordingsErased(Exception):
    """Chunks were erased while they were being delivered: the next attempt has what is left."""


class ChunksMissing(Exception):
    """The chunks that came out of the buffer are not those that were counted."""


def encode_recordings(
    connection: Connection, delivery: PendingDelivery, *, sink: Sink, folder: Path
) -> list[EncodedFile]:
    """Write an object for each session, and the index; without chunks there is no file.

    Raises ChunksMissing.
    """
    segment_id = delivery.segment_id
    engine = connection.engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as snapshot:
        due = {s: left(c) for s, c in read_segment_chunks(snapshot, segment_id).items()}
        streaming = snapshot.execution_options(yield_per=_AT_ONCE)
        with closing(streaming.execute(_CHUNKS, {"segment_id": segment_id})) as chunks:
            sessions = list(_write_sessions(chunks, delivery, folder))
    written = Counter[str]()
    for (site_id, _), file, _ in sessions:
        written[site_id] += file.rows
    if +Counter(due) != written:
        raise ChunksMissing(
            f"{sum(due.values())} chunks of recordings are due, {written.total()} were found"
        )
    if not sessions:
        return []
    rows = [
        about | {"key": file.key.under(sink.prefix), "sha256": file.sha256}
        for _, file, abouts in sessions
        for about in abouts
    ]
    path = folder / "replay_index.parquet"
    with open_parquet(path, INDEX_SCHEMA) as writer:
        writer.write_table(pa.Table.from_pylist(rows, INDEX_SCHEMA))
    index = finish_file(day_key("replay_index", delivery.opened_at, segment_id), path, len(rows))
    return [*(file for _, file, _ in sessions), index]


def left(counts: ChunkCounts) -> int:
    """Chunks that are in the buffer."""
    return counts.stored - counts.erased - counts.removed


def describe_recordings(counts: Mapping[str, ChunkCounts]) -> RecordingCounts | None:
    """A segment's, for its manifest; None where no chunk came."""
    if not counts:
        return None
    every = counts.values()
    return RecordingCounts(
        received=sum(c.received for c in every),
        stored=sum(c.stored for c in every),
        repeated=sum(c.repeated for c in every),
        rejected=sum(sum(c.refused.values()) for c in every),
        erased=sum(c.erased + c.removed for c in every),
        delivered=sum(map(left, every)),
        bytes=sum(c.bytes for c in every),
    )


def delivered_chunks(objects: Iterable[DeliveredObject]) -> dict[str, int]:
    """What a manifest lists, by site."""
    chunks = Counter[str]()
    for listed in objects:
        if listed.dataset == "replay" and (key := parse_recording_key(listed.key)):
            chunks[key.site_id] += listed.rows
    return dict(chunks)


def check_recordings(counts: Mapping[str, ChunkCounts], objects: Iterable[DeliveredObject]) -> None:
    """Before the manifest is put: raise RecordingsErased where it would list what is erased."""
    if +Counter({s: left(c) for s, c in counts.items()}) != Counter(delivered_chunks(objects)):
        raise RecordingsErased("chunks of recordings were erased meanwhile: it is tried again")


_Session = tuple[tuple[str, str], EncodedFile, list[dict[str, Any]]]


def _write_sessions(
    chunks: Iterable[Row[Any]], delivery: PendingDelivery, folder: Path
) -> Iterator[_Session]:
    by_session = groupby(chunks, key=lambda chunk: (chunk.site_id, chunk.session_id))
    for number, ((site_id, session_id), its_chunks) in enumerate(by_session):
        path = folder / f"recording-{number:06d}.ndjson.gz"
        abouts: dict[tuple[str, str], _About] = {}
        rows = 0
        with open_lines(path) as lines:
            for chunk in its_chunks:
                line = zlib.decompress(chunk.body, wbits=16 + zlib.MAX_WBITS)
                # The collector writes one line; whatever it wrote, one chunk stays one.
                line = line.rstrip(b"\n").replace(b"\n", b" ") + b"\n"
                lines.write(line)
                rows += 1
                name = (chunk.recording_id, chunk.visitor_id)
                abouts.setdefault(name, _About(chunk)).add(chunk, len(line))
        key = recording_key(site_id, session_id, delivery.opened_at, delivery.segment_id)
        said = [about.row(delivery.segment_id) for about in abouts.values()]
        yield (site_id, session_id), finish_file(key, path, rows), said


class _About:
    """A recording's row of the index, while its chunks are written in order."""

    def __init__(self, first: Row[Any]) -> None:
        self._first = first
        self._user_id: str | None = None
        self._sequences: list[int] = []
        self._started_at: datetime = first.started_at
        self._ended_at: datetime = first.ended_at
        self._events = self._bytes = 0

    def add(self, chunk: Row[Any], size: int) -> None:
        self._user_id = chunk.user_id or self._user_id
        self._sequences.append(chunk.sequence)
        self._started_at = min(self._started_at, chunk.started_at)
        self._ended_at = max(self._ended_at, chunk.ended_at)
        self._events += chunk.events
        self._bytes += size

    def row(self, segment_id: int) -> dict[str, Any]:
        first = self._first
        return {
            "site_id": first.site_id,
            "visitor_id": first.visitor_id,
            "user_id": self._user_id,
            "session_id": first.session_id,
            "recording_id": first.recording_id,
            "segment_id": segment_id,
            "first_sequence": self._sequences[0],
            "last_sequence": self._sequences[-1],
            "chunks": len(self._sequences),
            "gaps": find_gaps(self._sequences),
            "started_at": self._started_at,
            "ended_at": self._ended_at,
            "events": self._events,
            "bytes": self._bytes,
        }


def find_gaps(sequences: Iterable[int]) -> str:
    """What is missing between ascending numbers: `3-4,7`; empty for nothing."""
    missing = ((a + 1, b - 1) for a, b in pairwise(sequences) if b - a > 1)
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in missing)
