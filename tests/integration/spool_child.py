"""A process that appends to a spool and says what it was told is durable.

python -m tests.integration.spool_child append FOLDER NAME FIRST_NUMBER SIZE
python -m tests.integration.spool_child fill FOLDER MIN_FREE_BYTES
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

from api.collector.spool import Spool, SpoolEntry, SpoolFull

BALLAST_BYTES = 1_000_000


def append(folder: Path, name: str, number: int, size: int) -> None:
    """Append for ever: `NAME NUMBER `, then bytes of a random length."""
    spool = Spool.open(folder, max_bytes=500_000_000, min_free_bytes=0)
    while True:
        entries = [
            SpoolEntry(
                b"%s %d " % (name.encode(), number + n) + os.urandom(random.randrange(size)), 1
            )
            for n in range(random.choice((1, 1, 3)))
        ]
        spool.append(entries)
        number += len(entries)
        # One write, so that a line is whole or not there.
        os.write(1, b"%d\n" % (number - 1))


def fill(folder: Path, min_free_bytes: int) -> None:
    """Append until the disk is full, make room, append again; tell how it went."""
    for name in ("ballast", "more ballast"):
        (folder / name).write_bytes(bytes(BALLAST_BYTES))
    spool = Spool.open(folder / "spool", max_bytes=10**9, min_free_bytes=min_free_bytes)
    told = {"before": append_until_full(spool), "still": append_until_full(spool)}
    kept = len(spool.first(max_bytes=10**9))
    (folder / "ballast").unlink()
    told |= {"kept": kept, "after": append_until_full(spool)}
    stored = spool.first(max_bytes=10**9)
    told |= {"intact": all(s.is_intact for s in stored), "kept_after": len(stored)}
    if min_free_bytes < 0:  # to forget is to write: without a floor it needs room, too
        (folder / "more ballast").unlink()
    spool.forget_through(stored[-1].number, spool_id=spool.spool_id)
    told |= {"again": append_until_full(spool)}
    print(json.dumps(told))


def append_until_full(spool: Spool) -> int:
    """How many entries went in."""
    kept = 0
    while True:
        try:
            spool.append([SpoolEntry(os.urandom(20_000), 1)])
        except SpoolFull:
            return kept
        kept += 1


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["append", folder, name, number, size]:
            append(Path(folder), name, int(number), int(size))
        case ["fill", folder, min_free_bytes]:
            fill(Path(folder), int(min_free_bytes))
