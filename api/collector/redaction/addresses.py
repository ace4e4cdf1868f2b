"""IP addresses, cut to the network that they belong to."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

_CANDIDATE: Final = re.compile(r"(?<![\w:.])[0-9A-Fa-f:.]{3,45}(?![\w:.])")
_WITH_PORT: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3})(:\d{1,5})?")


def truncate_addresses(text: str) -> str:
    """Each IPv4 address as its /24, each IPv6 address as its /48; the rest as it is.

    `203.0.113.77` becomes `203.0.113.0`; a value that is no address, or is cut already, is
    returned as it came.
    """
    return _CANDIDATE.sub(lambda match: _truncate(match[0]), text)


def _truncate(candidate: str) -> str:
    with_port = _WITH_PORT.fullmatch(candidate)
    host, port = (with_port[1], with_port[2] or "") if with_port else (candidate, "")
    try:
        address = ip_address(host)
    except ValueError:
        return candidate
    network = _network(address)
    return candidate if network == address else f"{network}{port}"


def _network(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return IPv4Address(int(address) & ~0xFF)
    if address.ipv4_mapped is not None:
        return IPv6Address(int(address) & ~0xFF)
    return IPv6Network((int(address), 48), strict=False).network_address
