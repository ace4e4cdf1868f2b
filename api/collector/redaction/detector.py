"""What can be found, and what stands in its place afterwards."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple


class Detector(StrEnum):
    """One kind of personal or secret value; each can be switched off."""

    CARD = "card"
    SSN = "ssn"
    IBAN = "iban"
    EMAIL = "email"
    PHONE = "phone"
    SECRET = "secret"  # noqa: S105  # a kind, no secret
    IP = "ip"


class Span(NamedTuple):
    """A piece of a text, and what is to stand in its place."""

    start: int
    end: int
    replacement: str


MARKED: Final = re.compile(r"(?:\[redacted:[a-z]+\]|%5Bredacted:[a-z]+%5D)")


def mark(detector: Detector) -> str:
    """`[redacted:card]`: says that something was there, and of which kind."""
    return f"[redacted:{detector}]"


_MAX_AUTHORITY_CHARS: Final = 256
_ENDS_AUTHORITY: Final = re.compile(r"""[/?#\s"'<>\\]""")


def is_in_authority(text: str, start: int) -> bool:
    """Whether this place is in an address between `//` and the path: name, password, host, port."""
    slashes = text.rfind("://", max(0, start - _MAX_AUTHORITY_CHARS), start)
    return slashes >= 0 and _ENDS_AUTHORITY.search(text, slashes + 3, start) is None
