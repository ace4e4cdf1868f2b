"""Phone numbers, where the shape convinces: a plus and a country, a country's way of writing, or
a word that announces one. A bare run of digits is none.

International numbers are judged by libphonenumber's metadata. Its own matcher takes up to a
millisecond for a candidate, which a hostile text could ask for thousands of times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

from api.collector.redaction.detector import Detector, Span, mark
from api.collector.redaction.digits import Chain
from api.collector.redaction.local_phones import end_of_local_number, goes_on, may_begin

MIN_DIGITS: Final = 7
_MAX_DIGITS: Final = 15  # ITU-T E.164
_ANNOUNCED: Final = re.compile(
    r"(?:(?<!redacted:)(?:\b|_)(?:tel|telefono?|telefone|teléfono|téléphone|(?:cell|mobile|tele)?phone"
    r"|mobile?|móvil|movil|celular|cell|fax|whatsapp|handy|natel|gsm|msisdn|rufnummer|sms|callto)"
    r"(?:[^\w,{}&]{0,3}(?:nr|no|num|number|nummer|is|at|us|me))?[^\w,{}&]{0,4}|wa\.me/)[(+]?\Z",
    re.IGNORECASE,
)
_PLUS: Final = re.compile(r"(?:\A|[^0-9A-Za-z])(?:\(\+|\+\(|\+) ?\Z")
_ANNOUNCEMENT_CHARS: Final = 32
_DECIMAL: Final = re.compile(r"\d+\.\d{5,}+(?!\.\d)")
_THOUSANDS: Final = re.compile(r"\d{1,3}(?:[ .]\d{3})+")


def find_phones(text: str, chain: Chain) -> Iterator[Span]:
    """The phone numbers among these digits."""
    at = 0
    while at < len(chain.starts):
        start = chain.starts[at]
        end = _end_of_number(text, chain, at)
        if end == 0:
            at += 1
            continue
        while start and text[start - 1] in "+(":
            start -= 1
        yield Span(start, end, mark(Detector.PHONE))
        while at < len(chain.starts) and chain.starts[at] < end:
            at += 1


def _end_of_number(text: str, chain: Chain, at: int) -> int:
    start, end = chain.starts[at], chain.end(at)
    if _is_international(text, start):
        return _end_of_international(text, chain, at, skip=0)
    if text.startswith("00", start, end) and may_begin(text, start):
        found = _end_of_international(text, chain, at, skip=2)
        # Bare, it is a number padded with zeros.
        if found > end and not goes_on(text, start, found):
            return found
    if at == 0 and _ANNOUNCED.search(text, max(0, start - _ANNOUNCEMENT_CHARS), start):
        return _end_of_announced(chain)
    return end_of_local_number(text, chain, at)


def _is_international(text: str, start: int) -> bool:
    """Whether a plus stands before these digits that is no sign and no space of a query."""
    before = max(0, start - 4)
    return "+" in text[before:start] and _PLUS.search(text, before, start) is not None


def _end_of_international(text: str, chain: Chain, at: int, *, skip: int) -> int:
    """The end of the longest valid number that begins here; 0 when there is none."""
    best, digits = 0, ""
    for index in range(at, len(chain.starts)):
        gaps = chain.gaps[at:index]
        if "+" in "".join(gaps) and not _are_from_a_query(gaps):
            break  # the next number's sign
        start, end = chain.starts[index], chain.end(index)
        if not _is_trunk_zero(text, start, end):
            digits += text[start:end]
        if len(digits) - skip > _MAX_DIGITS:
            break
        if _is_convincing(text[chain.starts[at] : end], digits[skip:]):
            best = end
    return best


def _are_from_a_query(gaps: list[str]) -> bool:
    """Whether a plus among these can be a space: nothing is a space there, and none is doubled."""
    return not any(" " in gap or gap.count("+") > 1 for gap in gaps)


def _is_trunk_zero(text: str, start: int, end: int) -> bool:
    """`+41 (0)44`: written for callers from within, not dialled from abroad."""
    return text[max(0, start - 1) : end + 1] == "(0)"


def _is_convincing(written: str, digits: str) -> bool:
    if len(digits) < MIN_DIGITS or not is_valid_number(digits):
        return False
    if _DECIMAL.match(written):
        return False  # +47.3768871 is a latitude
    return not (_THOUSANDS.fullmatch(written) and digits.endswith("000000"))


def is_valid_number(digits: str) -> bool:
    """Whether a country code leads these digits, and its numbering plan has such a number."""
    for size in (1, 2, 3):
        plans = _plans(int(digits[:size])) if digits[0] != "0" else ()
        if plans:
            national = digits[size:]
            candidates = (national, national[1:]) if national[:1] == "0" else (national,)
            return any(plan.fullmatch(c) for plan in plans for c in candidates)
    return False


@lru_cache(maxsize=1_000)
def _plans(country_code: int) -> tuple[re.Pattern[str], ...]:
    patterns = []
    for region in COUNTRY_CODE_TO_REGION_CODE.get(country_code, ()):
        if region == "001":  # of no country: satellites, freephone
            metadata = PhoneMetadata.metadata_for_nongeo_region(country_code)
        else:
            metadata = PhoneMetadata.metadata_for_region(region)
        numbers = metadata and metadata.general_desc
        if numbers and numbers.national_number_pattern:
            patterns.append(re.compile(numbers.national_number_pattern))
    return tuple(patterns)


def load_numbering_plans() -> None:
    """Read every country's plan now (0.2 s) rather than while a request waits."""
    for country_code in COUNTRY_CODE_TO_REGION_CODE:
        _plans(country_code)


def _end_of_announced(chain: Chain) -> int:
    """After `Tel.`: all groups up to the longest number there is."""
    best = count = 0
    for index, size in enumerate(chain.sizes):
        count += size
        if count > _MAX_DIGITS:
            break
        if count >= MIN_DIGITS:
            best = chain.end(index)
    return best
