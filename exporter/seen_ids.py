"""Ids that were delivered, as sorted files: 16 bytes an id, exact, one file for each segment.

The files are a copy. What lasts is in PostgreSQL (`segment_event_ids`), stored in the transaction
that decides a segment, and every start writes the files anew from there: a crash in the middle
of one leaves what the next start removes. Disk is bounded by the window (16 bytes an id within
it, here and in PostgreSQL once more), memory by a block of the file that is looked into, and by
`MOST_HELD` ids of segments that have few: a window of three days has thousands of segments where
one is sealed each minute, and random ids may be in any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from exporter.staging import stage

ID_BYTES: Final = 16
BLOCK_IDS: Final = 250_000
FEW: Final = 4_096
"""So many of a segment are held in memory, too: a file takes longer to open than to look into."""
MOST_HELD: Final = 1_000_000
"""Of all segments together."""
# numpy's bytes type ignores trailing zero bytes when it compares, which loses nothing between
# values that all have the same width.
Ids = npt.NDArray[np.bytes_]
_KIND: Final = f"S{ID_BYTES}"


def as_ids(data: bytes | memoryview) -> Ids:
    """Ids of 16 bytes each, laid end to end."""
    return np.frombuffer(data, dtype=_KIND)


class IdsDamaged(Exception):
    """A file of ids is not what was written: what PostgreSQL has is copied again."""


@dataclass(frozen=True, slots=True)
class IdFile:
    """Sorted ids in a file, none of them twice."""

    path: Path
    count: int

    def chunks(self, size: int = BLOCK_IDS) -> Iterator[bytes]:
        """The ids as bytes, so many at most in one."""
        with self.path.open("rb") as stream:
            while chunk := stream.read(size * ID_BYTES):
                yield chunk

    def map(self, start: int, stop: int) -> Ids:
        """Some of them; only what is looked at is read. Goes when nothing refers to it.

        Raises IdsDamaged, or FileNotFoundError.
        """
        stop = min(stop, self.count)
        if start >= stop:
            return as_ids(b"")
        if self.path.stat().st_size != self.count * ID_BYTES:
            raise IdsDamaged(f"{self.path.name} does not hold {self.count} ids")
        return np.memmap(
            self.path, dtype=_KIND, mode="r", offset=start * ID_BYTES, shape=(stop - start,)
        )


@dataclass(frozen=True, slots=True)
class _Segment:
    sealed_at: datetime
    ids: IdFile
    first: bytes
    last: bytes
    held: Ids | None

    def blocks(self) -> Iterator[Ids]:
        """The ids, sorted, in pieces."""
        if self.held is not None:
            yield self.held
            return
        for start in range(0, self.ids.count, BLOCK_IDS):
            yield self.ids.map(start, start + BLOCK_IDS)


class SeenIds:
    """The ids of the segments within the window."""

    def __init__(self, window: timedelta, folder: Path | None = None) -> None:
        """The files go into a folder of their own below `folder`, and with this object."""
        self._window = window
        self._held = stage("sluice-ids-", folder)
        self.folder = Path(self._held.name)
        self._segments: dict[int, _Segment] = {}
        self._held_ids = 0

    def __len__(self) -> int:
        return sum(segment.ids.count for segment in self._segments.values())

    def __contains__(self, segment_id: int) -> bool:
        return segment_id in self._segments

    def learn(self, segment_id: int, sealed_at: datetime, chunks: Iterable[bytes]) -> None:
        """Remember a segment's ids, which come sorted, in pieces."""
        path = self.folder / f"{segment_id}.learning"
        with path.open("wb") as stream:
            for chunk in chunks:
                stream.write(chunk)
            size = stream.tell()
        self.add(segment_id, sealed_at, IdFile(path, size // ID_BYTES))

    def add(self, segment_id: int, sealed_at: datetime, ids: IdFile) -> None:
        """Remember a segment's ids; their file is moved here."""
        assert segment_id not in self._segments, "a segment is decided once"
        path = ids.path.replace(self.folder / f"{segment_id}.ids")
        ids = IdFile(path, ids.count)
        held = None
        if ids.count <= FEW and self._held_ids + ids.count <= MOST_HELD:
            held = as_ids(path.read_bytes())
            self._held_ids += ids.count
        known = ids.map(0, ids.count) if held is None else held
        ends = (known[:1].tobytes(), known[-1:].tobytes())
        self._segments[segment_id] = _Segment(sealed_at, ids, *ends, held)

    def forget_before(self, now: datetime) -> None:
        """Drop the segments that have left the window, and their files."""
        for number, segment in list(self._segments.items()):
            if segment.sealed_at < now - self._window:
                segment.ids.path.unlink(missing_ok=True)
                if segment.held is not None:
                    self._held_ids -= segment.ids.count
                del self._segments[number]

    def contains(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """For each of some sorted ids whether it was seen before.

        Raises IdsDamaged, or FileNotFoundError.
        """
        seen = np.zeros(len(ids), dtype=bool)
        if not len(ids):
            return seen
        first, last = ids[:1].tobytes(), ids[-1:].tobytes()
        for segment in self._segments.values():
            # UUIDv7s grow with time: most segments have none that could be among these.
            if segment.ids.count and segment.first <= last and first <= segment.last:
                _mark(seen, ids, segment.blocks())
        return seen


def _mark(seen: npt.NDArray[np.bool_], ids: Ids, among: Iterable[Ids]) -> None:
    """Look block by block, each let go before the next: mapped memory is bounded too."""
    for known in among:
        if not (known[:-1] < known[1:]).all():
            # A search would miss what is there: what was delivered would be delivered again.
            raise IdsDamaged("the ids of a segment are not in order")
        low = int(np.searchsorted(ids, known[0]))
        high = int(np.searchsorted(ids, known[-1], side="right"))
        if low < high:
            places = np.searchsorted(known, ids[low:high])
            seen[low:high] |= known[places] == ids[low:high]  # none is beyond the block's last
