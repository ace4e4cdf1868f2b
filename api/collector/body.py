"""Read a request's body: bounded in bytes and in time, decompressed where it is compressed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from api.collector.decompress import GZIP_MAGIC, Coding, decompress
from api.collector.dialects.dialect import Headers
from api.collector.waiting import QueueFull
from core.refusal import RefusalReason, Refused

if TYPE_CHECKING:
    from starlette.types import Message, Receive


class Receiving:
    """Bytes of all bodies that have begun to arrive and are not whole yet, within a bound."""

    def __init__(self, max_bytes: int = 128_000_000) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0

    def take(self, size: int) -> None:
        """Hold some more; raises QueueFull, and holds none of it."""
        if self._bytes + size > self._max_bytes:
            raise QueueFull
        self._bytes += size

    def give_back(self, size: int) -> None:
        """They are whole, or gone."""
        self._bytes -= size


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """How large a body may be, as sent and as decompressed, and how long it may take to arrive."""

    max_body_bytes: int
    max_decompressed_bytes: int
    timeout_seconds: float
    receiving: Receiving = field(default_factory=Receiving)


class SenderGone(Exception):
    """The sender hung up before its body was complete."""


_CODINGS: Final[dict[bytes, Coding]] = {coding.encode(): coding for coding in Coding} | {
    b"x-gzip": Coding.GZIP  # its name before RFC 2616, and still its alias
}
_NO_CODING: Final = frozenset({b"", b"identity"})
# What is larger, before or after, takes long enough to be felt by the others on the event loop.
_SMALL_COMPRESSED_BYTES: Final = 16_000
_SMALL_DECOMPRESSED_BYTES: Final = 128_000


def is_as_sent(body: bytes, *, headers: Headers, limits: BodyLimits) -> bool:
    """Whether a body that is here already is not compressed, nor too large."""
    return not (
        b"content-encoding" in headers
        or body.startswith(GZIP_MAGIC)
        or len(body) > limits.max_body_bytes
    )


async def read_body(receive: Receive, *, headers: Headers, limits: BodyLimits) -> bytes | Refused:
    """The whole body, decompressed.

    Raises SenderGone when the sender hangs up, and QueueFull when too much of other bodies is on
    its way already. Only what has arrived whole is decompressed: a
    sender that dawdles holds no more than its own bytes.
    """
    coding = find_coding(headers) if b"content-encoding" in headers else None
    if isinstance(coding, Refused):
        return coding
    length = headers.get(b"content-length", b"")
    if length.isdigit() and len(length) < 20 and int(length) > limits.max_body_bytes:
        return _too_large(limits)
    body = await _receive_body(receive, limits)
    if isinstance(body, Refused):
        return body
    if coding is None:
        # sendBeacon can set no header; no JSON begins with this.
        if not body.startswith(GZIP_MAGIC):
            return body
        coding = Coding.GZIP
    return await _decompress(body, coding, max_bytes=limits.max_decompressed_bytes)


def find_coding(headers: Headers) -> Coding | Refused | None:
    """What Content-Encoding says; None when the body comes as it is."""
    named = headers.get(b"content-encoding")
    if named is None:
        return None
    names = [name.strip().lower() for name in named.split(b",")]
    codings = [name for name in names if name not in _NO_CODING]
    if not codings:
        return None
    if len(codings) == 1 and (coding := _CODINGS.get(codings[0])):
        return coding
    return Refused(
        RefusalReason.UNSUPPORTED_TYPE,
        f"send the body as it is, or in one of {', '.join(Coding)}",
        field="Content-Encoding",
    )


async def _receive_body(receive: Receive, limits: BodyLimits) -> bytes | Refused:
    # As a rule the body has come with its head. A timer, dearer than all the rest of this, is
    # set only for one that has not.
    steps = receive().__await__()
    try:
        waits_for = next(steps)
    except StopIteration as at_once:
        body, more = _take(at_once.value)
        if more:
            return await _receive_in_time(receive, body, None, limits)
        return body if len(body) <= limits.max_body_bytes else _too_large(limits)
    return await _receive_in_time(receive, b"", _Begun(steps, waits_for), limits)


async def _receive_in_time(
    receive: Receive, first: bytes, begun: Awaitable[Message] | None, limits: BodyLimits
) -> bytes | Refused:
    try:
        async with asyncio.timeout(limits.timeout_seconds):
            return await _receive_rest(receive, first, begun, limits)
    except TimeoutError:
        return Refused(
            RefusalReason.TIMEOUT,
            f"the body was not complete after {limits.timeout_seconds:g} seconds: send it again",
        )


async def _receive_rest(
    receive: Receive, first: bytes, begun: Awaitable[Message] | None, limits: BodyLimits
) -> bytes | Refused:
    body, more, held = bytearray(first), True, 0
    try:
        limits.receiving.take(len(first))
        held = len(first)
        while more:
            chunk, more = _take(await (begun or receive()))
            begun = None
            if len(body) + len(chunk) > limits.max_body_bytes:
                return _too_large(limits)
            limits.receiving.take(len(chunk))
            held += len(chunk)
            body += chunk
        return bytes(body)
    finally:
        limits.receiving.give_back(held)


async def _decompress(body: bytes, coding: Coding, *, max_bytes: int) -> bytes | Refused:
    if len(body) <= _SMALL_COMPRESSED_BYTES:
        outcome = decompress(body, coding, max_bytes=min(max_bytes, _SMALL_DECOMPRESSED_BYTES))
        if not (isinstance(outcome, Refused) and outcome.reason is RefusalReason.TOO_LARGE):
            return outcome
    return await asyncio.to_thread(decompress, body, coding, max_bytes=max_bytes)


def _take(message: Message) -> tuple[bytes, bool]:
    if message["type"] == "http.disconnect":
        raise SenderGone
    return message.get("body", b""), message.get("more_body", False)


class _Begun:
    """An awaitable whose first step has been taken already; awaiting it takes the others."""

    def __init__(self, steps: Generator[Any, None, Message], waits_for: Any) -> None:
        self._steps, self._waits_for = steps, waits_for

    def __await__(self) -> Generator[Any, None, Message]:
        try:
            yield self._waits_for
        except BaseException:
            self._steps.close()
            raise
        return (yield from self._steps)


def _too_large(limits: BodyLimits) -> Refused:
    return Refused(
        RefusalReason.TOO_LARGE,
        f"the body is larger than {limits.max_body_bytes:,} bytes: split the batch",
    )
