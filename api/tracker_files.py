"""The tracker and its chunks, as nginx serves them in production (nginx/snippets/tracker.conf).

`tracking.js` has the newest tracker for ever, and is asked for again within minutes.
`tracking.<hash>.js` and `<hash><digit>.js` never change, so they are kept for a year. A chunk of a
build that is gone is answered with the present one of that digit: a page that got its tracker
minutes ago, or from a cache, goes on working.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from anyio import to_thread

from api.accept_encoding import choose_coding

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_STABLE: Final = "public, max-age=300, stale-while-revalidate=86400"
_STAND_IN: Final = "public, max-age=300"
_STABLE_NAME: Final = re.compile(r"(?:tracking|views)\.js")
_PINNED_NAME: Final = re.compile(r"(?:tracking|views)\.[0-9a-f]{8}\.js")
_CHUNK_NAME: Final = re.compile(r"[0-9a-f]{8}([0-9a-z])\.js")
_SUFFIXES: Final = {"br": ".br", "gzip": ".gz"}
_HEADERS: Final = {
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
    "x-content-type-options": "nosniff",
    "vary": "Accept-Encoding",
}


@dataclass(frozen=True)
class _Representation:
    content: bytes
    coding: str | None
    caching: str

    @property
    def etag(self) -> str:
        return f'"{sha256(self.content).hexdigest()[:32]}"'


class TrackerFiles:
    """An ASGI application for `tracking/dist`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer GET and HEAD; other methods are 405, other names 404."""
        if scope["type"] != "http":
            return
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, {"allow": "GET, HEAD"})
            return
        name = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        asked = _headers_of(scope)
        found = await to_thread.run_sync(self._find, name, asked.get("accept-encoding"))
        if found is None:
            await _answer(send, 404, {"cache-control": "no-store"})
            return
        headers = {"cache-control": found.caching, "etag": found.etag}
        if _is_known(found.etag, asked.get("if-none-match")):
            await _answer(send, 304, headers)
            return
        headers["content-type"] = "text/javascript; charset=utf-8"
        headers["content-length"] = str(len(found.content))
        if found.coding is not None:
            headers["content-encoding"] = found.coding
        await _answer(send, 200, headers, found.content if scope["method"] == "GET" else b"")

    def _find(self, name: str, accepted: str | None) -> _Representation | None:
        if _STABLE_NAME.fullmatch(name):
            return self._read(name, accepted, _STABLE)
        if _PINNED_NAME.fullmatch(name):
            return self._read(name, accepted, _IMMUTABLE)
        if chunk := _CHUNK_NAME.fullmatch(name):
            present = self._read(name, accepted, _IMMUTABLE)
            return present or self._read(f"{chunk[1]}.js", accepted, _STAND_IN)
        return None

    def _read(self, name: str, accepted: str | None, caching: str) -> _Representation | None:
        """In the best coding that there is a file of."""
        there = [c for c, suffix in _SUFFIXES.items() if (self._folder / (name + suffix)).is_file()]
        coding = choose_coding(accepted, there)
        suffix = "" if coding is None else _SUFFIXES[coding]
        try:
            return _Representation((self._folder / (name + suffix)).read_bytes(), coding, caching)
        except OSError:
            return None


def _headers_of(scope: Scope) -> dict[str, str]:
    """By name; what was sent in several lines is joined, as HTTP says that it may be."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin1"), raw_value.decode("latin1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _is_known(etag: str, if_none_match: str | None) -> bool:
    if if_none_match is None:
        return False
    known = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return etag in known or "*" in known


async def _answer(send: Send, status: int, headers: dict[str, str], content: bytes = b"") -> None:
    if status not in (200, 304):
        headers = headers | {"content-length": "0"}
    raw = [(n.encode("latin1"), v.encode("latin1")) for n, v in (_HEADERS | headers).items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": content})
