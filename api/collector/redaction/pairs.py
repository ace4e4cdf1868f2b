"""Values that a name in the text stands before: query strings, forms, headers, broken JSON."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import unquote

from api.collector.redaction.detector import MARKED, Detector, Span, mark
from api.collector.redaction.names import NameKind, classify
from api.collector.redaction.values import replace_named

# Possessive, and tried only where a name begins: no text is read more than once.
_NO_MARK: Final = r"(?<!redacted:)"
_EQUALS: Final = re.compile(
    rf"(?<![\w.\-\[\]$%]){_NO_MARK}([\w.\-\[\]$%]{{1,80}}+)\s{{0,2}}=(?!=)\s{{0,2}}"
)
_QUOTED_NAME: Final = re.compile(r"""(["'])([^"'\\]{1,80}+)\1\s{0,9}[:=]\s{0,9}""")
_COLON: Final = re.compile(
    rf"""(?<![\w.\-\[\]$%"']){_NO_MARK}([\w.\-\[\]$]{{1,80}}+):(?:\s{{1,4}}|(?=["']))"""
)

_AFTER_COLON: Final = re.compile(r""":[\s"']""")

_QUOTED: Final = re.compile(r"""(["'])((?:(?!\1)[^\\]|\\.)*+)""", re.DOTALL)
_PARAMETER: Final = re.compile(r"""(?:[^\s&#"'<>\\]|\\[^"'\s])*+""")
_LITERAL: Final = re.compile(r"[^\s,}\]\"'&<>]*+")
_HEADER: Final = re.compile(r"""(?:(?:Bearer|Basic|Digest|Token|ApiKey) +)?[^\s"'<>,;]*+""", re.I)
_LIST_OF_ADDRESSES: Final = re.compile(r"[0-9A-Fa-f:.,\[\] ]*+")
_OF_ANY_LENGTH: Final = frozenset({NameKind.SECRET, NameKind.CREDENTIAL})
_MAX_SHORT_CHARS: Final = 256
"""No number, code or list of addresses is longer."""
_TRAILING: Final = ";,.)}"
_JSON_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)

_BY_NAME: Final = frozenset({Detector.SECRET, Detector.PHONE, Detector.IP})
# An OAuth code and a ticket sign somebody in; a voucher's code is short.
_GRANT: Final = re.compile(
    rf"""(?<![\w.\-\[\]$%]){_NO_MARK}(?:code|ticket)="""
    # With a digit that is none of an encoded character's.
    r"""(?=(?:%[0-9A-F]{2}|[^\W\d]|[.~/+%!*$\-]){0,256}+\d)([\w.~/+%!*$\-]{20,}+)""",
    re.I,
)
_USER_INFO: Final = re.compile(r"""://((?:[^/?#\s"'<>\\@]{1,256}+@)+)""")


def find_named(text: str, detectors: Collection[Detector]) -> Iterator[Span]:
    """What stands behind `name=`, `"name":` or `name: `, and in front of an address's host."""
    if _BY_NAME.isdisjoint(detectors):
        return
    if "=" in text:
        yield from _find_parameters(text, detectors)
        if Detector.SECRET in detectors:
            yield from (
                Span(*match.span(1), mark(Detector.SECRET)) for match in _GRANT.finditer(text)
            )
    if '"' in text or "'" in text:
        yield from _find_json_pairs(text, detectors)
    if _AFTER_COLON.search(text):
        yield from _find_headers(text, detectors)
    if "://" in text and Detector.SECRET in detectors:
        yield from _find_user_info(text)


def _find_parameters(text: str, detectors: Collection[Detector]) -> Iterator[Span]:
    at = 0
    while match := _EQUALS.search(text, at):
        at = match.end()
        name = match[1]
        if kind := classify(unquote(name) if "%" in name else name):
            value = _value_after_equals(kind, text, at)
            if kind in _OF_ANY_LENGTH:
                at = max(at, value[1])  # what is in it goes with it, and is not read again
            yield from _judge(kind, text, value, detectors)


def _find_json_pairs(text: str, detectors: Collection[Detector]) -> Iterator[Span]:
    at = 0
    while match := _QUOTED_NAME.search(text, at):
        at = match.end()
        if kind := classify(match[2]):
            value = _value_of_json(text, at)
            at = max(at, value[1])  # what is in it goes with it, and is not read again
            yield from _judge(kind, text, value, detectors)


def _find_user_info(text: str) -> Iterator[Span]:
    """Name and password in front of an address's host."""
    for match in _USER_INFO.finditer(text):
        start, end = match.span(1)
        value = text[start : end - 1]
        if value not in ("", "git") and not MARKED.fullmatch(value):
            yield Span(start, end - 1, mark(Detector.SECRET))


def _judge(
    kind: NameKind, text: str, value: tuple[int, int], detectors: Collection[Detector]
) -> Iterator[Span]:
    start, end = value
    written = text[start:end]
    replacement = replace_named(kind, unquote(written) if "%" in written else written, detectors)
    if replacement is not None:
        yield Span(start, end, replacement)


def _value_after_equals(kind: NameKind, text: str, start: int) -> tuple[int, int]:
    if quoted := _QUOTED.match(text, start):
        return quoted.span(2)
    limit = len(text) if kind in _OF_ANY_LENGTH else start + _MAX_SHORT_CHARS
    end = _PARAMETER.match(text, start, limit).end()  # type: ignore[union-attr]
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


def _find_headers(text: str, detectors: Collection[Detector]) -> Iterator[Span]:
    """`Authorization: Bearer …`, `password: hunter2`; prose (`Secret: a novel`) is left alone."""
    for match in _COLON.finditer(text):
        kind = classify(match[1])
        if kind is None:
            continue
        start = match.end()
        if quoted := _QUOTED.match(text, start):
            yield from _judge(kind, text, quoted.span(2), detectors)
            continue
        pattern = _LIST_OF_ADDRESSES if kind is NameKind.IP else _HEADER
        value = pattern.match(text, start)
        written = value[0].rstrip(_TRAILING + " ") if value else ""
        if kind is not NameKind.SECRET or not written.isalpha():
            yield from _judge(kind, text, (start, start + len(written)), detectors)
