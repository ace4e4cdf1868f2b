"""Redact what was sent, whatever it is: JSON as the tree that it stands for, the rest as text."""

from __future__ import annotations

import re
from typing import Any, Final, Protocol
from urllib.parse import unquote_plus

import msgspec

from api.collector.json_text import load_json

_encode: Final = msgspec.json.Encoder().encode

# `"name": value` in what is not JSON as a whole, or was cut; the last value may have no end.
_JSON_PAIR: Final = re.compile(
    r'(?P<start>"(?P<name>[^"\\]{1,100}+)"\s*:\s*)'
    r'(?P<value>"(?:[^"\\]|\\.)*+"?|[^\s,{}\[\]"]++)'
)
_JSON_OPENING: Final = re.compile(r'"(?P<name>[^"\\]{1,100}+)"\s*:\s*[{\[]')
_FORM_PAIR: Final = re.compile(
    r'(?<![\w.%+\[\]-])(?P<start>(?P<name>[\w.%+\[\]-]{1,100}+)=)(?P<value>[^&\s"]++)'
)


class Redactor(Protocol):
    """What recognises personal data; both say how many values they replaced."""

    def redact_text(self, text: str) -> tuple[str, int]:
        """Text without what must not be stored."""

    def redact_value(self, value: Any) -> tuple[Any, int]:
        """A JSON tree without it, and without what stands under a sensitive name."""


def redact_payload(payload: bytes, redactor: Redactor) -> str:
    """What may be kept of a payload; never raises.

    Names count too where the tree cannot be read: in broken or cut JSON, and in query strings,
    a value is judged together with the name before it.
    """
    try:
        value, _ = redactor.redact_value(load_json(payload))
        return _encode(value).decode()
    except (ValueError, RecursionError):
        text = payload.decode("utf-8", "replace")
        return redactor.redact_text(_redact_pairs(text, redactor))[0]


def _redact_pairs(text: str, redactor: Redactor) -> str:
    def json_pair(match: re.Match[str]) -> str:
        found, count = redactor.redact_value({match["name"]: match["value"].strip('"')})
        (value,) = found.values()  # the name may be redacted itself
        return f'{match["start"]}"{value}"' if count else match[0]

    def form_pair(match: re.Match[str]) -> str:
        pair = {unquote_plus(match["name"]): unquote_plus(match["value"])}
        found, count = redactor.redact_value(pair)
        (value,) = found.values()
        return f"{match['start']}{value}" if count else match[0]

    for match in _JSON_OPENING.finditer(text):
        if redactor.redact_value({match["name"]: {"": "x"}})[1]:
            # Where it ends is not to be told; nothing from here on is kept.
            text = text[: match.end() - 1]
            break
    return _FORM_PAIR.sub(form_pair, _JSON_PAIR.sub(json_pair, text))
