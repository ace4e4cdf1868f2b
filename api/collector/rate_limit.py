"""Token buckets: so much at once, so much a second, for each key.

No clock in here: `now` is any clock in seconds that never runs backwards.
"""

from __future__ import annotations

from collections import OrderedDict


class TokenBuckets:
    """One bucket for each key; the keys longest unheard of are forgotten above `max_keys`.

    Of a bucket only one number is kept: the moment at which it will be full again.
    """

    def __init__(self, *, rate_per_second: float, burst: float, max_keys: int) -> None:
        if not (rate_per_second > 0 and burst > 0 and max_keys > 0):
            raise ValueError("rate, burst and number of keys must be above zero")
        self._rate, self._burst, self._max_keys = rate_per_second, burst, max_keys
        self._seconds_to_fill = burst / rate_per_second
        self._one = min(1.0, burst)
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, cost: float, now: float) -> float:
        """Take tokens and return 0.0; when there are too few, take none and return the wait.

        What costs more than a bucket holds passes when the bucket is full, and leaves it in debt.
        """
        wait = self._wait(key, cost if cost < self._burst else self._burst, now)
        if wait > 0:
            return wait
        full_at = self._full_at
        full_at[key] = max(full_at.get(key, now), now) + cost / self._rate
        full_at.move_to_end(key)
        if len(full_at) > self._max_keys:
            full_at.popitem(last=False)
        return 0.0

    def empty_for(self, key: str, now: float) -> float:
        """Seconds until there is a token again; 0.0 when there is one. Takes nothing.

        Turns a sender away before its body is read.
        """
        return self._wait(key, self._one, now)

    def _wait(self, key: str, wanted: float, now: float) -> float:
        full_at = self._full_at.get(key)
        if full_at is None or full_at <= now:
            return 0.0
        # Who is turned away again and again must not be forgotten, and so forgiven.
        self._full_at.move_to_end(key)
        wait = full_at - now - (self._seconds_to_fill - wanted / self._rate)
        return wait if wait > 0 else 0.0
