"""`make bench-redaction`: what redaction takes from the collector's throughput.

Two collectors write to one buffer, one as it is by default and one with `REDACT=none`; they are
loaded turn by turn, so that whatever else the machine does meets both alike. The ratio is of the
sums; 1 would mean that redaction costs nothing.
"""

from __future__ import annotations

import statistics
import sys

from benchmarks.buffer import fresh_buffer
from benchmarks.collect import SETTINGS
from benchmarks.load import CONNECTIONS, batches, send
from benchmarks.machine import report
from benchmarks.serving import serving

PAIRS = 24
SECONDS = 3.0


def main() -> None:
    """Measure and print."""
    batched = batches(20_000)
    rates: list[tuple[float, float]] = []
    with (
        fresh_buffer() as url,
        serving(url, **SETTINGS) as (with_it, _),
        serving(url, REDACT="none", **SETTINGS) as (without, _),
    ):
        for port in (with_it, without):
            send(port, batched, seconds=1.5)  # warm
        for turn in range(PAIRS):
            # Each goes first as often as the other: the buffer is a little fuller for the second.
            ports = (with_it, without) if turn % 2 else (without, with_it)
            rate = {port: send(port, batched, seconds=SECONDS).events_per_second for port in ports}
            rates.append((rate[with_it], rate[without]))
            print(f"pair {turn + 1} of {PAIRS}: {rates[-1][0] / rates[-1][1]:.3f}", file=sys.stderr)
    on, off = (sum(column) for column in zip(*rates, strict=True))
    report(
        "redaction",
        ratio=round(on / off, 3),
        median_ratio=round(statistics.median(a / b for a, b in rates), 3),
        events_per_second=round(on / PAIRS),
        events_per_second_without=round(off / PAIRS),
        pairs=PAIRS,
        connections=CONNECTIONS,
    )


if __name__ == "__main__":
    main()
