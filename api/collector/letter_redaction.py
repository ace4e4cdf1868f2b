"""Redact what was sent, whatever it is: JSON as the tree that it stands for, the rest as text."""

from __future__ import annotations

import re
from typing import Any, Final, Protocol
from urllib.parse import unquote_plus

import msgspec

from api.collector.json_text import load_json
from api.collector.packed_json import replace_packed

_encode: Final = msgspec.json.Encoder().encode

# `"name": value` in what is not JSON as a whole, or was cut; the last value may have no end.
_JSON_PAIR: Final = re.compile(
    r'(?P<start>"(?P<name>[^"\\]{1,100}+)"\s*:\s*)'
    r'(?P<value>"(?:[^"\\]|\\.)*+"?|[^\s,{}\[\]"]++)'
)
_JSON_OPENING: Final = re.compile(r'"(?P<name>[^"\\]{1,100}+)"\s*:\s*[{\[]')
# What stands in the innermost braces, which may have no end; in a JSON text within another with
# backslashes before its quotes.
_JSON_OBJECT: Final = re.compile(r"\{(?P<inside>[^{}]++)")
_ANY_PAIR: Final = re.compile(
    r'\\*+"(?P<name>[^"\\]{1,100}+)\\*+"\s*:\s*\\*+"(?P<value>[^"\\]{1,100}+)\\*+"'
)
_VALUE: Final = re.compile(r'\\*+"val(?:ue)?\\*+"\s*:')
_OPENING: Final = " \t\r\n["
_PROBES: Final = ("x12345678", "203.0.113.77")
_MARK: Final = "[redacted:secret]"
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
    a value is judged together with the name before it. JSON in base64 is opened.
    """
    text = _redact_payload(payload, redactor)
    return replace_packed(text, lambda opened: _redact_payload(opened, redactor))


def _redact_payload(payload: bytes, redactor: Redactor) -> str:
    try:
        value, _ = redactor.redact_value(load_json(payload))
        return _encode(value).decode()
    except (ValueError, RecursionError):
        text = payload.decode("utf-8", "replace")
        text = _redact_announced(text, redactor)
        return redactor.redact_text(_redact_pairs(text, redactor))[0]


def _redact_announced(text: str, redactor: Redactor) -> str:
    """In `{"name": "password", "value": …}` one pair tells of another."""
    pieces, done = [], 0
    for match in _JSON_OBJECT.finditer(text):
        inside = match["inside"]
        name = next(
            (
                pair["value"]
                for pair in _ANY_PAIR.finditer(inside)
                if _is_announcement(pair["name"], pair["value"], redactor)
            ),
            None,
        )
        if name is None or (value := _VALUE.search(inside)) is None:
            continue
        start = match.start("inside")
        pieces += [text[done:start], f'"name":"{name}","value":"{_MARK}"']
        done = match.end("inside")
        if not inside[value.end() :].strip(_OPENING):
            # The value is an object itself: where it ends is not to be told.
            return "".join(pieces)
    return "".join([*pieces, text[done:]])


def _is_announcement(field: str, name: str, redactor: Redactor) -> bool:
    return any(
        redactor.redact_value({field: name, "value": probe})[0].get("value") != probe
        for probe in _PROBES
    )


def _redact_pairs(text: str, redactor: Redactor) -> str:
    def json_pair(match: re.Match[str]) -> str:
        found, count = redactor.redact_value({match["name"]: match["value"].strip('"')})
        (value,) = found.values()  # the name may be redacted itself
        return f'{match["start"]}"{value}"' if count else match[0]

    def form_pair(match: re.Match[str]) -> str:
        sent = unquote_plus(match["value"])
        text = _redact_announced(sent, redactor)
        found, count = redactor.redact_value({unquote_plus(match["name"]): text})
        (value,) = found.values()
        return f"{match['start']}{value}" if count or text != sent else match[0]

    for match in _JSON_OPENING.finditer(text):
        if redactor.redact_value({match["name"]: {"": "x"}})[1]:
            # Where it ends is not to be told; nothing from here on is kept.
            text = text[: match.end() - 1]
            break
    return _FORM_PAIR.sub(form_pair, _JSON_PAIR.sub(json_pair, text))
