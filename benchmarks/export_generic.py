"""The same rows by pandas or dlt: read, written as Parquet, nothing derived, nothing checked.

Started by `export.py` in a process of its own, by a Python that has the tool; it imports nothing
of the product's. Both read the table as it is, the payload in one piece.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.machine import peak_memory_mb

URL = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)
CHUNK_ROWS = 50_000


def main() -> None:
    tool, rows, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    folder.mkdir(parents=True)
    try:
        run = {"pandas": prepare_pandas, "dlt": prepare_dlt}[tool](rows, folder)
    except ImportError as exc:
        hint = f"{tool} is left out: {exc}. BENCH_{tool.upper()}_PYTHON names a Python that has it."
        print(json.dumps({"absent": hint}))
        return
    cpu, begun = time.process_time(), time.perf_counter()
    run()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_memory_mb": peak_memory_mb()}))


def prepare_pandas(rows, folder):  # type: ignore[no-untyped-def]
    import pandas
    import sqlalchemy

    engine = sqlalchemy.create_engine(URL)

    def run() -> None:
        # Pages of the result, not all of it in memory.
        with engine.connect().execution_options(stream_results=True) as connection:
            frames = pandas.read_sql(query(rows), connection, chunksize=CHUNK_ROWS)
            for number, frame in enumerate(frames):
                frame["event_id"] = frame["event_id"].astype(str)
                frame["payload"] = frame["payload"].map(json.dumps)
                frame.to_parquet(folder / f"{number}.parquet", compression="zstd")

    return run


def prepare_dlt(rows, folder):  # type: ignore[no-untyped-def]
    import dlt
    import sqlalchemy
    from dlt.sources.sql_database import sql_table

    os.environ["DESTINATION__FILESYSTEM__BUCKET_URL"] = folder.as_uri()
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION"] = "true"
    engine = sqlalchemy.create_engine(URL)
    table = sql_table(
        engine,
        table="events_log_1",
        backend="pyarrow",
        chunk_size=CHUNK_ROWS,
        query_adapter_callback=lambda select, _: select.limit(rows),
    )
    pipeline = dlt.pipeline(
        "bench", destination="filesystem", dataset_name="events", pipelines_dir=str(folder / "dlt")
    )
    return lambda: pipeline.run(table, loader_file_format="parquet")


def query(rows: int) -> str:
    return f"SELECT * FROM events_log_1 LIMIT {rows:d}"


if __name__ == "__main__":
    main()
