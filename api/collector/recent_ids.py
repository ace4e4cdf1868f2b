"""The ids that PostgreSQL took in lately: what is sent again soon after is not stored again.

A page that is left cannot learn that its last batch has arrived, so the next page sends it once
more; nor can a sender whose answer was lost. The exporter drops such repeats by their ids, always;
those that this knows never take room in the buffer in the first place.

An id gets in once its row is in PostgreSQL, so leaving a row out for it loses nothing; an id that
is forgotten costs a row, no more. Those in the spool are not in it: what is to become of them is
decided when they are replayed. Each has one place, by its checksum, where the next that belongs
there replaces it: bounded, and as good as the last million ids. The collector's processes share
one memory without a lock: what one reads while another writes there is of two random ids, and so
no third one.
"""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from zlib import crc32

log = logging.getLogger("sluice.collector")

SLOTS: Final = 1 << 20
_ID_BYTES: Final = 16
_BYTES: Final = SLOTS * _ID_BYTES
_ALL_BYTES: Final = _BYTES + _ID_BYTES
"""The last ones say whose they are."""
_PLACES: Final = _BYTES - _ID_BYTES  # as a mask: where an id may begin
_EMPTY: Final = bytes(_ID_BYTES)
_SHARED: Final = "SLUICE_RECENT_IDS"
"""Where the processes find the memory that their supervisor made."""


class RecentIds:
    """A set of ids of 16 bytes that forgets."""

    def __init__(self, memory: mmap.mmap | None = None) -> None:
        self._memory = memory or mmap.mmap(-1, _ALL_BYTES)

    @classmethod
    def of_stack(cls) -> RecentIds:
        """The one of all processes of this collector; where they share none, of this one."""
        try:
            with Path(os.environ[_SHARED]).open("r+b") as shared:
                return cls(mmap.mmap(shared.fileno(), _ALL_BYTES))
        except KeyError:
            return cls()
        except (OSError, ValueError) as exc:
            log.warning("the shared memory of ids is out of reach", extra={"error": str(exc)})
            return cls()

    def know(self, event_ids: Iterable[bytes]) -> list[bool]:
        """Of each whether it is known, as of now: other processes add to it meanwhile."""
        memory = self._memory
        return [
            memory[(at := crc32(one) & _PLACES) : at + _ID_BYTES] == one != _EMPTY
            for one in event_ids
        ]

    def add(self, event_ids: Iterable[bytes]) -> None:
        """Remember ids whose rows PostgreSQL has."""
        memory = self._memory
        for one in event_ids:
            at = crc32(one) & _PLACES
            memory[at : at + _ID_BYTES] = one

    def keep_of(self, incarnation: int) -> None:
        """Forget all, unless they are of this one of a database: what another has taken in, or the
        same before it came from a backup, this one does not know."""
        mark = incarnation.to_bytes(_ID_BYTES)
        if self._memory[_BYTES:] != mark:
            self.forget()
            self._memory[_BYTES:] = mark

    def forget(self) -> None:
        """Know none, in any process. Takes some milliseconds."""
        self._memory[:_BYTES] = bytes(_BYTES)


def share_recent_ids() -> None:
    """Make the memory for the processes that this one starts; they find it as long as it lives.

    Where that cannot be done each has its own, and knows the repeats of what it stored itself.
    """
    try:
        memory = os.memfd_create("recent ids")
        os.ftruncate(memory, _ALL_BYTES)
    except (AttributeError, OSError) as exc:
        log.info("collector processes share no memory of ids", extra={"error": str(exc)})
        return
    os.environ[_SHARED] = f"/proc/{os.getpid()}/fd/{memory}"
