"""What a request says of its sender, beside its body; the whole IP address ends here."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, Literal
from urllib.parse import urlsplit

from api.collector.dialects.dialect import Headers
from core.event import MAX_NAME_CHARS, MAX_TEXT_CHARS

IpMode = Literal["truncate", "drop"]

# Caches below are by what senders say: none may be longer than what is kept of it, or ten thousand
# headers of 16 kB would stay in memory.
_MOST_HOST_BYTES: Final = 1_000

_IPV4_BITS: Final = 24
_IPV6_BITS: Final = 48


def ip_to_store(address: str | None, *, mode: IpMode) -> str | None:
    """What may be written of an address: its network, or nothing."""
    return truncate_ip(address) if address and mode == "truncate" else None


@lru_cache(maxsize=10_000)
def truncate_ip(address: str) -> str | None:
    """Cut an address to its /24 or /48 network; None when it is none (a socket file)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    bits = _IPV4_BITS if parsed.version == 4 else _IPV6_BITS
    return str(ip_network((parsed, bits), strict=False).network_address)


def find_site_id(headers: Headers) -> str:
    """The site a request comes from: Origin's host, else Referer's, else the one it asked for."""
    for name in (b"origin", b"referer"):
        value = headers.get(name)
        if value and value != b"null" and (host := _host(value[:_MOST_HOST_BYTES])):
            return host
    return _host(b"//" + headers.get(b"host", b"")[:_MOST_HOST_BYTES]) or "unknown"


@lru_cache(maxsize=10_000)
def _host(url: bytes) -> str:
    try:
        host = urlsplit(url.decode("ascii")).hostname or ""
    except ValueError:
        return ""
    return host[:MAX_NAME_CHARS] if host.isprintable() else ""


@lru_cache(maxsize=10_000)
def _user_agent(value: bytes) -> str | None:
    return value.decode("latin-1").replace("\0", "")[:MAX_TEXT_CHARS] or None


def find_user_agent(headers: Headers) -> str | None:
    """The User-Agent header, cut to the contract's limit."""
    return _user_agent(headers.get(b"user-agent", b"")[:MAX_TEXT_CHARS])
