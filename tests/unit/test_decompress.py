from __future__ import annotations

import gc
import os
import struct
import time
import tracemalloc

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from api.collector.decompress import STEP_BYTES, Coding, decompress
from core.refusal import RefusalReason, Refused
from tests.unit.compressing import BOMBS, FORMATS, gzip, zstd

TEXT = b'{"eventType":"page_view"}' * 200
LIMIT = 1_000_000


def reason(outcome: bytes | Refused) -> RefusalReason | None:
    return outcome.reason if isinstance(outcome, Refused) else None


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_compressed_is_back(name: str) -> None:
    coding, compress = FORMATS[name]
    for text in (TEXT, b"x", b"", os.urandom(50_000), bytes(LIMIT), b"\xff" * 1_000):
        assert decompress(compress(text), coding, max_bytes=LIMIT) == text


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("text", [TEXT, TEXT[:300], bytes(300)])
def test_a_body_that_is_cut_anywhere_is_refused(name: str, text: bytes) -> None:
    coding, compress = FORMATS[name]
    whole = compress(text)
    for end in range(len(whole)):
        outcome = decompress(whole[:end], coding, max_bytes=LIMIT)
        # Cut exactly between two members or frames, the first of them is a whole body.
        assert reason(outcome) is RefusalReason.INVALID_ENCODING or (
            "two" in name and outcome == text[:5]
        )


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("garbage", [b"\0", b"x", b"garbage", b"\x1f\x8b", b"\xff" * 64])
def test_a_body_with_something_behind_it_is_refused(name: str, garbage: bytes) -> None:
    coding, compress = FORMATS[name]
    outcome = decompress(compress(TEXT) + garbage, coding, max_bytes=LIMIT)
    assert reason(outcome) is RefusalReason.INVALID_ENCODING


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_body_is_never_taken_for_another(name: str) -> None:
    coding, compress = FORMATS[name]
    whole = compress(TEXT)
    for at in range(len(whole)):
        damaged = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
        outcome = decompress(damaged, coding, max_bytes=LIMIT)
        assert isinstance(outcome, bytes | Refused)


@given(st.sampled_from(Coding), st.binary(max_size=2_000))
def test_whatever_the_bytes_nothing_is_raised(coding: Coding, body: bytes) -> None:
    outcome = decompress(body, coding, max_bytes=10_000)
    assert isinstance(outcome, Refused) or len(outcome) <= 10_000


@given(st.sampled_from(sorted(FORMATS)), st.binary(max_size=5_000), st.integers(0, 5_000))
def test_the_limit_is_exact(name: str, text: bytes, limit: int) -> None:
    coding, compress = FORMATS[name]
    outcome = decompress(compress(text), coding, max_bytes=limit)
    assert outcome == text if len(text) <= limit else reason(outcome) is RefusalReason.TOO_LARGE


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_no_more_than_the_limit(name: str) -> None:
    coding, make = BOMBS[name]
    bomb = make()
    gc.collect()
    tracemalloc.start()
    began = time.process_time()
    outcome = decompress(bomb, coding, max_bytes=LIMIT)
    seconds = time.process_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reason(outcome) is RefusalReason.TOO_LARGE
    # Output, a few steps on their way, and the bytes not yet read: zlib hands back a copy of those.
    assert peak <= LIMIT + 4 * STEP_BYTES + 2 * len(bomb)
    assert seconds < 1


def test_many_empty_members_are_no_way_to_burn_time() -> None:
    for coding, body in ((Coding.GZIP, gzip(b"") * 100_000), (Coding.ZSTD, zstd(b"") * 200_000)):
        began = time.process_time()
        decompress(body, coding, max_bytes=LIMIT)
        assert time.process_time() - began < 1


def test_a_window_that_no_sender_needs_is_not_allocated() -> None:
    # Frame header: magic, descriptor, and a window of 2 GB; then one block of 1 byte.
    body = (
        b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([21 << 3]) + struct.pack("<I", 1 << 3 | 1)[:3] + b"x"
    )
    assert zstandard.get_frame_parameters(body).window_size == 2**31
    assert reason(decompress(body, Coding.ZSTD, max_bytes=LIMIT)) is RefusalReason.INVALID_ENCODING


def test_brotli_steps_stay_close_to_what_was_asked_for() -> None:
    stream = brotli.Decompressor()
    first = stream.process(brotli.compress(bytes(5_000_000)), output_buffer_limit=STEP_BYTES)
    assert len(first) <= 1.5 * STEP_BYTES
