"""Lines of JSON, gzipped: where rows are as unlike each other as what a page recorded."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LEVEL: Final = 6
_PIECE_BYTES: Final = 1 << 20


@contextmanager
def open_lines(path: Path) -> Iterator[gzip.GzipFile]:
    """A file for lines that bring their ends; the same lines give the same bytes.

    One gzip member: browsers' DecompressionStream takes no second one.
    """
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=_LEVEL, fileobj=raw, mtime=0) as packed,
    ):
        yield packed


def count_lines(path: Path) -> int:
    """The lines of a closed file; raises OSError, EOFError or zlib.error for what is no gzip."""
    lines = 0
    with gzip.open(path) as unpacked:
        while piece := unpacked.read(_PIECE_BYTES):
            lines += piece.count(b"\n")
    return lines
