"""One text: everything that is found in it, replaced in place."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Final

from api.collector.redaction import cards, phones
from api.collector.redaction.detector import Detector, Span, is_in_authority
from api.collector.redaction.digits import find_chains
from api.collector.redaction.emails import find_emails
from api.collector.redaction.ibans import find_ibans
from api.collector.redaction.pairs import find_named
from api.collector.redaction.ssns import find_ssns
from api.collector.redaction.view import View, plain, read_closer

_TELLING: Final = re.compile(r"[@%\\=:\d]|[^\x00-\x7f]")
_MIN_CHARS: Final = 5  # pwd=x

_BY_DIGITS: Final = (
    (Detector.CARD, cards.MIN_DIGITS, cards.find_cards),
    (Detector.SSN, 9, find_ssns),
    (Detector.PHONE, phones.MIN_DIGITS, phones.find_phones),
)
_MAX_PASSES: Final = 5
_APART: Final = frozenset({"", "&", "=", "#", '"', "'", "<", ">", "\n"})


def is_plain(text: str) -> bool:
    """Whether a look is enough to know that nothing is in it: no digit, no sign that tells."""
    return len(text) < _MIN_CHARS or _TELLING.search(text) is None


def redact_suspect(
    text: str, detectors: Collection[Detector], *, suspects: Callable[[bytes], bool]
) -> tuple[str, int]:
    """Replace what the detectors find in a text; returns it and how many pieces were replaced.

    What was tied to a piece that is gone can be found without it, hence more than one pass: the
    result holds nothing that another call would find.
    """
    count = 0
    for _ in range(_MAX_PASSES):
        spans = _merge(_find(text, detectors))
        if not spans:
            break
        count += len(spans)
        is_done = all(_stands_alone(text, span) for span in spans)
        text = _replace(text, spans)
        if is_done or not suspects(encode_text(text)):
            break
    return text, count


def _stands_alone(text: str, span: Span) -> bool:
    """Whether nothing around it can have been tied to it."""
    return text[span.start - 1 : span.start] in _APART and text[span.end : span.end + 1] in _APART


def encode_text(text: str) -> bytes:
    """UTF-8; half of a surrogate pair, which UTF-8 cannot hold, as if it could."""
    return text.encode("utf-8", "surrogatepass")


def _find(text: str, detectors: Collection[Detector]) -> Iterator[Span]:
    """What stands under a name is looked for in every reading, shapes in the last one only.

    A parameter's value ends where the reading that shows its name says so; a half-decoded number
    resembles other numbers.
    """
    view = View(text)
    for view in read_closer(text):
        yield from _in_original(view, find_named(view.text, detectors))
    view = plain(view)
    yield from _in_original(view, _find_shapes(view.text, detectors))


def _in_original(view: View, spans: Iterator[Span]) -> Iterator[Span]:
    for start, end, replacement in spans:
        yield Span(*view.original(start, end), replacement)


def _find_shapes(text: str, detectors: Collection[Detector]) -> Iterator[Span]:
    if Detector.EMAIL in detectors:
        yield from find_emails(text)
    if Detector.IBAN in detectors:
        yield from find_ibans(text)
    finders = [finder for finder in _BY_DIGITS if finder[0] in detectors]
    if finders:
        for chain in find_chains(text, at_least=min(count for _, count, _ in finders)):
            for _, _, find in finders:
                yield from find(text, chain)


def _merge(found: Iterator[Span]) -> list[Span]:
    """Spans in order, overlapping ones as one: the longest, or the first found, names it."""
    merged: list[tuple[Span, int]] = []
    for span in sorted(found, key=lambda s: s.start):
        size = span.end - span.start
        if merged and span.start < merged[-1][0].end:
            before, before_size = merged[-1]
            named, longest = (before, before_size) if before_size >= size else (span, size)
            end = max(before.end, span.end)
            merged[-1] = Span(before.start, end, named.replacement), longest
        else:
            merged.append((span, size))
    return [span for span, _ in merged]


def _replace(text: str, spans: list[Span]) -> str:
    pieces = []
    done = 0
    for start, end, replacement in spans:
        pieces.append(text[done:start])
        pieces.append(_fit(text, start, replacement))
        done = end
    pieces.append(text[done:])
    return "".join(pieces)


def _fit(text: str, start: int, replacement: str) -> str:
    """A mark as it may stand here: a bracket in an address's host part means IPv6 to parsers."""
    if replacement.startswith("[") and is_in_authority(text, start):
        return replacement.replace("[", "%5B").replace("]", "%5D")
    return replacement
