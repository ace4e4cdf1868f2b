"""An HTTP answer that is known as a whole before its first byte goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple


class Answer(NamedTuple):
    """Status, headers (`content-length` among them), body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


Respond = Callable[[Answer], None]
"""Sends an answer; called once."""

Decline = Callable[[], None]
"""Has a request that came whole called as an ASGI application after all; called once."""

FAILED: Final = Answer(
    500,
    [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"21"),
        (b"connection", b"close"),
    ],
    b"Internal Server Error",
)
"""To whoever met an error of our own."""
