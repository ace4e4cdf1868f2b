"""One text: everything that is found in it, replaced in place."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from api.collector.redaction.cards import find_cards
from api.collector.redaction.detector import Detector, Span, is_in_authority
from api.collector.redaction.digits import find_chains
from api.collector.redaction.emails import find_emails
from api.collector.redaction.ibans import find_ibans
from api.collector.redaction.pairs import find_pairs, find_user_info
from api.collector.redaction.phones import find_phones
from api.collector.redaction.ssns import find_ssns
from api.collector.redaction.view import plain, read_closer

MIN_CHARS: Final = 6
"""Nothing shorter holds anything: `a@b.cd`."""

_MAX_PASSES: Final = 5


def redact_scanned(text: str, detectors: Collection[Detector]) -> tuple[str, int]:
    """Replace what the detectors find in a text; returns it and how many pieces were replaced.

    What was tied to a piece that is gone can be found without it, hence more than one pass: the
    result holds nothing that another call would find.
    """
    count = 0
    for _ in range(_MAX_PASSES):
        spans = _merge(_find(text, detectors))
        if not spans:
            break
        text = _replace(text, spans)
        count += len(spans)
    return text, count


def _find(text: str, detectors: Collection[Detector]) -> Iterator[Span]:
    """What stands under a name is looked for in every reading, shapes in the last one only.

    A parameter's value ends where the reading that shows its name says so; a half-decoded number
    resembles other numbers.
    """
    named = not {Detector.SECRET, Detector.PHONE, Detector.IP}.isdisjoint(detectors)
    for view in read_closer(text):
        last = view
        spans: Iterator[Span] = iter(())
        if named:
            spans = find_pairs(view.text, detectors)
        for start, end, replacement in spans:
            yield Span(*view.original(start, end), replacement)
        if Detector.SECRET in detectors:
            for start, end, replacement in find_user_info(view.text):
                yield Span(*view.original(start, end), replacement)
    last = plain(last)
    for start, end, replacement in _find_shapes(last.text, detectors):
        yield Span(*last.original(start, end), replacement)


def _find_shapes(text: str, detectors: Collection[Detector]) -> Iterator[Span]:
    if Detector.EMAIL in detectors:
        yield from find_emails(text)
    if Detector.IBAN in detectors:
        yield from find_ibans(text)
    by_digits = (
        (Detector.CARD, find_cards),
        (Detector.SSN, find_ssns),
        (Detector.PHONE, find_phones),
    )
    finders = [find for detector, find in by_digits if detector in detectors]
    if finders:
        for chain in find_chains(text):
            for find in finders:
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
