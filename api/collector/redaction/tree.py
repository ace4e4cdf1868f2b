"""A JSON tree: every text in it, what stands under a telling name, and keys that tell too much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from api.collector.redaction.allow import MAX_PATH_NAMES, is_allowed
from api.collector.redaction.cards import is_card
from api.collector.redaction.detector import Detector, mark
from api.collector.redaction.names import NameKind, classify
from api.collector.redaction.values import replace_named

_WHOLE: Final = frozenset(NameKind) - {NameKind.PHONE, NameKind.IP}
"""Kinds that hold for everything below a name; a phone's or an address's may tell many things."""

RedactText = Callable[[str, int], tuple[str, int]]

_NAME_FIELDS: Final = ("name", "key", "field", "id", "label", "param", "parameter", "header")
_VALUE_FIELDS: Final = frozenset({"value", "val"})
_MAX_CARD: Final = 10**19
_MIN_CARD: Final = 10**11
_MAX_DECIMAL: Final = 10**100


@dataclass(frozen=True, slots=True)
class TreeRules:
    """What is looked for, what is left alone, and how a text is redacted."""

    detectors: frozenset[Detector]
    allowed: frozenset[str]
    redact_text: RedactText


@dataclass(slots=True)
class _Place:
    """A container that is already a copy, what its name says, and where it is."""

    container: Any
    kind: NameKind | None
    path: tuple[str, ...]
    nesting: int


def redact_tree(
    value: Any, rules: TreeRules, *, name: str = "", nesting: int = 0
) -> tuple[Any, int]:
    """The tree with what was found replaced, and how often; what was given is left as it is.

    `nesting` counts how many JSON texts the tree itself was found in. There is no recursion, since
    what was sent may be nested deeper than Python's stack.
    """
    root = _Place({name: value}, None, (), nesting)
    count = 0
    open_places = [root]
    while open_places:
        place = open_places.pop()
        count += _redact_container(place, rules, open_places)
    (redacted,) = root.container.values()
    return redacted, count


def _redact_container(place: _Place, rules: TreeRules, open_places: list[_Place]) -> int:
    container = place.container
    is_list = isinstance(container, list)
    announced = None
    if not is_list and not _VALUE_FIELDS.isdisjoint(container):
        announced = _kind_announced(container)
    count = 0
    for key, child in list(enumerate(container) if is_list else container.items()):
        kind, path = place.kind, place.path
        if not is_list:
            kind = _kind_of(key, place.kind, announced)
            if rules.allowed:
                path = (*path, key)[-MAX_PATH_NAMES:]
                if is_allowed(path, rules.allowed):
                    continue
        if isinstance(child, dict | list):
            copy = container[key] = child.copy()
            goes_on = kind in _WHOLE or (isinstance(child, list) and not is_list)
            open_places.append(_Place(copy, kind if goes_on else None, path, place.nesting))
        elif (replaced := _redact_leaf(child, kind, rules, place.nesting)) is not None:
            container[key], found = replaced
            count += found
    return count if is_list else count + _redact_keys(place, rules)


def _kind_of(key: str, inherited: NameKind | None, announced: NameKind | None) -> NameKind | None:
    if inherited is NameKind.SECRET:
        return inherited
    return classify(key) or inherited or (announced if key in _VALUE_FIELDS else None)


def _kind_announced(fields: dict[str, Any]) -> NameKind | None:
    """`{"name": "password", "value": …}`, as forms are serialised."""
    for field in _NAME_FIELDS:
        name = fields.get(field)
        if isinstance(name, str) and (kind := classify(name)):
            return kind
    return None


def _redact_leaf(
    value: Any, kind: NameKind | None, rules: TreeRules, nesting: int
) -> tuple[Any, int] | None:
    """What replaces a leaf, and how many pieces of it; None when it stays."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        replacement = replace_named(kind, value, rules.detectors) if kind else None
        if replacement is not None and kind is not NameKind.IP:
            return replacement, 1
        # An address is cut, not replaced: something else may stand beside it.
        text, count = rules.redact_text(replacement or value, nesting)
        count += replacement is not None
        return (text, count) if count else None
    digits = _digits_of(value)
    if kind and (replacement := replace_named(kind, digits, rules.detectors)) is not None:
        return replacement, 1
    if Detector.CARD in rules.detectors and digits.isdigit() and is_card(digits):
        return mark(Detector.CARD), 1
    return None


def _digits_of(number: int | float) -> str:
    """A number as a person would write it; a whole one, however it was sent, without a point."""
    if isinstance(number, float):
        is_whole = _MIN_CARD <= number < _MAX_CARD and number.is_integer()
        return str(int(number)) if is_whole else repr(number)
    # Python refuses to write thousands of digits in decimal.
    return str(number) if -_MAX_DECIMAL < number < _MAX_DECIMAL else hex(number)


def _redact_keys(place: _Place, rules: TreeRules) -> int:
    """Replace keys that are themselves an address or a number; two alike stay two."""
    renamed: dict[str, str] = {}
    count = 0
    for key in place.container:
        text, found = rules.redact_text(key, place.nesting)
        if found:
            renamed[key] = text
            count += found
    if renamed:
        fields = list(place.container.items())
        place.container.clear()
        taken = {key for key, _ in fields if key not in renamed}
        numbers: dict[str, int] = {}
        for key, value in fields:
            new = renamed.get(key)
            place.container[key if new is None else _free_name(new, taken, numbers)] = value
    return count


def _free_name(name: str, taken: set[str], numbers: dict[str, int]) -> str:
    free = name
    while free in taken:
        numbers[name] = numbers.get(name, 1) + 1
        free = f"{name} {numbers[name]}"
    taken.add(free)
    return free
