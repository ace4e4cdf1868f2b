"""Whose address counts: the peer's, unless the peer is a proxy that we trust."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.addresses import read_address

if TYPE_CHECKING:
    from starlette.types import Scope


# Longer than any honest way here; what is cached is by what senders say.
_MOST_CACHED_BYTES: Final = 200
_MAPPED: Final = re.compile(r"::ffff:(?=\d+\.)", re.IGNORECASE)
"""Before an address of IPv4 as IPv6 maps it."""


class TrustedProxies:
    """Addresses whose `X-Forwarded-For` is believed, by uvicorn's rules."""

    def __init__(self, addresses: str) -> None:
        """Comma-separated addresses and networks, or `*`."""
        usual = ",".join(read_address(one.strip()) or one for one in addresses.split(","))
        self._hosts = ProxyHeadersMiddleware(_nothing, trusted_hosts=usual).trusted_hosts
        self._sender_behind_cached = lru_cache(maxsize=10_000)(self._sender_behind)

    def sender_of(self, scope: Scope) -> str | None:
        """The last address on a request's way here that is none of a trusted proxy's.

        What stands there and is no address (`unknown`) names nobody: then it is the proxy's.
        """
        client = scope.get("client")
        if not client:
            return None
        peer = read_address(client[0])
        if peer not in self._hosts:
            return peer
        forwarded = b""
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for" and value:
                forwarded = b"%b, %b" % (forwarded, value) if forwarded else value
        if not forwarded:  # an empty header names nobody
            return peer
        if len(forwarded) > _MOST_CACHED_BYTES:
            return self._sender_behind(forwarded) or peer
        return self._sender_behind_cached(forwarded) or peer

    def _sender_behind(self, forwarded: bytes) -> str | None:
        hops = _MAPPED.sub("", forwarded.decode("latin1"))
        return read_address(self._hosts.get_trusted_client_address(hops)[0])


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """The middleware's rules are wanted, not what it does."""
