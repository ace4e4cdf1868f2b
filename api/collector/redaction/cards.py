"""Payment cards: an issuer's prefix, a length that issuer uses, and the Luhn check digit.

Prefixes and lengths follow ISO/IEC 7812 as the issuers publish them. A random number of 16 digits
passes in 2.3 % of cases, which is why bare numbers of lengths that are hardly issued any more
(Visa with 13 or 19 digits, an EAN's and an id's length) must be grouped like a card, or
announced as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from api.collector.redaction.detector import Detector, Span, mark
from api.collector.redaction.digits import Chain, is_attached


@dataclass(frozen=True, slots=True)
class Issuer:
    """What an issuer's numbers begin with, and how long they are."""

    prefixes: tuple[str, ...]
    usual: frozenset[int]
    rare: frozenset[int]


def _issuer(prefixes: str, usual: set[int], rare: set[int] | None = None) -> Issuer:
    return Issuer(tuple(prefixes.split()), frozenset(usual), frozenset(rare or ()))


ISSUERS: Final = (
    _issuer("4", {16}, {13, 19}),  # Visa
    _issuer("5[1-5] 222[1-9] 22[3-9] 2[3-6] 27[01] 2720", {16}),  # Mastercard
    _issuer("3[47]", {15}),  # American Express
    _issuer("6011 64[4-9] 65", {16}, {17, 18, 19}),  # Discover
    _issuer("30[0-5] 3095 3[689]", {14}, {16, 17, 18, 19}),  # Diners Club
    _issuer("352[89] 35[3-8]", {16}, {17, 18, 19}),  # JCB
    _issuer("62", {16, 17, 18, 19}),  # UnionPay
    _issuer("81", set(), {16, 17, 18, 19}),  # UnionPay, hardly issued
    _issuer("5018 5020 5038 5612 5893 6304 6390 6759 676[1-37] 6799", set(range(12, 20))),  # Maestro
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
_LENGTHS: Final = range(12, 20)
_PATTERNS: Final = tuple(
    (re.compile("|".join(issuer.prefixes)), issuer.usual, issuer.rare) for issuer in ISSUERS
)
_ANNOUNCED: Final = re.compile(
    r"(?:card|visa|karte|carte|carta|tarjeta|amex|cc|pan)\W{0,3}(?:no|nr|num|number)?\W{0,3}$", re.I
)
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def is_card(digits: str, *, is_announced: bool = False) -> bool:
    """Whether these digits, and nothing but them, are a card's number."""
    length = len(digits)
    for prefixes, usual, rare in _PATTERNS:
        if (length in usual or (is_announced and length in rare)) and prefixes.match(digits):
            return _passes_luhn(digits)
    return False


def _passes_luhn(digits: str) -> bool:
    values = [ord(c) - 48 for c in reversed(digits)]
    return (sum(values[::2]) + sum(_DOUBLED[v] for v in values[1::2])) % 10 == 0


def find_cards(text: str, chain: Chain) -> Iterator[Span]:
    """The cards among these digits: in one piece, or in groups as they stand on the card."""
    at = 0
    while at < len(chain.groups):
        count = _card_at(text, chain, at)
        if count:
            start, end = chain.groups[at][0], chain.groups[at + count - 1][1]
            yield Span(start, end, mark(Detector.CARD))
        at += count or 1


def _card_at(text: str, chain: Chain, at: int) -> int:
    """How many groups, from this one on, make a card; 0 when they make none."""
    start, end = chain.groups[at]
    if end - start in _LENGTHS:
        announced = bool(_ANNOUNCED.search(text, max(0, start - 24), start))
        is_one = is_card(text[start:end], is_announced=announced)
        return int(is_one and not is_attached(text, start, end))
    if end - start <= 2:
        return _spelt_out_at(text, chain, at)
    return _grouped_at(text, chain, at)


def _grouped_at(text: str, chain: Chain, at: int) -> int:
    gap = chain.gaps[at] if at < len(chain.gaps) else ""
    if at and chain.gaps[at - 1] == gap and chain.size(at - 1) == 4:
        return 0  # the middle of a longer number
    sizes = [chain.size(at)]
    best = 0
    for index in range(at + 1, min(at + _MOST_GROUPS, len(chain.groups))):
        if chain.gaps[index - 1] != gap:
            break
        sizes.append(chain.size(index))
        if tuple(sizes) in GROUPINGS and _is_card_between(text, chain, at, index):
            best = len(sizes)
    return best


def _spelt_out_at(text: str, chain: Chain, at: int) -> int:
    """`4 1 1 1 …` or `41 11 …`: every group of one size, all of them the card."""
    size, gap = chain.size(at), chain.gaps[at] if at < len(chain.gaps) else ""
    if at and chain.gaps[at - 1] == gap and chain.size(at - 1) == size:
        return 0
    index = at
    while (
        index + 1 < len(chain.groups)
        and index - at < _LENGTHS.stop
        and chain.gaps[index] == gap
        and chain.size(index + 1) == size
    ):
        index += 1
    total = size * (index - at + 1)
    if total in _LENGTHS and _is_card_between(text, chain, at, index):
        return index - at + 1
    return 0


def _is_card_between(text: str, chain: Chain, first: int, last: int) -> bool:
    digits = "".join(text[s:e] for s, e in chain.groups[first : last + 1])
    if not is_card(digits, is_announced=True):
        return False
    return not is_attached(text, chain.groups[first][0], chain.groups[last][1])
