"""How much one address, and one site, may send: what is over it is answered 429, and counted.

Each process counts for itself, with its share of what the settings allow the whole collector.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_network
from typing import Final

from api.collector.dialects.dialect import DecodedBody
from api.collector.rate_limit import TokenBuckets
from core.refusal import RefusalReason, Refused

BURST_SECONDS: Final = 10
_MAX_ADDRESSES: Final = 100_000
_MAX_SITES: Final = 10_000


class Throttle:
    """The buckets of a process; a rate of 0 is no limit."""

    def __init__(
        self,
        *,
        per_ip: int,
        per_site: int,
        processes: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._addresses = _buckets(per_ip, processes, _MAX_ADDRESSES)
        self._sites = _buckets(per_site, processes, _MAX_SITES)
        self._monotonic = monotonic
        # Large bodies are judged in threads of their own.
        self._lock = threading.Lock()

    def turn_away(self, ip: str | None) -> Refused | None:
        """Before the body is read: whether an address has nothing left."""
        if self._addresses is None or ip is None:
            return None
        with self._lock:
            wait = self._addresses.empty_for(_sender_of(ip), self._monotonic())
        return _refuse("this address", wait) if wait else None

    def charge_ip(self, ip: str | None, events: int) -> Refused | None:
        """Take a request's events from its address's bucket."""
        if self._addresses is None or ip is None or not events:
            return None
        with self._lock:
            wait = self._addresses.take(_sender_of(ip), events, self._monotonic())
        return _refuse("this address", wait) if wait else None

    def charge_sites(self, decoded: DecodedBody, fallback_site_id: str) -> None:
        """Refuse, in place, the events of a site that sends too much."""
        if self._sites is None:
            return
        events = decoded.events
        sites = [
            None if isinstance(event, Refused) else event.site_id or fallback_site_id
            for event in events
        ]
        limited: dict[str | None, Refused] = {}
        for site_id, number in Counter(s for s in sites if s is not None).items():
            with self._lock:
                wait = self._sites.take(site_id, number, self._monotonic())
            if wait:
                limited[site_id] = replace(_refuse("this site", wait), site_id=site_id)
        if limited:
            decoded.events = [
                limited.get(site, event) for site, event in zip(sites, events, strict=True)
            ]


def retry_after(refused: list[Refused]) -> int | None:
    """Whole seconds after which what was over a limit may come again."""
    waits = [r.retry_after_seconds for r in refused if r.reason is RefusalReason.RATE_LIMITED]
    return max(1, math.ceil(max(waits))) if waits else None


def _buckets(rate: int, processes: int, max_keys: int) -> TokenBuckets | None:
    if not rate:
        return None
    share = rate / processes
    return TokenBuckets(rate_per_second=share, burst=share * BURST_SECONDS, max_keys=max_keys)


def _refuse(who: str, wait: float) -> Refused:
    return Refused(
        RefusalReason.RATE_LIMITED,
        f"more than {who} may send: come again in {math.ceil(wait)} s",
        retry_after_seconds=wait,
    )


@lru_cache(maxsize=10_000)
def _sender_of(ip: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 address: whoever has one has all of them."""
    return str(ip_network((ip, 64), strict=False)) if ":" in ip else ip
