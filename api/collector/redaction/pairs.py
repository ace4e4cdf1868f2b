"""Values that a name in the text stands before: query strings, forms, headers, broken JSON."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import unquote

from api.collector.redaction.detector import MARKED, Detector, Span
from api.collector.redaction.names import NameKind, classify
from api.collector.redaction.values import replace_named

# Possessive, and tried only where a name begins: no text is read more than once.
_EQUALS: Final = re.compile(r"(?<![\w.\-\[\]$%])([\w.\-\[\]$%]{1,80}+)\s{0,2}=(?!=)\s{0,2}")
_QUOTED_NAME: Final = re.compile(r"""(["'])([^"'\\]{1,80}+)\1\s{0,9}[:=]\s{0,9}""")
_COLON: Final = re.compile(r"""(?<![\w.\-\[\]$%"'])([\w.\-\[\]$]{1,80}+):(?:\s{1,4}|(?=["']))""")

_QUOTED: Final = re.compile(r"""(["'])((?:(?!\1)[^\\]|\\.)*+)""", re.DOTALL)
_PARAMETER: Final = re.compile(r"""(?:[^\s&#"'<>\\]|\\[^"'\s])*+""")
_LITERAL: Final = re.compile(r"[^\s,}\]\"'&<>]*+")
_HEADER: Final = re.compile(r"""(?:(?:Bearer|Basic|Digest|Token|ApiKey) +)?[^\s"'<>,;]*+""", re.I)
_LIST_OF_ADDRESSES: Final = re.compile(r"[0-9A-Fa-f:.,\[\] ]*+")
_TRAILING: Final = ";,.)}]"
_JSON_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)

_USER_INFO: Final = re.compile(r"""://((?:[^/?#\s"'<>\\@]{1,256}+@)+)""")


def find_pairs(text: str, detectors: Collection[Detector]) -> Iterator[Span]:
    """What stands behind `name=`, `"name":` or `name: `, where the name is a telling one."""
    if "=" in text:
        for match in _EQUALS.finditer(text):
            name = match[1]
            kind = classify(unquote(name) if "%" in name else name)
            if kind:
                yield from _judge(kind, text, _value_after_equals(text, match.end()), detectors)
    if ":" in text:
        yield from _find_json_pairs(text, detectors)
        for match in _COLON.finditer(text):
            if kind := classify(match[1]):
                yield from _judge_header(kind, text, match.end(), detectors)


def _find_json_pairs(text: str, detectors: Collection[Detector]) -> Iterator[Span]:
    at = 0
    while match := _QUOTED_NAME.search(text, at):
        at = match.end()
        if kind := classify(match[2]):
            value = _value_of_json(text, at)
            at = max(at, value[1])  # what is in it goes with it, and is not read again
            yield from _judge(kind, text, value, detectors)


def find_user_info(text: str) -> Iterator[Span]:
    """Name and password in front of an address's host."""
    if "://" not in text:
        return
    for match in _USER_INFO.finditer(text):
        start, end = match.span(1)
        value = text[start : end - 1]
        if value not in ("", "git") and not MARKED.fullmatch(value):
            yield Span(start, end - 1, "[redacted:secret]")


def _judge(
    kind: NameKind, text: str, value: tuple[int, int], detectors: Collection[Detector]
) -> Iterator[Span]:
    start, end = value
    written = text[start:end]
    replacement = replace_named(kind, unquote(written) if "%" in written else written, detectors)
    if replacement is not None:
        yield Span(start, end, replacement)


def _value_after_equals(text: str, start: int) -> tuple[int, int]:
    if quoted := _QUOTED.match(text, start):
        return quoted.span(2)
    end = _PARAMETER.match(text, start).end()  # type: ignore[union-attr]
    return start, start + len(text[start:end].rstrip(_TRAILING))


def _value_of_json(text: str, start: int) -> tuple[int, int]:
    if quoted := _QUOTED.match(text, start):
        return quoted.span(2)
    if text[start : start + 1] in ("{", "["):
        return start, _end_of_container(text, start)
    return start, _LITERAL.match(text, start).end()  # type: ignore[union-attr]


def _end_of_container(text: str, start: int) -> int:
    """Behind the bracket that closes this one; the text's end when none does."""
    depth = 0
    for token in _JSON_TOKEN.finditer(text, start):
        if token[0] in "{[":
            depth += 1
        elif token[0] in "}]":
            depth -= 1
            if depth == 0:
                return token.end()
    return len(text)


def _judge_header(
    kind: NameKind, text: str, start: int, detectors: Collection[Detector]
) -> Iterator[Span]:
    """`Authorization: Bearer …`, `password: hunter2`; prose (`Secret: a novel`) is left alone."""
    if quoted := _QUOTED.match(text, start):
        yield from _judge(kind, text, quoted.span(2), detectors)
        return
    pattern = _LIST_OF_ADDRESSES if kind is NameKind.IP else _HEADER
    value = pattern.match(text, start)
    assert value is not None
    written = value[0].rstrip(_TRAILING + " ")
    if kind is NameKind.SECRET and written.isalpha():
        return
    yield from _judge(kind, text, (start, start + len(written)), detectors)
