"""Payment cards: an issuer's prefix, a length that issuer uses, and the Luhn check digit.

Prefixes and lengths follow ISO/IEC 7812 as the issuers publish them. A random number of 16 digits
passes in 2.3 % of cases, which is why bare numbers of lengths that are hardly issued any more
(Visa with 13 or 19 digits, an EAN's and an id's length) must be grouped like a card, or
announced as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from api.collector.redaction.detector import Detector, Span, mark
from api.collector.redaction.digits import Chain, is_attached


@dataclass(frozen=True, slots=True)
class _Issuer:
    """What an issuer's numbers begin with, and how long they are."""

    prefixes: tuple[str, ...]
    usual: frozenset[int]
    rare: frozenset[int]


def _issuer(prefixes: str, usual: set[int], rare: set[int] | None = None) -> _Issuer:
    return _Issuer(tuple(prefixes.split()), frozenset(usual), frozenset(rare or ()))


_ISSUERS: Final = (
    _issuer("4", {16}, {13, 19}),  # Visa
    _issuer("5[1-5] 222[1-9] 22[3-9] 2[3-6] 27[01] 2720", {16}),  # Mastercard
    _issuer("3[47]", {15}),  # American Express
    _issuer("6011 64[4-9] 65", {16}, {17, 18, 19}),  # Discover
    _issuer("30[0-5] 3095 3[689]", {14}, {16, 17, 18, 19}),  # Diners Club
    _issuer("352[89] 35[3-8]", {16}, {17, 18, 19}),  # JCB
    _issuer("62", {16, 17, 18, 19}),  # UnionPay
    _issuer("81", set(), {16, 17, 18, 19}),  # UnionPay, hardly issued
    # Maestro
    _issuer("5018 5020 5038 5612 5893 6304 6390 6759 676[1-37] 6799", set(range(12, 20))),
    _issuer("220[0-4]", {16}),  # Mir
    _issuer("508[5-9] 6069 607 608[0-4]", {16}),  # RuPay
    _issuer("506[0167] 5090 636[23] 504175", {16}),  # Verve, Elo
    _issuer("9792", {16}),  # Troy
)

GROUPINGS: Final = frozenset(
    {
        (4, 4, 4, 4), (4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 1), (4, 4, 4, 2), (4, 4, 4, 3),
        (4, 4, 4, 4, 1), (4, 4, 4, 4, 2), (4, 4, 4, 4, 3), (6, 13), (6, 10), (8, 8),
        (4, 3, 3, 3), (4, 5, 6), (6, 4, 4, 5),
    }
)  # fmt: skip
_MOST_GROUPS: Final = max(map(len, GROUPINGS))
MIN_DIGITS: Final = 12
_LENGTHS: Final = range(MIN_DIGITS, 20)


def _prefixes_by_length(lengths: Callable[[_Issuer], frozenset[int]]) -> dict[int, re.Pattern[str]]:
    return {
        length: re.compile(
            "|".join(p for i in _ISSUERS if length in lengths(i) for p in i.prefixes)
        )
        for length in _LENGTHS
        if any(length in lengths(i) for i in _ISSUERS)
    }


_USUAL: Final = _prefixes_by_length(lambda issuer: issuer.usual)
_POSSIBLE: Final = _prefixes_by_length(lambda issuer: issuer.usual | issuer.rare)
_FIRST_DIGITS: Final = frozenset("2345689")
_ANNOUNCED: Final = re.compile(
    r"(?<!redacted:)(?:card|visa|karte|carte|carta|tarjeta|amex|cc|pan)\W{0,3}(?:no|nr|num|number)?\W{0,3}$",
    re.I,
)
_DOUBLED: Final = str.maketrans("0123456789", "0246813579")


def is_card(digits: str, *, is_announced: bool = False) -> bool:
    """Whether these digits, and nothing but them, are a card's number."""
    prefixes = (_POSSIBLE if is_announced else _USUAL).get(len(digits))
    return prefixes is not None and prefixes.match(digits) is not None and _passes_luhn(digits)


def _passes_luhn(digits: str) -> bool:
    single, double = digits[::-2], digits[-2::-2]
    return (sum(map(int, single)) + sum(map(int, double.translate(_DOUBLED)))) % 10 == 0


def find_cards(text: str, chain: Chain) -> Iterator[Span]:
    """The cards among these digits: in one piece, or in groups as they stand on the card."""
    at = behind_card = 0
    while at < len(chain.starts):
        count = 0
        if text[chain.starts[at]] in _FIRST_DIGITS:
            may_begin = at == behind_card or not _goes_on(chain, at)
            count = _card_at(text, chain, at, may_begin=may_begin)
        if count:
            behind_card = at + count
            yield Span(chain.starts[at], chain.end(behind_card - 1), mark(Detector.CARD))
        at += count or 1


def _goes_on(chain: Chain, at: int) -> bool:
    """Whether this group and the one before are of one longer number, as parcels have."""
    if not 0 < at < len(chain.gaps):
        return False
    return (
        chain.separators[at - 1] == chain.separators[at] and chain.sizes[at - 1] == chain.sizes[at]
    )


def _card_at(text: str, chain: Chain, at: int, *, may_begin: bool) -> int:
    """How many groups, from this one on, make a card; 0 when they make none."""
    size = chain.sizes[at]
    if size in _LENGTHS:
        return int(_is_whole_card(text, chain.starts[at], chain.end(at)))
    if not may_begin or at == len(chain.gaps):
        return 0
    return _spelt_out_at(text, chain, at) if size <= 2 else _grouped_at(text, chain, at)


def _is_whole_card(text: str, start: int, end: int) -> bool:
    digits = text[start:end]
    if not is_card(digits, is_announced=True) or is_attached(text, start, end):
        return False
    return is_card(digits) or _ANNOUNCED.search(text, max(0, start - 24), start) is not None


def _grouped_at(text: str, chain: Chain, at: int) -> int:
    best = 0
    for last in range(at + 1, min(at + _MOST_GROUPS, len(chain.starts))):
        if chain.separators[last - 1] != chain.separators[at]:
            break
        sizes = tuple(chain.sizes[at : last + 1])
        if sizes in GROUPINGS and _is_card_between(text, chain, at, last):
            best = len(sizes)
    return best


def _spelt_out_at(text: str, chain: Chain, at: int) -> int:
    """`4 1 1 1 …` or `41 11 …`: every group of one size, all of them the card."""
    size, gap = chain.sizes[at], chain.separators[at]
    last = at
    while (
        last < len(chain.gaps)
        and last - at < _LENGTHS.stop
        and chain.separators[last] == gap
        and chain.sizes[last + 1] == size
    ):
        last += 1
    total = size * (last - at + 1)
    if total in _LENGTHS and _is_card_between(text, chain, at, last):
        return last - at + 1
    return 0


def _is_card_between(text: str, chain: Chain, first: int, last: int) -> bool:
    if not is_card(chain.digits(text, first, last), is_announced=True):
        return False
    return not is_attached(text, chain.starts[first], chain.end(last))
