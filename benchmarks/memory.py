"""`make bench-memory`: peak memory of an export of 5 and of 20 million rows in one segment."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.buffer import fresh_server
from benchmarks.export import export_in_child, fill
from benchmarks.machine import report

SIZES = os.environ.get("BENCH_MEMORY_ROWS", "5000000,20000000")


def main() -> None:
    """Measure each size in a buffer of its own."""
    for rows in map(int, SIZES.split(",")):
        with fresh_server() as server, tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            fill(server.url, rows, made=200_000)
            exported, size = export_in_child(server, server.url, Path(folder), rows)
        report(
            "memory",
            peak_memory_mb=round(exported.peak_memory_mb),
            rows_per_second=round(exported.rows_per_second),
            cpu_us_per_row=round(exported.cpu_us, 2),
            postgresql_us_per_row=round(exported.server_cpu_us, 2),
            bytes_per_event=round(size / rows, 1),
            rows=rows,
        )


if __name__ == "__main__":
    main()
