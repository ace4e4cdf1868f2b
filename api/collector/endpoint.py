"""Intake as a plain ASGI application: no model binding, no per-request objects to spare.

Every dialect's requests come through here: head, body, decode, accept, commit, answer. Status
codes of the native dialect: 200 at least one event is durable, or none is wanted (no consent) ·
400 nothing in the body was acceptable · 401 the write key is missing or unknown · 403 the site is
refused or in quarantine · 413 the body is too large · 415 a content type or encoding that is not
read · 503 nothing was stored, send it again after `Retry-After`. What another dialect's senders
expect instead stands with that dialect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from api.collector.acceptance import Acceptance, Policy, RequestFacts, accept
from api.collector.body import BodyLimits, SenderGone, read_body
from api.collector.consent import find_signal
from api.collector.dead_letters import keep_letters
from api.collector.dialects.dialect import DecodedBody, Dialect, IntakeRequest, Reply
from api.collector.group_commit import BufferUnavailable, GroupCommit, QueueFull
from api.collector.letter_quota import LetterQuota
from api.collector.rules import RuleBook
from api.collector.sender import find_site_id, find_user_agent, truncate_ip
from core.clock import Clock
from core.refusal import Refused

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_PREFLIGHT_SECONDS: Final = 86_400
# Above this, decoding takes long enough to be felt by the others on the event loop.
_LARGE_BODY_BYTES: Final = 200_000


class IntakeEndpoint:
    """Answers the paths of every dialect."""

    def __init__(
        self,
        dialects: Iterable[Dialect],
        group_commit: GroupCommit,
        *,
        rule_book: RuleBook,
        letter_quota: LetterQuota,
        max_body_bytes: int,
        origins: frozenset[str],
        clock: Clock,
    ) -> None:
        self.routes = {path: dialect for dialect in dialects for path in dialect.routes}
        self._group_commit = group_commit
        self._rule_book = rule_book
        self._letter_quota = letter_quota
        self._body_limits = BodyLimits(
            max_body_bytes=max_body_bytes,
            max_decompressed_bytes=4 * max_body_bytes,
            timeout_seconds=30,
        )
        self._origins = frozenset(origin.encode() for origin in origins)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request to one of `routes`."""
        method, path = scope["method"], scope["path"]
        dialect = self.routes[path]
        request = IntakeRequest(method, path, scope["query_string"], dict(scope["headers"]), b"")
        if method == "OPTIONS":
            await _respond(send, Reply(204, b""), [*self._cors(request), *_preflight(request)])
        elif method not in dialect.routes[path]:
            reply = dialect.fail(
                request, 405, "method_not_allowed", f"send events with {_methods(dialect, path)}"
            )
            allow = f"{_methods(dialect, path)}, OPTIONS".encode()
            await _respond(send, reply, [(b"allow", allow)])
        else:
            await self._take_in(dialect, request, scope, receive, send)

    async def _take_in(
        self, dialect: Dialect, request: IntakeRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        cors = self._cors(request)
        try:
            request, acceptance = await self._accept(dialect, request, scope, receive)
            await self._group_commit.commit(acceptance)
        except SenderGone:
            return
        except (BufferUnavailable, QueueFull) as exc:
            code = "queue_full" if isinstance(exc, QueueFull) else "buffer_unavailable"
            reply = dialect.fail(
                request, 503, code, "nothing was acknowledged: send the same body again later"
            )
            await _respond(send, reply, [*cors, (b"retry-after", b"2")])
            return
        await _respond(send, dialect.reply(request, acceptance), cors)

    async def _accept(
        self, dialect: Dialect, request: IntakeRequest, scope: Scope, receive: Receive
    ) -> tuple[IntakeRequest, Acceptance]:
        headers = request.headers
        body = await read_body(receive, headers=headers, limits=self._body_limits)
        client = scope.get("client")
        facts = RequestFacts(
            arrived_at=self._clock(),
            fallback_site_id=find_site_id(headers),
            user_agent=find_user_agent(headers),
            ip=truncate_ip(client[0]) if client else None,
            dialect=dialect.name,
            from_page=b"origin" in headers or b"referer" in headers,
            do_not_track=find_signal(headers),
        )
        if isinstance(body, Refused):
            return request, self._accept_decoded(body, request, facts, self._rule_book.policy)
        whole = IntakeRequest(request.method, request.path, request.query, headers, body)
        if len(body) > _LARGE_BODY_BYTES:
            return whole, await asyncio.to_thread(self._judge, dialect, whole, facts)
        return whole, self._judge(dialect, whole, facts)

    def _judge(self, dialect: Dialect, request: IntakeRequest, facts: RequestFacts) -> Acceptance:
        policy = self._rule_book.policy  # one for the whole request: it may change meanwhile
        decoded = dialect.decode(request, limits=policy.limits)
        return self._accept_decoded(decoded, request, facts, policy)

    def _accept_decoded(
        self,
        decoded: DecodedBody | Refused,
        request: IntakeRequest,
        facts: RequestFacts,
        policy: Policy,
    ) -> Acceptance:
        acceptance = accept(decoded, facts=facts, policy=policy)
        if acceptance.refused:
            acceptance.letters = keep_letters(
                acceptance.refused,
                decoded,
                request=request,
                facts=facts,
                policy=policy,
                most=self._letter_quota.left(),
            )
            self._letter_quota.spend(len(acceptance.letters))
        return acceptance

    def _cors(self, request: IntakeRequest) -> list[tuple[bytes, bytes]]:
        origin = request.headers.get(b"origin")
        if origin is None or not (b"*" in self._origins or origin in self._origins):
            return []
        return [(b"access-control-allow-origin", origin), *_ALLOWED]


_ALLOWED: Final = (
    # Beacons and Snowplow's tracker send with credentials, and get nothing to read without this.
    # It opens nothing: no cookie is set here, and none is read.
    (b"access-control-allow-credentials", b"true"),
    (b"vary", b"Origin"),
)


def _preflight(request: IntakeRequest) -> list[tuple[bytes, bytes]]:
    # Whatever is asked for: no header of a browser's lets anybody do more here, and each SDK has
    # some of its own (X-Retry-Count, AnonymousId, SentAt, Rsa-Retry-Attempt, SP-Anonymous, …).
    asked = request.headers.get(b"access-control-request-headers", b"Content-Type")
    return [
        (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
        (b"access-control-allow-headers", asked),
        (b"access-control-max-age", str(_PREFLIGHT_SECONDS).encode()),
    ]


def _methods(dialect: Dialect, path: str) -> str:
    return ", ".join(sorted(dialect.routes[path]))


async def _respond(send: Send, reply: Reply, headers: list[tuple[bytes, bytes]]) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [
                (b"content-type", reply.content_type),
                (b"content-length", b"%d" % len(reply.body)),
                (b"cache-control", b"no-store"),
                *reply.headers,
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": reply.body})
