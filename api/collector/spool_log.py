"""The write-ahead log of the spool's file: whether what was acknowledged is lost with it.

SQLite reads a log up to the first frame that is not what was written, and says nothing of what
stands behind it. https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_HEAD_BYTES: Final = 32
_FRAME_HEAD_BYTES: Final = 24
_MAGIC: Final = 0x377F0682
"""The lowest bit says in which order the checksums read their words."""

_Sums = tuple[int, int]


class _Frame(NamedTuple):
    page: int
    ends_transaction: bool
    salts: bytes
    sums: _Sums
    """The checksum of everything up to its end, as it says."""
    at: int
    """Where it begins in the file."""


def has_lost(log: Path, *, page_bytes: int) -> bool:
    """Whether transactions were on the disk that SQLite will not read from this log.

    Of such a run each but the last was fsynced, or the next would not have begun; the last one may
    have been under way. So may be what a failed commit leaves, or somebody who was killed in one:
    whoever comes next writes over its head, and what follows its end does not go on from there.
    Nobody may write meanwhile; `page_bytes` is used where the log's own head cannot be read.
    """
    try:
        content = log.read_bytes()
    except FileNotFoundError:
        return False
    head = content[:_HEAD_BYTES]
    if len(head) < _HEAD_BYTES:
        return False
    if _is_head(head):
        is_big, page_bytes = head[3] & 1 == 1, int.from_bytes(head[8:12])
        return _hides(content, head[16:24], page_bytes, is_big=is_big, is_read=True)
    # Then SQLite reads nothing, whatever follows, and nobody can tell which frames are the last.
    is_big = sys.byteorder == "big"
    every = {frame.salts for frame in _frames(content, page_bytes)}
    return any(_hides(content, salts, page_bytes, is_big=is_big, is_read=False) for salts in every)


def _hides(content: bytes, salts: bytes, page_bytes: int, *, is_big: bool, is_read: bool) -> bool:
    """Whether more than one transaction with these salts, or one of two, is not read."""
    sums: _Sums = struct.unpack_from(">II", content, 24)
    is_end_unread = is_repeated = False
    pages: set[int] = set()  # of what is read, behind its last end
    for frame in _frames(content, page_bytes):
        if frame.salts != salts:
            is_read = False
            continue
        follows = _sum_of(content, frame, sums, page_bytes, is_big=is_big) == frame.sums
        is_read = is_read and follows
        # A page stands once in a transaction: this one has begun after an end that is damaged.
        is_repeated = is_repeated or (not is_read and frame.page in pages)
        if follows and (is_end_unread or (is_repeated and frame.ends_transaction)):
            return True
        if is_read:
            pages = set() if frame.ends_transaction else pages | {frame.page}
        sums, is_end_unread = frame.sums, frame.ends_transaction and not is_read
    return False


def _frames(content: bytes, page_bytes: int) -> Iterator[_Frame]:
    step = _FRAME_HEAD_BYTES + page_bytes
    for at in range(_HEAD_BYTES, len(content) - step + 1, step):
        sums = struct.unpack_from(">II", content, at + 16)
        page, end = struct.unpack_from(">II", content, at)
        yield _Frame(page, end > 0, content[at + 8 : at + 16], sums, at)


def _is_head(head: bytes) -> bool:
    if int.from_bytes(head[:4]) & ~1 != _MAGIC:
        return False
    return _sum(head[:24], (0, 0), is_big=head[3] & 1 == 1) == struct.unpack(">II", head[24:])


def _sum_of(content: bytes, frame: _Frame, sums: _Sums, page_bytes: int, *, is_big: bool) -> _Sums:
    """What a frame's checksum is, behind what had the other one."""
    page = frame.at + _FRAME_HEAD_BYTES
    sums = _sum(content[frame.at : frame.at + 8], sums, is_big=is_big)
    return _sum(content[page : page + page_bytes], sums, is_big=is_big)


def _sum(data: bytes, sums: _Sums, *, is_big: bool) -> _Sums:
    first, second = sums
    words = struct.unpack(f"{'>' if is_big else '<'}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
