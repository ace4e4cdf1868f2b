"""IBANs: the country's length and structure, and ISO 7064's check modulo 97."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from api.collector.redaction.detector import Detector, Span, mark

_STRUCTURES: Final = {
    "AD": "8n12c", "AE": "19n", "AL": "8n16c", "AT": "16n", "AZ": "4a20c", "BA": "16n",
    "BE": "12n", "BG": "4a6n8c", "BH": "4a14c", "BR": "23n1a1c", "BY": "4c4n16c", "CH": "5n12c",
    "CR": "18n", "CY": "8n16c", "CZ": "20n", "DE": "18n", "DK": "14n", "DO": "4c20n", "EE": "16n",
    "EG": "25n", "ES": "20n", "FI": "14n", "FO": "14n", "FR": "10n11c2n", "GB": "4a14n",
    "GE": "2a16n", "GI": "4a15c", "GL": "14n", "GR": "7n16c", "GT": "4c20c", "HR": "17n",
    "HU": "24n", "IE": "4a14n", "IL": "19n", "IQ": "4a15n", "IS": "22n", "IT": "1a10n12c",
    "JO": "4a4n18c", "KW": "4a22c", "KZ": "3n13c", "LB": "4n20c", "LC": "4a24c", "LI": "5n12c",
    "LT": "16n", "LU": "3n13c", "LV": "4a13c", "LY": "21n", "MC": "10n11c2n", "MD": "2c18c",
    "ME": "18n", "MK": "3n10c2n", "MR": "23n", "MT": "4a5n18c", "MU": "4a19n3a", "NL": "4a10n",
    "NO": "11n", "PK": "4a16c", "PL": "24n", "PS": "4a21c", "PT": "21n", "QA": "4a21c",
    "RO": "4a16c", "RS": "18n", "SA": "2n18c", "SC": "4a20n3a", "SD": "14n", "SE": "20n",
    "SI": "15n", "SK": "20n", "SM": "1a10n12c", "ST": "21n", "SV": "4a20n", "TL": "19n",
    "TN": "20n", "TR": "6n16c", "UA": "6n19c", "VA": "18n", "VG": "4a16n", "XK": "16n",
}  # fmt: skip
"""The part behind the check digits, from SWIFT's IBAN registry: n digits, a letters, c either."""

_CLASSES: Final = {"n": "[0-9]", "a": "[A-Z]", "c": "[0-9A-Z]"}
_PART: Final = re.compile(r"(\d+)([nac])")


def _spell_out(structure: str) -> list[str]:
    """A structure as one class of characters for each place."""
    return [_CLASSES[kind] for n, kind in _PART.findall(structure) for _ in range(int(n))]


_PLACES: Final = {country: _spell_out(s) for country, s in _STRUCTURES.items()}
_PATTERNS: Final = {
    country: re.compile(country + "[0-9]{2}" + "".join(places))
    for country, places in _PLACES.items()
}
_BEGINNING: Final = re.compile(r"[A-Za-z]{2}[0-9]{2}")
_SEPARATORS: Final = frozenset(" -+.")
_LOWER_HEX: Final = frozenset("0123456789abcdef")


def find_ibans(text: str) -> Iterator[Span]:
    """The IBANs in a text: in one piece or in groups, in capitals or not."""
    for match in _BEGINNING.finditer(text):
        country = match[0][:2].upper()
        if country in _PATTERNS and _may_begin(text, match.start()):
            end = _end_of_iban(text, match.start(), country)
            if end:
                yield Span(match.start(), end, mark(Detector.IBAN))


def _may_begin(text: str, start: int) -> bool:
    """Whether no word goes on here; `IBANCH93…` is what forms make of a label and a value.

    Nor a UUID, whose last groups may look like `…-ad24-152758372918`.
    """
    before = text[max(0, start - 4) : start]
    last = before[-1:]
    if last == "-" and text[start].islower() and before[-2:-1] in _LOWER_HEX:
        return False
    return not (last.isascii() and last.isalnum()) or before.lower() == "iban"


def _end_of_iban(text: str, start: int, country: str) -> int:
    """Where the IBAN that begins here ends; 0 when it is none."""
    wanted = 4 + len(_PLACES[country])
    at, chars = start, ""
    while len(chars) < wanted:
        char = text[at : at + 1]
        if char in _SEPARATORS and chars and text[at - 1] not in _SEPARATORS:
            at += 1
            continue
        if not (char.isascii() and char.isalnum()):
            return 0
        chars += char
        at += 1
    following = text[at : at + 1]
    if following.isascii() and following.isalnum():
        return 0
    number = chars.upper()
    return at if _PATTERNS[country].fullmatch(number) and _checks(number) else 0


def _checks(number: str) -> bool:
    if number[2:4] in ("00", "01", "99"):
        return False  # never made: the rule gives 02 to 98
    moved = number[4:] + number[:4]
    return int("".join(str(int(c, 36)) for c in moved)) % 97 == 1
