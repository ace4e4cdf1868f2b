"""Whose address counts: the peer's, unless the peer is a proxy that we trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

if TYPE_CHECKING:
    from starlette.types import Scope


class TrustedProxies:
    """Addresses whose `X-Forwarded-For` is believed, by uvicorn's rules."""

    def __init__(self, addresses: str) -> None:
        """Comma-separated addresses and networks, or `*`."""
        self._hosts = ProxyHeadersMiddleware(_nothing, trusted_hosts=addresses).trusted_hosts

    def sender_of(self, scope: Scope) -> str | None:
        """The last address on a request's way here that is none of a trusted proxy's."""
        client = scope.get("client")
        if not client:
            return None
        peer: str = client[0]
        if peer not in self._hosts:
            return peer
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        if not forwarded:
            return peer
        host, _ = self._hosts.get_trusted_client_address(b", ".join(forwarded).decode("latin1"))
        return host or peer  # an empty header names nobody


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """The middleware's rules are wanted, not what it does."""
