"""How countries write their numbers at home, as far as nothing else is written so."""

from __future__ import annotations

import re
from typing import Final

_GAP: Final = r"(?:\) ?|[-+./ ]| - | / )"

_NORTH_AMERICAN: Final = re.compile(
    r"(?:1[-+. ])?(?:\([2-9]\d\d\)[-+. ]?[2-9]\d\d[-+. ]?|[2-9]\d\d([-+. ])[2-9]\d\d(?:\1|[-.]))\d{4}"
)
_TRUNK_ZERO: Final = re.compile(rf"\(?0[1-9]\d{{0,4}}(?:{_GAP}\d{{1,8}}){{1,5}}")
_BRACKETS: Final = re.compile(rf"\((\d{{1,5}})\)[-+ ]?\d{{3,8}}(?:{_GAP}\d{{2,4}}){{0,3}}")
_UNIFORM: Final = (
    re.compile(r"[6-9]\d\d([- +])\d\d\1\d\d\1\d\d"),  # Spain
    re.compile(r"[1-9]\d([- +])\d{3}\1\d\d\1\d\d"),  # Spain, Poland, Switzerland without its zero
    re.compile(r"1[3-9]\d([- +])\d{4}\1\d{4}"),  # China's mobiles
    re.compile(r"8[-+ ]?\(?\d{3}\)?[-+ ]\d{3}[-+ ]\d\d[-+ ]?\d\d"),  # Russia
)
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


def end_of_local_number(text: str, start: int) -> int:
    """Where the number that begins at these digits ends; 0 when none does."""
    if start and text[start - 1] == "(":
        start -= 1
    if not may_begin(text, start):
        return 0
    for end in _candidates(text, start):
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
    before, after = _LAST_GROUP.search(text, max(0, start - 9), start), _NEXT_GROUP.match(text, end)
    return (before is not None and len(before[1]) == sizes[0] > 3) or (
        after is not None and len(after[1]) == sizes[-1] > 3
    )


def _candidates(text: str, start: int) -> list[int]:
    """Ends of what may be a number, the longest first."""
    ends = []
    if (match := _NORTH_AMERICAN.match(text, start)) and _is_north_american(text, *match.span()):
        ends.append(match.end())
    if match := _TRUNK_ZERO.match(text, start):
        ends += _with_trunk_zero(match[0], start)
    if (match := _BRACKETS.match(text, start)) and _is_bracketed(match[0], match[1]):
        ends.append(match.end())
    for pattern in _UNIFORM:
        if match := pattern.match(text, start):
            ends.append(match.end())
    return sorted(ends, reverse=True)


def _is_north_american(text: str, start: int, end: int) -> bool:
    digits = re.sub(r"\D", "", text[start:end])[-10:]
    if digits[1:3] == "11" or digits[4:6] == "11":
        return False
    # `320 480 1024 1440` is a list of widths.
    apart = text[start:end].replace("+", " ").count(" ") == 2
    return not (apart and (text[max(0, start - 2) : start] + text[end : end + 2]).strip(" +").isdigit())


def _with_trunk_zero(written: str, start: int) -> list[int]:
    ends = [m.end() for m in _GROUPS.finditer(written)]
    return [start + end for end in ends if _has_trunk_zero(written[:end])]


def _has_trunk_zero(written: str) -> bool:
    groups = _GROUPS.findall(written)
    gaps = _GAPS.findall(written.lstrip("("))
    sizes = tuple(map(len, groups))
    if sum(sizes) not in _TOTAL or _is_date(groups, sizes):
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
