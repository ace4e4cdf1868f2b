"""Split batches into partitions: a site's hours, or what the template makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.keys import Partition, type_of_folder
from exporter.layout import Layout

_PLAIN = Layout()


def split_batch(
    batch: pa.RecordBatch, layout: Layout = _PLAIN
) -> Iterator[tuple[Partition, pa.RecordBatch]]:
    """Each partition's rows, in the order in which they came; every row in exactly one.

    Needs the columns `site_id`, `received_at`, `occurred_at` and `event_type`.
    """
    if not batch.num_rows:
        return
    unit = "hour" if "hour" in layout.template else "day"
    sites = batch.column("site_id").dictionary_encode()
    starts = pc.floor_temporal(cutting_times(batch, layout), unit=unit).dictionary_encode()
    types, type_codes = _types(batch, layout)
    site_names: list[str] = sites.dictionary.to_pylist()
    start_times: list[datetime] = [h.astimezone(UTC) for h in starts.dictionary.to_pylist()]
    if len(site_names) == len(start_times) == len(types) == 1:
        yield Partition(site_names[0], start_times[0], types[0]), batch
        return
    codes = np.asarray(sites.indices, dtype=np.int64) * len(start_times)
    codes = (codes + np.asarray(starts.indices)) * len(types) + type_codes
    order = np.argsort(codes, kind="stable")
    present, firsts = np.unique(codes[order], return_index=True)
    ends = np.append(firsts[1:], len(codes))
    for code, first, end in zip(present, firsts, ends, strict=True):
        rest, kind = divmod(int(code), len(types))
        site, start = divmod(rest, len(start_times))
        yield (
            Partition(site_names[site], start_times[start], types[kind]),
            batch.take(pa.array(order[first:end])),
        )


def cutting_times(batch: pa.RecordBatch, layout: Layout) -> pa.Array:
    """The times that say which partition a row is of.

    Cut by `occurred_at`, a row that is later than the bound, or of the future, goes by
    `received_at`: no clock of a visitor opens a folder of 1970 or of 2099.
    """
    received = batch.column("received_at")
    if layout.cut_by == "received_at":
        return received
    occurred = batch.column("occurred_at")
    bound = pa.scalar(layout.lateness, pa.duration("us"))
    timely = pc.and_(
        pc.less_equal(occurred, received),
        pc.greater_equal(occurred, pc.subtract(received, bound)),
    )
    return pc.if_else(pc.fill_null(timely, False), occurred, received)


def _types(batch: pa.RecordBatch, layout: Layout) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The folders' types, each once, and for each row which of them is its own."""
    if "type" not in layout.template:
        return [""], np.zeros(batch.num_rows, dtype=np.int64)
    encoded = batch.column("event_type").dictionary_encode()
    folders = [type_of_folder(name) for name in encoded.dictionary.to_pylist()]
    types = list(dict.fromkeys(folders))
    places = np.asarray([types.index(folder) for folder in folders], dtype=np.int64)
    return types, places[np.asarray(encoded.indices)]
