"""Undo a body's Content-Encoding in bounded steps, so that a bomb costs no more than the limit.

gzip (several members too), deflate (with zlib's frame as RFC 9110 has it, and bare, as some
send it), br, and zstd (several frames too; RFC 9659 bounds its window).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

import brotli
import zstandard

from core.refusal import RefusalReason, Refused

STEP_BYTES: Final = 64 * 1024
"""Output asked for at once. zlib and zstd keep to it, brotli overshoots by half."""

GZIP_MAGIC: Final = b"\x1f\x8b"

# Each member costs about as much to begin as a small body: no sender needs many.
_MAX_GZIP_MEMBERS: Final = 100
_ANY_GZIP: Final = zlib.MAX_WBITS | 16
_BARE_DEFLATE: Final = -zlib.MAX_WBITS
# https://www.rfc-editor.org/rfc/rfc9659 allows a window of 8 MB, and no more.
_ZSTD_WINDOW_BYTES: Final = 8 * 1024 * 1024


class Coding(StrEnum):
    """A content coding that the collector reads."""

    GZIP = "gzip"
    DEFLATE = "deflate"
    BROTLI = "br"
    ZSTD = "zstd"


class _NotThisCoding(Exception):
    """The bytes are damaged, cut short, followed by others, or of another coding."""


def decompress(body: bytes, coding: Coding, *, max_bytes: int) -> bytes | Refused:
    """The body as it was before its sender compressed it.

    Stops within one step of `max_bytes`, however large the rest would have become.
    """
    chunks: list[bytes] = []
    size = 0
    try:
        for chunk in _steps(body, coding, max_bytes=max_bytes):
            size += len(chunk)
            if size > max_bytes:
                return _too_large(max_bytes)
            chunks.append(chunk)
    except (_NotThisCoding, zlib.error, brotli.error, zstandard.ZstdError):
        return Refused(
            RefusalReason.INVALID_ENCODING,
            f"the body is not whole and valid {coding}: send all of it, and nothing after it",
            field="Content-Encoding",
        )
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _steps(body: bytes, coding: Coding, *, max_bytes: int) -> Iterator[bytes]:
    match coding:
        case Coding.GZIP:
            return _gunzip(body)
        case Coding.DEFLATE:
            return _inflate(body)
        case Coding.BROTLI:
            return _unbrotli(body)
        case Coding.ZSTD:
            return _unzstd(body, max_bytes=max_bytes)


def _gunzip(body: bytes) -> Iterator[bytes]:
    for _ in range(_MAX_GZIP_MEMBERS):
        member = zlib.decompressobj(_ANY_GZIP)
        yield from _drain(member, body)
        body = member.unused_data
        if not body:
            return
    raise _NotThisCoding


def _inflate(body: bytes) -> Iterator[bytes]:
    stream = zlib.decompressobj(zlib.MAX_WBITS if _has_zlib_frame(body) else _BARE_DEFLATE)
    yield from _drain(stream, body)
    if stream.unused_data:
        raise _NotThisCoding


def _has_zlib_frame(body: bytes) -> bool:
    """Whether the first two bytes are zlib's: method 8, and a multiple of 31 (RFC 1950)."""
    head = int.from_bytes(body[:2], "big")
    return len(body) > 1 and body[0] & 0x0F == 8 and head % 31 == 0


def _drain(stream: zlib._Decompress, body: bytes) -> Iterator[bytes]:
    while not stream.eof:
        chunk = stream.decompress(body, STEP_BYTES)
        body = stream.unconsumed_tail
        if not (chunk or body or stream.eof):
            raise _NotThisCoding  # cut short
        yield chunk


def _unbrotli(body: bytes) -> Iterator[bytes]:
    stream = brotli.Decompressor()
    # It says that it is finished, but not where: the last byte must be the one that finishes it.
    yield from _drain_brotli(stream, body[:-1])
    if stream.is_finished():
        raise _NotThisCoding
    yield from _drain_brotli(stream, body[-1:])
    if not stream.is_finished():
        raise _NotThisCoding


def _drain_brotli(stream: Any, body: bytes) -> Iterator[bytes]:
    chunk = stream.process(body, output_buffer_limit=STEP_BYTES)
    # It can accept more as soon as it has read all, though it still has something to say.
    while chunk or not stream.can_accept_more_data():
        yield chunk
        chunk = stream.process(b"", output_buffer_limit=STEP_BYTES)


# The bounded reader tells a body that ends within a frame from a whole one by nothing. With this
# frame behind it, a whole body ends in the frame's content; in a cut one the frame is swallowed.
# No text in UTF-8 holds 0xFF, and compressed these bytes do not stand in the frame themselves.
_END: Final = b"\xff" * 64
_END_FRAME: Final = zstandard.ZstdCompressor(write_checksum=True).compress(_END)


def _unzstd(body: bytes, *, max_bytes: int) -> Iterator[bytes]:
    if not body:
        raise _NotThisCoding
    # A frame compressed in one piece names its whole content as its window.
    window = max(_ZSTD_WINDOW_BYTES, max_bytes)
    decompressor = zstandard.ZstdDecompressor(max_window_size=window)
    with decompressor.stream_reader(body + _END_FRAME, read_across_frames=True) as reader:
        held = b""
        while chunk := reader.read(STEP_BYTES):
            held += chunk
            yield held[: -len(_END)]
            held = held[-len(_END) :]
    if held != _END:
        raise _NotThisCoding


def _too_large(max_bytes: int) -> Refused:
    return Refused(
        RefusalReason.TOO_LARGE,
        f"the body decompresses to more than {max_bytes:,} bytes: split the batch",
    )
