"""JSON bodies of other protocols with an array in which each item answers for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import msgspec

from api.collector.decode import json_type, load_value, split_body
from core.refusal import RefusalReason, Refused

_decode: Final = msgspec.json.Decoder().decode


def load_with_items(
    body: bytes, member: str, *, enclose: Callable[[bytes], bytes]
) -> Any | Refused:
    """A body whose items stand in the array `member`, or that is an array itself.

    Where it cannot be read whole, a Refused among the items stands for each that cannot be read;
    `enclose` makes a body of its own of one.
    """
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        split = split_body(body, member=member)
    if isinstance(split, Refused):
        return split
    envelope, raw_items = split
    if raw_items is None:
        return load_value(body)  # says what is wrong with it
    items = [_load_item(raw, enclose) for raw in raw_items]
    return envelope | {member: items} if envelope else items


def _load_item(raw: bytes, enclose: Callable[[bytes], bytes]) -> Any | Refused:
    value = load_value(raw)
    return replace(value, payload=enclose(raw)) if isinstance(value, Refused) else value


def check_items(items: Any, member: str | None, *, max_events: int) -> list[Any] | Refused:
    """The items themselves, if they are an array of a length that is taken in."""
    if not isinstance(items, list):
        message = f"expected an array, got {json_type(items)}"
        return Refused(RefusalReason.INVALID_EVENT, message, field=member)
    if not items:
        return Refused(RefusalReason.EMPTY_BATCH, "the array is empty", field=member)
    if len(items) > max_events:
        return Refused(
            RefusalReason.TOO_LARGE,
            f"{len(items):,} events in one request; the limit is {max_events:,}: split the batch",
            field=member,
        )
    return items
