"""JSON that stands in a text as base64, as Snowplow's trackers pack what is particular to an event.

In events that could be read it is unpacked long before; here is what to do where they could not.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

# How `{"`, `[{` and their likes begin in base64, whatever whitespace follows the bracket.
_PACKED: Final = re.compile(
    r"(?:eyJ|eyA|ewo|ew0|ewk|W3s|WyI|WyA|Wwo|Ww0|Wwk)"
    r"(?:[A-Za-z0-9+/_-]|%2[BbFf])++(?:=|%3[Dd]){0,2}"
)
_MIN_CHARS: Final = 16


def replace_packed(text: str, redact: Callable[[bytes], str]) -> str:
    """The text with each piece of packed JSON as `redact` leaves it, packed again."""
    return _PACKED.sub(lambda match: _repack(match[0], redact), text)


def _repack(packed: str, redact: Callable[[bytes], str]) -> str:
    letters = unquote(packed).rstrip("=").replace("+", "-").replace("/", "_")
    if len(letters) < _MIN_CHARS:
        return packed
    # A text that was cut may end in half of a group.
    whole = letters if len(letters) % 4 != 1 else letters[:-1]
    opened = base64.urlsafe_b64decode(whole + "=" * (-len(whole) % 4))
    redacted = redact(opened).encode()
    if redacted == opened:
        return packed
    return base64.urlsafe_b64encode(redacted).rstrip(b"=").decode()
