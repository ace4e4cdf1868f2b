"""`make bench-tracker`: weight, cost and survival, ours beside four others, in one run.

BENCH_TRACKER_N: visits a tracker in each row of survival. BENCH_TRACKER_ROWS: some rows only.
BENCH_TRACKER_PARTS: of bytes, cpu and survival.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.tracker import cpu, sizes, survival
from benchmarks.tracker.scenarios import SCENARIOS
from benchmarks.tracker.trackers import TRACKERS

VISITS = 3
STARTS = 8
SCRIPTED_VISITS = 2


def main() -> None:
    """Measure and print."""
    # Stopped from outside, too, it ends the stack and the browser that it began.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if shutil.which("node") is None:
        sys.exit("The other trackers are npm packages: bench-tracker needs Node and npm.")
    parts = os.environ.get("BENCH_TRACKER_PARTS", "bytes cpu survival").split()
    rows = os.environ.get("BENCH_TRACKER_ROWS", " ".join(SCENARIOS)).split()
    visits = int(os.environ.get("BENCH_TRACKER_N", VISITS))
    with tempfile.TemporaryDirectory(dir="/var/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        peers = survival.build_peers(folder / "peers")
        if "bytes" in parts:
            sizes.measure(peers)
        with (
            survival.running(folder) as stack,
            survival.open_lanes(stack, TRACKERS, folder) as lanes,
        ):
            if "cpu" in parts:
                cpu.measure(lanes, visits=STARTS, scripted_visits=SCRIPTED_VISITS)
            if "survival" in parts:
                survival.measure(stack, lanes, visits=visits, rows=rows)


if __name__ == "__main__":
    main()
