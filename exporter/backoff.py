"""How long to wait before the next attempt."""

from __future__ import annotations

import random
from datetime import timedelta


def retry_after(attempts: int, *, first: timedelta, longest: timedelta) -> timedelta:
    """The first wait, doubled with each attempt up to the longest, with jitter of a quarter."""
    seconds = min(first.total_seconds() * 2 ** min(attempts, 16), longest.total_seconds())
    return timedelta(seconds=seconds * random.uniform(0.75, 1.25))  # noqa: S311 - jitter
