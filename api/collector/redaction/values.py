"""Whether a value under a telling name is what the name says, and what replaces it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from api.collector.redaction.addresses import truncate_addresses
from api.collector.redaction.detector import MARKED, Detector, mark
from api.collector.redaction.names import NameKind

_FLAGS: Final = frozenset(
    "true false null none undefined nil nan yes no on off 0 1 ? [object] [filtered]".split()
)
_MASKED: Final = re.compile(rf"[\s*•●·.xX_-]*|(?:{MARKED.pattern}\s*)+")
_CODE: Final = re.compile(r"(?=\D*\d)[A-Za-z0-9\s-]{3,64}")
_DIGIT: Final = re.compile(r"\d")
_SCHEME: Final = re.compile(r"(?:bearer|basic|digest|token|apikey)\s+\S", re.IGNORECASE)
_NO_CREDENTIALS: Final = frozenset({"oauth1", "oauth2", "saml2", "oauth2.0", "web3auth"})
_PHONE: Final = re.compile(r"\s*[+(]?[\d\s().\-/+\u2010-\u2015\u00a0]{6,24}(?:\s*(?:x|ext)\.?\s*\d+)?\s*")
_PHONE_DIGITS: Final = range(6, 16)

_DETECTORS: Final = {
    NameKind.SECRET: Detector.SECRET,
    NameKind.CODE: Detector.SECRET,
    NameKind.CREDENTIAL: Detector.SECRET,
    NameKind.CARD: Detector.CARD,
    NameKind.SSN: Detector.SSN,
    NameKind.IBAN: Detector.IBAN,
    NameKind.PHONE: Detector.PHONE,
    NameKind.IP: Detector.IP,
}


def replace_named(kind: NameKind, value: str, detectors: Collection[Detector]) -> str | None:
    """What is to stand in the place of a value under such a name; None to leave it alone."""
    detector = _DETECTORS[kind]
    if detector not in detectors:
        # A card's, bank account's or person's number is a sensitive name's value as well.
        if kind not in (NameKind.CARD, NameKind.SSN, NameKind.IBAN):
            return None
        detector = Detector.SECRET
        if detector not in detectors:
            return None
    if value.strip().lower() in _FLAGS or _MASKED.fullmatch(value):
        return None
    if kind is NameKind.IP:
        truncated = truncate_addresses(value)
        return truncated if truncated != value else None
    return mark(detector) if _is_meant(kind, value) else None


def _is_meant(kind: NameKind, value: str) -> bool:
    match kind:
        case NameKind.SECRET:
            return True
        case NameKind.CODE:
            return _CODE.fullmatch(value) is not None
        case NameKind.CREDENTIAL:
            return _looks_like_a_credential(value)
        case NameKind.PHONE:
            count = sum(c.isdigit() for c in value)
            return _PHONE.fullmatch(value) is not None and count in _PHONE_DIGITS
        case _:
            return _DIGIT.search(value) is not None


def _looks_like_a_credential(value: str) -> bool:
    """`auth: "Basic dXNlcg=="` does; `auth: "required"` does not."""
    if _SCHEME.match(value):
        return True
    has_digit = len(value) >= 6 and _DIGIT.search(value) is not None
    return len(value) >= 20 or (has_digit and value.lower() not in _NO_CREDENTIALS)
