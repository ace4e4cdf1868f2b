"""JSON as browsers write it: any value, halves of surrogate pairs mended, nothing infinite."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import msgspec

_decode_any: Final = msgspec.json.Decoder().decode


def load_json(raw: bytes) -> Any:
    """Decode JSON as browsers write it; raises ValueError, UnicodeDecodeError, RecursionError."""
    try:
        return _decode_any(raw)
    except (ValueError, RecursionError):
        return _load_forgiving(raw)


def _load_forgiving(raw: bytes) -> Any:
    value = json.loads(raw.decode(), parse_constant=_refuse_constant, parse_float=_finite)
    return _mend_surrogates(value) if _may_hold_surrogate(raw) else value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is larger than any number can be")
    return value


def _may_hold_surrogate(raw: bytes) -> bool:
    return b"\\ud" in raw or b"\\uD" in raw


def _mend_surrogates(value: Any) -> Any:
    """Replace half of a surrogate pair by U+FFFD.

    Text cut in the middle of an emoji holds one, and neither UTF-8 nor PostgreSQL can.
    """
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {_mend_surrogates(k): _mend_surrogates(v) for k, v in value.items()}
        case list():
            return [_mend_surrogates(v) for v in value]
        case _:
            return value
