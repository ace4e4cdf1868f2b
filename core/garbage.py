"""Garbage collection in processes that live long."""

from __future__ import annotations

import gc


def collect_seldom() -> None:
    """Leave what stands for the life of the process out of every garbage collection.

    What a request or a batch makes is freed by its references; cycles are few. Collecting as often
    as is usual took 5 % of the collector's time under load. To be called when all is set up.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
