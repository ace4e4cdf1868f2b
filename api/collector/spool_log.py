"""The write-ahead log of the spool's file: whether what was acknowledged is lost with it.

SQLite reads a log up to the first frame that is not what was written, and says nothing of what
stands behind it. https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import os
from enum import Enum, auto
from pathlib import Path
from typing import Final

_HEAD_BYTES: Final = 32
_FRAME_HEAD_BYTES: Final = 24


class Frame(Enum):
    """What a frame says of itself."""

    OTHER = auto()
    """Of the log that was here before this one, or damaged."""
    WITHIN = auto()
    """Of a transaction that goes on."""
    LAST = auto()
    """A transaction ends with it."""


def read_frames(log: Path) -> list[Frame]:
    """What stands in a log, in order; nothing where there is none."""
    frames = []
    try:
        with log.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            page_bytes, salts = int.from_bytes(head[8:12]), head[16:24]
            while page_bytes and len(frame := file.read(_FRAME_HEAD_BYTES)) == _FRAME_HEAD_BYTES:
                kind = Frame.LAST if any(frame[4:8]) else Frame.WITHIN
                frames.append(kind if frame[8:16] == salts else Frame.OTHER)
                file.seek(page_bytes, os.SEEK_CUR)
    except FileNotFoundError:
        pass
    return frames


def has_lost(frames: list[Frame], *, read: int) -> bool:
    """Whether a transaction was on the disk that SQLite, which read so many frames, passes over.

    The last one may have been under way and is nobody's loss; each before it was fsynced, or the
    next would not have begun.
    """
    passed_over = [frame for frame in frames[read:] if frame is not Frame.OTHER]
    return Frame.LAST in passed_over[:-1]
