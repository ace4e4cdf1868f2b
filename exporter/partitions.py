"""Split batches into a site's hours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.keys import Partition


def split_batch(batch: pa.RecordBatch) -> Iterator[tuple[Partition, pa.RecordBatch]]:
    """Each partition's rows, in the order in which they came; every row in exactly one.

    Needs the columns `site_id` and `received_at`.
    """
    if not batch.num_rows:
        return
    sites = batch.column("site_id").dictionary_encode()
    hours = pc.floor_temporal(batch.column("received_at"), unit="hour").dictionary_encode()
    site_names: list[str] = sites.dictionary.to_pylist()
    hour_starts: list[datetime] = [h.astimezone(UTC) for h in hours.dictionary.to_pylist()]
    if len(site_names) == 1 and len(hour_starts) == 1:
        yield Partition(site_names[0], hour_starts[0]), batch
        return
    codes = np.asarray(sites.indices) * len(hour_starts) + np.asarray(hours.indices)
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    ends = np.append(starts[1:], len(codes))
    for code, start, end in zip(present, starts, ends, strict=True):
        site, hour = divmod(int(code), len(hour_starts))
        yield (
            Partition(site_names[site], hour_starts[hour]),
            batch.take(pa.array(order[start:end])),
        )
