"""How countries write their numbers at home, as far as nothing else is written so."""

from __future__ import annotations

import re
from typing import Final

from api.collector.redaction.digits import Chain

_GAP: Final = r"(?:\) ?|[-+./ ]| - | / )"

_NORTH_AMERICAN: Final = re.compile(
    r"(?:1[-+. ])?"
    r"(?:\([2-9]\d\d\)[-+. ]?[2-9]\d\d[-+. ]?|[2-9]\d\d([-+. ])[2-9]\d\d(?:\1|[-.]))\d{4}"
)
_TRUNK_ZERO: Final = re.compile(rf"\(?0[1-9]\d{{0,4}}(?:{_GAP}\d{{1,9}}){{1,5}}")
_BRACKETS: Final = re.compile(rf"\((\d{{1,5}})\)[-+ ]?\d{{3,8}}(?:{_GAP}\d{{2,4}}){{0,3}}")
_UNIFORM: Final = (
    ("6789", re.compile(r"[6-9]\d\d([- +])\d\d\1\d\d\1\d\d")),  # Spain
    ("123456789", re.compile(r"[1-9]\d([- +])\d{3}\1\d\d\1\d\d")),  # Spain, Poland
    ("1", re.compile(r"1[3-9]\d([- +])\d{4}\1\d{4}")),  # China's mobiles
    ("8", re.compile(r"8[-+ ]?\(?\d{3}\)?[-+ ]\d{3}[-+ ]\d\d[-+ ]?\d\d")),  # Russia
)
_BEGINNINGS: Final = frozenset({(3, 3), (1, 3), (3, 2), (2, 3), (3, 4)})
"""Sizes of the first two groups, where neither a zero nor a bracket opens the number."""
_NORTH_AMERICAN_STARTS: Final = "123456789("
_GROUPS: Final = re.compile(r"\d+")
_GAPS: Final = re.compile(r"\D+")
_LAST_GROUP: Final = re.compile(r"(\d+)[ +]\Z")
_NEXT_GROUP: Final = re.compile(r"[ +](\d{1,9})")
_TOTAL: Final = range(9, 14)

DASHED: Final = frozenset(
    {
        (2, 8), (2, 3, 4), (2, 4, 4), (2, 2, 2, 2, 2), (2, 3, 2, 2), (2, 3, 3, 2), (3, 7), (3, 8),
        (3, 3, 3), (3, 3, 4), (3, 4, 4), (3, 3, 2, 2), (4, 6), (4, 7), (4, 8), (4, 3, 3),
        (4, 3, 4), (4, 4, 4), (4, 2, 2, 2), (4, 3, 2, 2), (5, 6),
    }
)  # fmt: skip
"""Groups of numbers with dashes only, which order numbers and dates have as well."""


def end_of_local_number(text: str, chain: Chain, at: int) -> int:
    """Where the number that begins with this group ends; 0 when none does."""
    start = chain.starts[at]
    if at == len(chain.gaps):
        return 0  # nobody writes one in a single group
    if chain.sizes[at] == 1 and text[start] == "0":
        return 0  # a trunk zero stands with its area's digits
    if start and text[start - 1] == "(" and (end := _end_from(text, start - 1)):
        return end
    if text[start] == "0" or tuple(chain.sizes[at : at + 2]) in _BEGINNINGS:
        return _end_from(text, start)
    return 0


def _end_from(text: str, start: int) -> int:
    if not may_begin(text, start):
        return 0
    for end in _candidates(text, start):
        if text[start] == "(" and text.find(")", start, end) < 0:
            continue  # the bracket is around the number, and none of it
        if _may_end(text, end) and not goes_on(text, start, end):
            return end
    return 0


def may_begin(text: str, start: int) -> bool:
    """Whether a number may begin here: not within a word, a date, a time or a longer id."""
    before = text[start - 1 : start] if start else ""
    if before in ("-", ".", "/", ":", "+", ",") or before.isdigit():
        further = text[start - 2 : start - 1] if start > 1 else ""
        return not further.isdigit() and not (before in "-." and further.isalnum())
    return not (before.isascii() and (before.isalnum() or before == "_"))


def _may_end(text: str, end: int) -> bool:
    after, further = text[end : end + 1], text[end + 1 : end + 2]
    if after.isascii() and (after.isalnum() or after == "_"):
        return False
    return not (after in ("-", ".", "/", ":") and further.isdigit())


def goes_on(text: str, start: int, end: int) -> bool:
    """Whether it is the middle of a longer number in groups of the same size."""
    sizes = [len(group) for group in _GROUPS.findall(text[start:end])]
    at_least = 3 if len(set(sizes)) == 1 else 4
    before, after = _LAST_GROUP.search(text, max(0, start - 9), start), _NEXT_GROUP.match(text, end)
    return (before is not None and len(before[1]) == sizes[0] >= at_least) or (
        after is not None and len(after[1]) == sizes[-1] >= at_least
    )


def _candidates(text: str, start: int) -> list[int]:
    """Ends of what may be a number, the longest first."""
    ends = []
    first = text[start]
    if first in _NORTH_AMERICAN_STARTS and (match := _NORTH_AMERICAN.match(text, start)):
        ends += [match.end()] if _is_north_american(text, *match.span()) else []
    if first in "0(" and (match := _TRUNK_ZERO.match(text, start)):
        ends += _with_trunk_zero(match[0], start)
    if first == "(" and (match := _BRACKETS.match(text, start)):
        ends += [match.end()] if _is_bracketed(match[0], match[1]) else []
    for starts, pattern in _UNIFORM:
        if first in starts and (match := pattern.match(text, start)):
            ends += [] if _is_listed(text, *match.span()) else [match.end()]
    return sorted(ends, reverse=True)


def _is_north_american(text: str, start: int, end: int) -> bool:
    digits = re.sub(r"\D", "", text[start:end])[-10:]
    if digits[1:3] == "11" or digits[4:6] == "11":
        return False
    return not _is_listed(text, start, end)


def _is_listed(text: str, start: int, end: int) -> bool:
    """`320 480 1024 1440`: whether spaces alone make it, and tie it to more numbers."""
    if not set(_GAPS.findall(text[start:end])) <= {" ", "+"}:
        return False
    return any(c.isdigit() for c in text[max(0, start - 2) : start] + text[end : end + 2])


def _with_trunk_zero(written: str, start: int) -> list[int]:
    ends = [m.end() for m in _GROUPS.finditer(written)]
    return [start + end for end in ends if _has_trunk_zero(written[:end])]


def _has_trunk_zero(written: str) -> bool:
    groups = _GROUPS.findall(written)
    gaps = _GAPS.findall(written.lstrip("("))
    sizes = tuple(map(len, groups))
    if sum(sizes) not in _TOTAL or sizes == (3, 2, 4) or _is_date(groups, sizes):
        return False
    if len(groups) < 2 or sizes[-1] < 2 or (1 in sizes and sizes[1] != 1):
        return False
    kinds = set(gaps)
    if kinds == {"-"}:
        if sizes == (4, 4, 4) and not written.startswith("08"):
            return False
        return sizes in DASHED and (sizes != (2, 8) or written.startswith("06"))
    if kinds == {"."} and len(groups) < 3:
        return False  # 07.1234567 is a decimal number
    return len(kinds) == 1 or set(sizes) != {2}


def _is_date(groups: list[str], sizes: tuple[int, ...]) -> bool:
    return sizes[:3] == (2, 2, 4) and groups[2][:2] in ("19", "20")


def _is_bracketed(written: str, area: str) -> bool:
    if len(area) == 4 and area[:2] in ("19", "20"):
        return False  # (2019) is a year
    total = sum(c.isdigit() for c in written)
    if len(area) == 1:
        return total == 9 and re.fullmatch(r"\(\d\)[-+ ]?\d{4}[-+ ]\d{4}", written) is not None
    return total in _TOTAL
