"""IP addresses as senders and proxies write them."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

_LONGEST: Final = 64
"""Characters: an IPv6 address that holds an IPv4 one has 45, and a zone may follow."""


def read_address(text: str) -> str | None:
    """An address in its usual spelling, one of IPv4 that IPv6 maps as itself; None for no address.

    What passes is short: caches and counters may be by it.
    """
    return _read(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=10_000)
def _read(text: str) -> str | None:
    try:
        address = ip_address(text.partition("%")[0])  # without the zone of a link
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)
