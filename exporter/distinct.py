"""The distinct combinations of some columns' values, so that each is looked at once a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Numbers = npt.NDArray[np.int64]

# Times a batch's rows it is an int64 still.
_MAX_COMBINATIONS: Final = 1 << 31


def find_distinct(columns: Sequence[pa.Array]) -> tuple[Numbers, Numbers]:
    """The first row of each combination, and for every row which of them it is; nulls are equal."""
    codes, size = np.zeros(len(columns[0]), dtype=np.int64), 1
    is_numbered = True
    for column in columns:
        if column.null_count == len(column):
            continue
        encoded = column.dictionary_encode(null_encoding="encode")
        values = len(encoded.dictionary)
        if values == 1:
            continue
        is_numbered = size == 1
        codes, size = codes * values + encoded.indices.to_numpy(), size * values
        if size > _MAX_COMBINATIONS:
            codes, size, is_numbered = _renumber(codes), len(codes), True
    if not is_numbered:
        codes = _renumber(codes)
    rows = np.zeros(codes.max(initial=-1) + 1, dtype=np.int64)
    rows[codes[::-1]] = np.arange(len(codes))[::-1]  # of equals the last one written stays
    return rows, codes


def _renumber(codes: Numbers) -> Numbers:
    found = pa.array(codes).dictionary_encode().indices.to_numpy()
    return np.asarray(found, dtype=np.int64)
