"""A column with its meaning: what the bucket's own description of a dataset is made from."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

TIME: Final = pa.timestamp("us", tz="UTC")
FIRST_RELEASE: Final = "0.1.0"


def column(
    name: str,
    kind: pa.DataType,
    meaning: str,
    *,
    never_null: bool = False,
    since: str = FIRST_RELEASE,
) -> pa.Field:
    """One column of a dataset; `since` is the release that had it first.

    In Parquet all columns are optional, those that are never null too: what is required can
    never again be left out without breaking a reader.
    """
    metadata = {"meaning": meaning, "since": since}
    return pa.field(name, kind, metadata=metadata | ({"never_null": "true"} if never_null else {}))
