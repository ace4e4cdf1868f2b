"""Snowplow's self-describing JSON: data that names its own schema, nested and in base64.

https://docs.snowplow.io/docs/fundamentals/schemas/ says `iglu:vendor/name/format/model-revision-
addition`; the event stands in an envelope `unstruct_event`, the entities in an envelope `contexts`.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import replace
from typing import Any, Final, NamedTuple

from api.collector.decode import json_type, load_value
from core.event import MAX_NAME_CHARS
from core.refusal import RefusalReason, Refused

_SCHEMA: Final = re.compile(
    rf"iglu:([\w.-]+)/([\w.-]{{1,{MAX_NAME_CHARS}}})/[\w.-]+/([0-9]{{1,4}}(?=-))?[\w.?*-]*",
    re.ASCII,
)
_URL_SAFE: Final = str.maketrans("-_", "+/", "=")


class SchemaName(NamedTuple):
    """What an Iglu address says."""

    vendor: str
    name: str
    model: int | None
    """The version's first number: data of two models cannot be read alike."""


class SelfDescribing(NamedTuple):
    """Data and the address of its schema."""

    schema: str
    name: SchemaName
    data: Any


def read_envelope(
    params: dict[str, Any], encoded_field: str, plain_field: str
) -> tuple[str, Any | Refused] | None:
    """The `data` of a JSON envelope, and the field it came in; base64 goes before plain text."""
    for field in (encoded_field, plain_field):
        text = params.get(field)
        if text not in (None, ""):
            break
    else:
        return None
    if isinstance(text, str) and field == encoded_field:
        text = _decode_base64(text)
    if isinstance(text, str | bytes):
        text = load_value(text if isinstance(text, bytes) else text.encode())
    if isinstance(text, Refused):
        return field, replace(text, field=field)
    # A server that writes the protocol by hand may leave the JSON as it is.
    if not isinstance(text, dict) or "data" not in text:
        return field, _invalid(field, f"expected {{schema, data}} as JSON, got {json_type(text)}")
    return field, text["data"]


def read_self_describing(value: object, field: str) -> SelfDescribing | Refused:
    """A pair of schema and data; the address of the schema must be one of Iglu's."""
    if not isinstance(value, dict):
        return _invalid(field, f"expected {{schema, data}}, got {json_type(value)}")
    schema = value.get("schema")
    match = _SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if match is None:
        return _invalid(f"{field}.schema", "expected iglu:vendor/name/format/version")
    model = int(match[3]) if match[3] else None
    return SelfDescribing(match[0], SchemaName(match[1], match[2], model), value.get("data"))


def _decode_base64(text: str) -> bytes | Refused:
    """Base64 in either alphabet, with padding or without."""
    body = text.translate(_URL_SAFE)
    try:
        return binascii.a2b_base64(body + "=" * (-len(body) % 4), strict_mode=True)
    except ValueError as exc:  # binascii.Error is one, and so is text beyond ASCII
        return Refused(RefusalReason.INVALID_JSON, f"not base64: {exc}")


def _invalid(field: str, message: str) -> Refused:
    return Refused(RefusalReason.INVALID_EVENT, message, field=field)
