"""What a browser is told of who may post from another origin, and read the answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from api.collector.dialects.dialect import Headers

_PREFLIGHT_SECONDS: Final = 86_400
_ALLOWED: Final = (
    # Beacons and Snowplow's tracker send with credentials, and get nothing to read without this.
    # It opens nothing: no cookie is set here, and none is read.
    (b"access-control-allow-credentials", b"true"),
    (b"vary", b"Origin"),
)


class Cors:
    """By the origins that the settings allow."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def headers(self, asked: Headers) -> list[tuple[bytes, bytes]]:
        """Those of an answer to a request with these headers; none for an origin not allowed."""
        origin = asked.get(b"origin")
        if origin is None or not (b"*" in self._origins or origin in self._origins):
            return []
        return [(b"access-control-allow-origin", origin), *_ALLOWED]

    def preflight(self, asked: Headers) -> list[tuple[bytes, bytes]]:
        """Those of the answer to OPTIONS."""
        # Whatever is asked for: no header of a browser's lets anybody do more here, and each SDK
        # has some of its own (X-Retry-Count, AnonymousId, SentAt, Rsa-Retry-Attempt, …).
        wanted = asked.get(b"access-control-request-headers", b"Content-Type")
        return [
            *self.headers(asked),
            (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
            (b"access-control-allow-headers", wanted),
            (b"access-control-max-age", str(_PREFLIGHT_SECONDS).encode()),
        ]
