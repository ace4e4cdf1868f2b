"""Promoted columns: chosen properties as typed columns of their own, beside `properties`.

`eventData.price:double` adds `p_price`. What does not fit its type is null there, and counted;
`properties` keeps the full truth.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

import msgspec
import pyarrow as pa

from core.event import COLUMNS

PromotedType = Literal["string", "int", "double", "bool", "timestamp"]

MAX_PROMOTED: Final = 100
_ROOTS: Final = ("properties", "eventData")
_PROMOTION: Final = re.compile(
    r"(?P<root>\w+)\.(?P<path>[^\s.:,]+(?:\.[^\s.:,]+)*)\s*:\s*(?P<type>\w+)"
    r"(?:\s+as\s+(?P<name>[a-z_][a-z0-9_]{0,62}))?"
)
_TAKEN: Final = {column.name for column in COLUMNS} | {"year", "month", "day", "hour", "type"}
_ARROW: Final[dict[PromotedType, pa.DataType]] = {
    "string": pa.string(),
    "int": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.]\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)
_LARGEST_EXACT: Final = 2**53
_FIRST_MILLISECONDS: Final = 100_000_000_000  # as on the wire: a smaller number counts seconds


class Misfit(ValueError):
    """A value is not of the column's type, and nothing that stands for one."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """One property, and the column that it becomes."""

    path: tuple[str, ...]
    type: PromotedType
    column: str

    @property
    def field(self) -> pa.Field:
        """The column in a file."""
        meaning = f"`properties.{'.'.join(self.path)}` as {self.type}; null where it is none."
        return pa.field(self.column, _ARROW[self.type], metadata={"meaning": meaning})


def parse_promotions(text: str | None) -> tuple[Promotion, ...]:
    """`eventData.price:double,properties.cart.id:string as cart_id`, in the order given.

    Raises ValueError for what is no promotion, and for a column's name that is taken.
    """
    promotions: list[Promotion] = []
    for part in (text or "").split(",") if text else ():
        match = _PROMOTION.fullmatch(part.strip())
        if match is None or match["root"] not in _ROOTS:
            raise ValueError(
                f"{part.strip()!r} is no promotion: write properties.price:double, or"
                " properties.cart.total:double as cart_total"
            )
        kind = next((t for t in get_args(PromotedType) if t == match["type"]), None)
        if kind is None:
            raise ValueError(f"{match['type']!r} is no type: {', '.join(get_args(PromotedType))}")
        column = match["name"] or _column_name(match["path"])
        if column == "p_":
            raise ValueError(f"{part.strip()!r}: give the column a name with `as`")
        if column in _TAKEN or column in (p.column for p in promotions):
            raise ValueError(f"the column {column} is there already: give another with `as`")
        promotions.append(Promotion(tuple(match["path"].split(".")), kind, column))
    if len(promotions) > MAX_PROMOTED:
        raise ValueError(f"at most {MAX_PROMOTED} properties can be promoted")
    return tuple(promotions)


def _column_name(path: str) -> str:
    """`cart.totalPrice` is `p_cart_total_price`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", path)
    return "p_" + re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def promote_columns(
    batches: Iterable[pa.RecordBatch],
    promotions: tuple[Promotion, ...],
    misfits: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """The batches with the promoted columns behind their own; adds to `misfits` by column."""
    if not promotions:
        yield from batches
        return
    picker = _Picker(promotions)
    for batch in batches:
        columns = picker.pick(batch.column("properties"), misfits)
        for promotion, column in zip(promotions, columns, strict=True):
            batch = batch.append_column(promotion.field, column)
        yield batch


class _Picker:
    """Decodes each row's properties once, and of them only what is promoted."""

    def __init__(self, promotions: tuple[Promotion, ...]) -> None:
        self._promotions = promotions
        firsts = list(dict.fromkeys(p.path[0] for p in promotions))
        names = {first: f"f{number}" for number, first in enumerate(firsts)}
        picked = msgspec.defstruct(
            "Picked",
            [(name, Any, None) for name in names.values()],
            rename={name: first for first, name in names.items()},
            gc=False,
        )
        self._decode = msgspec.json.Decoder(picked).decode
        self._first = [names[p.path[0]] for p in promotions]

    def pick(self, properties: pa.Array, misfits: Counter[str]) -> list[pa.Array]:
        columns: list[list[Any]] = [[None] * len(properties) for _ in self._promotions]
        plans = [
            (first, p.path[1:], _CONVERT[p.type], column, p.column)
            for first, p, column in zip(self._first, self._promotions, columns, strict=True)
        ]
        for row, text in enumerate(properties.to_pylist()):
            if text is None:
                continue
            try:
                picked = self._decode(text)
            except msgspec.DecodeError:  # a number beyond all floats, say
                misfits.update(p.column for p in self._promotions)
                continue
            for first, rest, convert, column, name in plans:
                value = getattr(picked, first)
                for key in rest:
                    value = value.get(key) if type(value) is dict else None
                if value is None:
                    continue
                try:
                    column[row] = convert(value)
                except (Misfit, OverflowError):
                    misfits[name] += 1
        return [
            pa.array(column, _ARROW[p.type])
            for p, column in zip(self._promotions, columns, strict=True)
        ]


def _to_string(value: Any) -> str:
    """Text as it is; a number or a boolean as JSON has it."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        raise Misfit
    return msgspec.json.encode(value).decode()


def _to_int(value: Any) -> int:
    """A whole number, also as text (`"12"`) or with zeros behind the point (`12.0`)."""
    is_whole_text = isinstance(value, str) and _WHOLE.fullmatch(value)
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_EXACT
    if is_whole_text or is_whole:
        value = int(value)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise Misfit
    return value


def _to_double(value: Any) -> float:
    """A number, also as text with a decimal point (`"12.50"`)."""
    if type(value) in (int, float) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        number = float(value)
        if math.isfinite(number):
            return number
    raise Misfit


def _to_bool(value: Any) -> bool:
    """`true`, `false`, also as text."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise Misfit


def _to_timestamp(value: Any) -> datetime:
    """ISO 8601, UTC where no offset stands; a number is a Unix time in s or, from 1e11 on, ms."""
    try:
        if isinstance(value, str) and _TIME.fullmatch(value):
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        if type(value) in (int, float):
            seconds = value / 1_000 if abs(value) >= _FIRST_MILLISECONDS else value
            return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OSError):
        raise Misfit from None
    raise Misfit


_CONVERT: Final[dict[PromotedType, Callable[[Any], Any]]] = {
    "string": _to_string,
    "int": _to_int,
    "double": _to_double,
    "bool": _to_bool,
    "timestamp": _to_timestamp,
}
