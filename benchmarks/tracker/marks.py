"""Marks by which an event is known again, in whatever way a tracker writes it down."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote_plus

_MARK = re.compile(r"~([ev])\.([a-z0-9_]+\.\d+\.\d+)~")


def event_mark(cell: str, visit: int, number: int) -> str:
    """Of an event that the page records; it stands in its properties."""
    return f"~e.{cell}.{visit}.{number}~"


def view_mark(cell: str, visit: int, number: int) -> str:
    """Of a page that is viewed; it stands in its address."""
    return f"~v.{cell}.{visit}.{number}~"


def count_marks(body: bytes, view: str) -> Counter[str]:
    """How often each event, and each view (an event with the pattern), is in a request."""
    counted: Counter[str] = Counter()
    for event in _events(body):
        mark = mark_of(json.dumps(event, ensure_ascii=False), is_view=view)
        if mark:
            counted[mark] += 1
    return counted


def mark_of(text: str, *, is_view: str | bool) -> str | None:
    """What this one event is known by; an address alone marks nothing but a view of it."""
    found = {kind: f"~{kind}.{rest}~" for kind, rest in reversed(_MARK.findall(_plain(text)))}
    if "e" in found:
        return found["e"]
    viewed = is_view if isinstance(is_view, bool) else re.search(is_view, text) is not None
    return found.get("v") if viewed else None


def _plain(text: str) -> str:
    return unquote_plus(text) if "%7" in text else text


def _events(body: bytes) -> Iterator[Any]:
    """The events of a body: an array, an envelope with an array in it, or one alone.

    What an envelope says is said of each of its events that does not say it itself.
    """
    content = _decode(body)
    if isinstance(content, dict):
        for name in ("events", "batch", "data"):
            events = content.get(name)
            if isinstance(events, list):
                shared = {key: value for key, value in content.items() if key != name}
                yield from ({**shared, **e} if isinstance(e, dict) else e for e in events)
                return
    yield from content if isinstance(content, list) else [content]


def _decode(body: bytes) -> Any:
    """From JSON, gzipped or not, or in base64 in a form's field."""
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    with_form = body.decode(errors="replace")
    try:
        return json.loads(with_form)
    except ValueError:
        pass
    for value in parse_qs(with_form).get("data", []):
        try:
            return json.loads(base64.b64decode(value))
        except (ValueError, binascii.Error, zlib.error):
            continue
    return with_form
