from __future__ import annotations

import asyncio
import itertools
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector.body import BodyLimits, Receiving, SenderGone, read_body
from api.collector.decompress import STEP_BYTES
from api.collector.waiting import QueueFull
from core.refusal import RefusalReason, Refused
from tests.unit.compressing import BOMBS, FORMATS, gzip

LIMITS = BodyLimits(max_body_bytes=1_000, max_decompressed_bytes=5_000, timeout_seconds=0.05)
TEXT = b'{"eventType":"click"}'
Receive = Callable[[], Awaitable[dict[str, Any]]]


def arriving(*chunks: bytes, each_after: float | None = None, hang_up: bool = False) -> Receive:
    """An ASGI server's `receive`; without `each_after` all of it has come already."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": hang_up or number < len(chunks)}
        for number, chunk in enumerate(chunks, start=1)
    ]
    if hang_up:
        messages.append({"type": "http.disconnect"})
    waiting: Iterator[dict[str, Any]] = iter(messages)

    async def receive() -> dict[str, Any]:
        if each_after is not None:
            await asyncio.sleep(each_after)
        return next(waiting)

    return receive


async def read(
    receive: Receive, *, limits: BodyLimits = LIMITS, **headers: str
) -> bytes | RefusalReason:
    encoded = {name.replace("_", "-").encode(): v.encode() for name, v in headers.items()}
    outcome = await read_body(receive, headers=encoded, limits=limits)  # type: ignore[arg-type]
    return outcome.reason if isinstance(outcome, Refused) else outcome


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=10), st.sampled_from([None, 0.0]))
def test_however_it_is_cut_the_body_is_whole(chunks: list[bytes], each_after: float | None) -> None:
    body = asyncio.run(read(arriving(*chunks, each_after=each_after)))
    assert body == b"".join(chunks) or b"".join(chunks).startswith(b"\x1f\x8b")


@pytest.mark.parametrize("each_after", [None, 0.0])
async def test_the_limit_of_the_body_is_exact(each_after: float | None) -> None:
    for chunks in ([b"x" * 1_000], [b"x" * 600, b"x" * 400]):
        assert await read(arriving(*chunks, each_after=each_after)) == b"x" * 1_000
        chunks[-1] += b"x"
        assert await read(arriving(*chunks, each_after=each_after)) is RefusalReason.TOO_LARGE


async def test_a_body_that_announces_too_much_is_not_read() -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("read")

    assert await read(receive, content_length="1001") is RefusalReason.TOO_LARGE
    for length in ("1000", "0", "", "-1", "1e9", "9" * 5_000, "٣"):
        assert await read(arriving(TEXT), content_length=length) == TEXT


async def test_an_endless_body_is_read_no_further_than_the_limit() -> None:
    read_chunks = itertools.count()

    async def receive() -> dict[str, Any]:
        next(read_chunks)
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    assert await read(receive) is RefusalReason.TOO_LARGE
    assert next(read_chunks) == 11


@pytest.mark.parametrize("chunks", [[], [b"{"]])
@pytest.mark.parametrize("each_after", [None, 0.0])
async def test_a_sender_that_hangs_up(chunks: list[bytes], each_after: float | None) -> None:
    with pytest.raises(SenderGone):
        await read(arriving(*chunks, hang_up=True, each_after=each_after))


@pytest.mark.parametrize("chunks", [[b""] * 2, [b"x"] * 1_000])
async def test_a_body_that_does_not_come_in_time(chunks: list[bytes]) -> None:
    began = time.monotonic()
    assert await read(arriving(*chunks, each_after=0.04)) is RefusalReason.TIMEOUT
    assert time.monotonic() - began < 1


async def test_a_sender_that_is_given_up_leaves_nothing_waiting() -> None:
    ended = []

    async def receive() -> dict[str, Any]:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        raise AssertionError("never")

    assert await read(receive) is RefusalReason.TIMEOUT
    task = asyncio.create_task(read(receive, limits=BodyLimits(
        max_body_bytes=1, max_decompressed_bytes=1, timeout_seconds=60
    )))  # fmt: skip
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True, True]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("spelling", ["{}", " {} ", "identity, {}", "{},"])
async def test_codings(name: str, spelling: str) -> None:
    coding, compress = FORMATS[name]
    body = compress(TEXT)
    for header in (spelling.format(coding), spelling.format(coding.upper())):
        assert await read(arriving(body), content_encoding=header) == TEXT
        assert (
            await read(arriving(body[:-1]), content_encoding=header)
            is RefusalReason.INVALID_ENCODING
        )


@pytest.mark.parametrize("coding", ["", "identity", "Identity , identity"])
async def test_no_coding(coding: str) -> None:
    assert await read(arriving(TEXT), content_encoding=coding) == TEXT


@pytest.mark.parametrize("coding", ["compress", "gzip, br", "gzip, gzip", "gzip;q=1", "é", "bro"])
async def test_other_codings_are_refused_unread(coding: str) -> None:
    assert (
        await read(arriving(gzip(TEXT)), content_encoding=coding) is RefusalReason.UNSUPPORTED_TYPE
    )


async def test_gzip_is_known_without_its_header() -> None:
    assert await read(arriving(gzip(TEXT))) == TEXT
    assert await read(arriving(gzip(TEXT)[:1], gzip(TEXT)[1:], each_after=0)) == TEXT
    assert await read(arriving(gzip(TEXT)), content_encoding="x-gzip") == TEXT
    assert await read(arriving(gzip(TEXT)[:-1])) is RefusalReason.INVALID_ENCODING


async def test_a_large_compressed_body_is_decompressed_beside_the_event_loop() -> None:
    limits = BodyLimits(
        max_body_bytes=10_000_000, max_decompressed_bytes=100_000_000, timeout_seconds=5
    )
    text = TEXT * 2_000_000
    body = gzip(text)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    beside = asyncio.create_task(others())
    assert await read(arriving(body), limits=limits, content_encoding="gzip") == text
    beside.cancel()
    assert turns > 5


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_refused_for_the_price_of_its_limit(name: str) -> None:
    limits = BodyLimits(
        max_body_bytes=20_000_000, max_decompressed_bytes=2_000_000, timeout_seconds=5
    )
    coding, make = BOMBS[name]
    bomb = make()
    tracemalloc.start()
    outcome = await read(arriving(bomb), limits=limits, content_encoding=str(coding))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert outcome is RefusalReason.TOO_LARGE
    assert peak <= limits.max_decompressed_bytes + 4 * STEP_BYTES + 2 * len(bomb) + 100_000


async def test_bodies_on_their_way_are_bounded_together() -> None:
    never = asyncio.Event()
    limits = BodyLimits(
        max_body_bytes=1_000,
        max_decompressed_bytes=1_000,
        timeout_seconds=10,
        receiving=Receiving(max_bytes=1_500),
    )

    def dawdling() -> Receive:
        chunks: list[dict[str, Any]] = [
            {"type": "http.request", "body": b" " * 900, "more_body": True}
        ]

        async def receive() -> dict[str, Any]:
            if not chunks:
                await never.wait()
            return chunks.pop()

        return receive

    first = asyncio.create_task(read_body(dawdling(), headers={}, limits=limits))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await read_body(dawdling(), headers={}, limits=limits)
    first.cancel()
    await asyncio.wait({first})
    second = asyncio.create_task(read_body(dawdling(), headers={}, limits=limits))
    await asyncio.sleep(0.05)
    assert not second.done(), "what the first one held is free again"
    second.cancel()
