"""Compress as a sender would, and as an attacker would."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import brotli
import zstandard

from api.collector.decompress import Coding


def _deflate(text: bytes, wbits: int) -> bytes:
    stream = zlib.compressobj(wbits=wbits)
    return stream.compress(text) + stream.flush()


def gzip(text: bytes) -> bytes:
    return _deflate(text, 31)


def deflate(text: bytes) -> bytes:
    return _deflate(text, 15)


def bare_deflate(text: bytes) -> bytes:
    return _deflate(text, -15)


def zstd(text: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(text)


def zstd_streamed(text: bytes) -> bytes:
    """Without the content's size, and with a checksum."""
    stream = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return stream.compress(text) + stream.flush()


FORMATS: dict[str, tuple[Coding, Callable[[bytes], bytes]]] = {
    "gzip": (Coding.GZIP, gzip),
    "gzip in two members": (Coding.GZIP, lambda text: gzip(text[:5]) + gzip(text[5:])),
    "deflate": (Coding.DEFLATE, deflate),
    "bare deflate": (Coding.DEFLATE, bare_deflate),
    "br": (Coding.BROTLI, brotli.compress),
    "zstd": (Coding.ZSTD, zstd),
    "zstd streamed": (Coding.ZSTD, zstd_streamed),
    "zstd in two frames": (Coding.ZSTD, lambda text: zstd(text[:5]) + zstd_streamed(text[5:])),
}

BOMB_BYTES = 10_000_000
"""What a bomb of repeated parts weighs; it would become 10 GB at least."""

_MEGABYTE = bytes(1_000_000)


def _repeated(head: bytes, body: bytes) -> bytes:
    return head + body * (BOMB_BYTES // len(body))


def _deflate_bomb(wbits: int) -> bytes:
    stream = zlib.compressobj(9, wbits=wbits)
    head = stream.compress(_MEGABYTE) + stream.flush(zlib.Z_FULL_FLUSH)
    # A full flush forgets all: what follows it may follow it again.
    return _repeated(head, stream.compress(_MEGABYTE) + stream.flush(zlib.Z_FULL_FLUSH))


def _brotli_bomb() -> bytes:
    stream = brotli.Compressor(quality=5, lgwin=16)
    head, *_, last = [stream.process(_MEGABYTE) + stream.flush() for _ in range(5)]
    return _repeated(head, last)


BOMBS: dict[str, tuple[Coding, Callable[[], bytes]]] = {
    "gzip": (Coding.GZIP, lambda: _deflate_bomb(31)),
    "deflate": (Coding.DEFLATE, lambda: _deflate_bomb(15)),
    "bare deflate": (Coding.DEFLATE, lambda: _deflate_bomb(-15)),
    "br": (Coding.BROTLI, _brotli_bomb),
    "zstd": (Coding.ZSTD, lambda: _repeated(b"", zstd(_MEGABYTE))),
    "zstd that says how large": (Coding.ZSTD, lambda: zstd(bytes(300_000_000))),
    "zstd in one frame": (Coding.ZSTD, lambda: zstd_streamed(bytes(300_000_000))),
}
