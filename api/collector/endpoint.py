"""`POST /collect` as a plain ASGI application: no model binding, no per-request objects to spare.

Status codes: 200 at least one event is durable · 400 nothing in the body was acceptable ·
413 the body is too large · 415 a content type or encoding that is not read · 503 nothing was
stored, send it again after `Retry-After`. Every answer is the JSON of `answer.py`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from api.collector.acceptance import (
    Acceptance,
    Limits,
    RequestFacts,
    accept_body,
    refuse_request,
)
from api.collector.answer import encode_answer, encode_failure, status_of
from api.collector.group_commit import BufferUnavailable, GroupCommit, QueueFull
from api.collector.sender import Headers, find_site_id, find_user_agent, truncate_ip
from core.clock import Clock
from core.refusal import RefusalReason, Refused

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_READ_TYPES: Final = frozenset(
    {b"", b"application/json", b"text/plain", b"application/x-www-form-urlencoded"}
)
_PREFLIGHT_SECONDS: Final = 86_400
# Above this, decoding takes long enough to be felt by the others on the event loop.
_LARGE_BODY_BYTES: Final = 200_000


class SenderGone(Exception):
    """The sender hung up before its body was complete."""


class CollectEndpoint:
    """Answers `/collect`."""

    def __init__(
        self,
        group_commit: GroupCommit,
        *,
        limits: Limits,
        max_body_bytes: int,
        origins: frozenset[str],
        clock: Clock,
    ) -> None:
        self._group_commit = group_commit
        self._limits = limits
        self._max_body_bytes = max_body_bytes
        self._origins = frozenset(origin.encode() for origin in origins)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        headers: Headers = dict(scope["headers"])
        match scope["method"]:
            case "POST":
                await self._collect(scope, headers, receive, send)
            case "OPTIONS":
                await _respond(send, 204, b"", [*self._cors(headers), *_PREFLIGHT_HEADERS])
            case _:
                await _respond(
                    send,
                    405,
                    encode_failure("method_not_allowed", "send events with POST"),
                    [(b"allow", b"POST, OPTIONS")],
                )

    async def _collect(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        try:
            acceptance = await self._accept(scope, headers, receive)
            await self._group_commit.commit(acceptance)
        except SenderGone:
            return
        except (BufferUnavailable, QueueFull) as exc:
            code = "queue_full" if isinstance(exc, QueueFull) else "buffer_unavailable"
            body = encode_failure(code, "nothing was acknowledged: send the same body again later")
            await _respond(send, 503, body, [*self._cors(headers), (b"retry-after", b"2")])
            return
        await _respond(send, status_of(acceptance), encode_answer(acceptance), self._cors(headers))

    async def _accept(self, scope: Scope, headers: Headers, receive: Receive) -> Acceptance:
        site_id = find_site_id(headers)
        if refused := self._check_head(headers):
            return refuse_request(refused, site_id=site_id)
        body = await self._read_body(receive)
        if isinstance(body, Refused):
            return refuse_request(body, site_id=site_id)
        client = scope.get("client")
        facts = RequestFacts(
            arrived_at=self._clock(),
            fallback_site_id=site_id,
            user_agent=find_user_agent(headers),
            ip=truncate_ip(client[0]) if client else None,
        )
        if len(body) > _LARGE_BODY_BYTES:
            return await asyncio.to_thread(accept_body, body, facts=facts, limits=self._limits)
        return accept_body(body, facts=facts, limits=self._limits)

    def _check_head(self, headers: Headers) -> Refused | None:
        content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if content_type not in _READ_TYPES:
            return Refused(
                RefusalReason.UNSUPPORTED_TYPE,
                "send JSON as application/json or text/plain",
                field="Content-Type",
            )
        encoding = headers.get(b"content-encoding", b"identity").strip().lower()
        if encoding not in (b"", b"identity"):
            return Refused(
                RefusalReason.UNSUPPORTED_TYPE,
                "send the body without Content-Encoding",
                field="Content-Encoding",
            )
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_body_bytes:
            return self._too_large()
        return None

    async def _read_body(self, receive: Receive) -> bytes | Refused:
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise SenderGone
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > self._max_body_bytes:
                return self._too_large()
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _too_large(self) -> Refused:
        return Refused(
            RefusalReason.TOO_LARGE,
            f"the body is larger than {self._max_body_bytes:,} bytes: split the batch",
        )

    def _cors(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        origin = headers.get(b"origin")
        if origin is None or not (b"*" in self._origins or origin in self._origins):
            return []
        return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]


_PREFLIGHT_HEADERS: Final = [
    (b"access-control-allow-methods", b"POST, OPTIONS"),
    (b"access-control-allow-headers", b"Content-Type"),
    (b"access-control-max-age", str(_PREFLIGHT_SECONDS).encode()),
]


async def _respond(
    send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
