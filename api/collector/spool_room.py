"""How much the spool may still take: by its own bound, and by what the disk must keep free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from api.collector.spool_entries import SpoolEntry
from api.collector.spool_errors import free_bytes
from api.collector.spool_file import SpoolFile

# The file stops growing before the log has no room; an append into freed pages needs one too.
_MOST_LOG_BYTES: Final = 64_000_000
_ENTRY_HEAD_BYTES: Final = 64
_LOGGED_PAGE_HEAD_BYTES: Final = 24


class SpoolRoom:
    """Bounds of one folder: file and log together, and the disk's floor."""

    def __init__(self, folder: Path, *, max_bytes: int, min_free_bytes: int) -> None:
        self._folder = folder
        self._min_free_bytes = min_free_bytes
        self.max_bytes = max_bytes
        self.max_file_bytes = max_bytes - min(max_bytes // 4, _MOST_LOG_BYTES)

    def left_bytes(self, file: SpoolFile) -> int:
        """What still fits, more or less."""
        used = (file.pragma("page_count") - file.pragma("freelist_count")) * file.page_bytes
        disk = free_bytes(self._folder) - self._min_free_bytes
        return max(0, min(self.max_file_bytes - used, disk))

    def is_there(self, file: SpoolFile, entries: Sequence[SpoolEntry]) -> bool:
        """Whether these fit: into the log, into the file, and on the disk."""
        pages = _pages_for(entries, page_bytes=file.page_bytes)
        size, free = file.pragma("page_count"), file.pragma("freelist_count")
        added = max(0, pages - free) * file.page_bytes
        grown = size * file.page_bytes + added
        logged = pages * (file.page_bytes + _LOGGED_PAGE_HEAD_BYTES)
        if added and grown > self.max_file_bytes:
            return False
        if grown + file.wal_bytes + logged > self.max_bytes:
            return False
        # What the log holds has yet to be written back, and that must not fail for want of room.
        owed = max(0, grown - file.path.stat().st_size)
        return free_bytes(self._folder) - owed - logged >= self._min_free_bytes


def _pages_for(entries: Sequence[SpoolEntry], *, page_bytes: int) -> int:
    """Pages that the entries take at most; a large one begins a page of its own."""
    size = sum(len(entry.body) + _ENTRY_HEAD_BYTES for entry in entries)
    large = sum(1 for entry in entries if len(entry.body) > page_bytes // 4)
    return size * 11 // 10 // page_bytes + large + 8
