"""Whether a value under a telling name is what the name says, and what replaces it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from api.collector.redaction.addresses import truncate_addresses
from api.collector.redaction.detector import MARKED, Detector, mark
from api.collector.redaction.names import NameKind

_FLAG_WORDS: Final = "true false null none undefined nil nan yes no on off 0 1 ? [filtered]"
_FLAGS: Final = frozenset(_FLAG_WORDS.split())
_MASKED: Final = re.compile(r"[\s*•●·._-]*|[xX*]{3,}")
_CODE: Final = re.compile(r"(?=\D*\d)[A-Za-z0-9\s-]{3,64}")
_DIGIT: Final = re.compile(r"\d")
_SCHEME: Final = re.compile(r"(?:bearer|basic|digest|token|apikey)\s+\S", re.IGNORECASE)
_NO_CREDENTIALS: Final = frozenset({"oauth1", "oauth2", "saml2", "oauth2.0", "web3auth"})
_PHONE: Final = re.compile(r"[+(]?[\d\s().\-/+\u2010-\u2015]{6,24}(?:(?:x|ext)\.?\s*\d{1,6})?")
_MAX_PHONE_CHARS: Final = 40
_PHONE_DIGITS: Final = range(6, 16)

_MARKED_AS: Final = {
    NameKind.CARD: Detector.CARD,
    NameKind.SSN: Detector.SSN,
    NameKind.IBAN: Detector.IBAN,
    NameKind.PHONE: Detector.PHONE,
    NameKind.IP: Detector.IP,
}
_WHOLE_VALUES: Final = frozenset({NameKind.PHONE, NameKind.CODE})
_OWN: Final = frozenset({NameKind.PHONE, NameKind.IP})
"""Kinds with a detector of their own; the others are sensitive names."""


def replace_named(kind: NameKind, value: str, detectors: Collection[Detector]) -> str | None:
    """What is to stand in the place of a value under such a name; None to leave it alone."""
    own = _MARKED_AS.get(kind, Detector.SECRET)
    if (own if kind in _OWN else Detector.SECRET) not in detectors:
        return None
    rest = MARKED.sub("", value)  # a mark is no value: what it replaced is gone
    if rest != value and kind in _WHOLE_VALUES:
        return None
    if rest.strip().lower() in _FLAGS or _MASKED.fullmatch(rest):
        return None
    if kind is NameKind.IP:
        truncated = truncate_addresses(value)
        return truncated if truncated != value else None
    if not _is_meant(kind, rest):
        return None
    return mark(own if own in detectors else Detector.SECRET)


def _is_meant(kind: NameKind, value: str) -> bool:
    match kind:
        case NameKind.SECRET:
            return True
        case NameKind.CODE:
            return _CODE.fullmatch(value) is not None
        case NameKind.CREDENTIAL:
            return _looks_like_a_credential(value)
        case NameKind.PHONE:
            return _is_phone(value.strip())
        case _:
            return _DIGIT.search(value) is not None


def _is_phone(value: str) -> bool:
    if len(value) > _MAX_PHONE_CHARS or _PHONE.fullmatch(value) is None:
        return False
    return sum(c.isdigit() for c in value) in _PHONE_DIGITS


def _looks_like_a_credential(value: str) -> bool:
    """`auth: "Basic dXNlcg=="` does; `auth: "required"` does not."""
    if _SCHEME.match(value):
        return True
    has_digit = len(value) >= 6 and _DIGIT.search(value) is not None
    return len(value) >= 20 or (has_digit and value.lower() not in _NO_CREDENTIALS)
