"""Ids that were delivered, as sorted files: 16 bytes an id, exact, one file for each segment.

The files are a copy. What lasts is in PostgreSQL (`segment_event_ids`), stored in the transaction
that decides a segment, and every start writes the files anew from there: a crash in the middle
of one leaves what the next start removes. Disk is bounded by the window (16 bytes an id within
it, here and in PostgreSQL once more), memory by a block of the file that is looked into, and by
`MOST_HELD` ids of segments that have few: a window of three days has thousands of segments where
one is sealed each minute, and random ids may be in any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

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
    held: Ids | None
    ends: Sequence[tuple[bytes, bytes]]
    """The first and the last id of each block; what is held is one."""

    @classmethod
    def of(cls, sealed_at: datetime, ids: IdFile, held: Ids | None) -> Self:
        """Of ids that were just written, and are believed."""
        starts = range(0, ids.count, BLOCK_IDS)
        blocks = (ids.map(start, start + BLOCK_IDS) for start in starts) if held is None else [held]
        return cls(sealed_at, ids, held, [_ends_of(block) for block in blocks if len(block)])

    def may_hold(self, first: bytes, last: bytes) -> bool:
        """Whether an id between these may be among its own."""
        return bool(self.ends) and self.ends[0][0] <= last and first <= self.ends[-1][1]

    def mark(self, seen: npt.NDArray[np.bool_], ids: Ids) -> None:
        """Look block by block, each let go before the next: mapped memory is bounded too."""
        for number, (first, last) in enumerate(self.ends):
            low = int(np.searchsorted(ids, as_ids(first)[0]))
            high = int(np.searchsorted(ids, as_ids(last)[0], side="right"))
            if low < high:
                known = self._block(number)
                places = np.searchsorted(known, ids[low:high])
                seen[low:high] |= known[places] == ids[low:high]  # none is beyond the block's last

    def _block(self, number: int) -> Ids:
        if self.held is not None:
            return self.held
        start = number * BLOCK_IDS
        known = self.ids.map(start, start + BLOCK_IDS)
        # A search would miss what is there: what was delivered would be delivered again.
        if _ends_of(known) != self.ends[number] or not (known[:-1] < known[1:]).all():
            raise IdsDamaged(f"{self.ids.path.name} does not hold what was written there")
        return known


def _ends_of(ids: Ids) -> tuple[bytes, bytes]:
    return ids[:1].tobytes(), ids[-1:].tobytes()


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
        self._segments[segment_id] = _Segment.of(sealed_at, ids, held)

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
        first, last = _ends_of(ids)
        for segment in self._segments.values():
            # UUIDv7s grow with time: most segments have none that could be among these.
            if segment.may_hold(first, last):
                segment.mark(seen, ids)
        return seen
