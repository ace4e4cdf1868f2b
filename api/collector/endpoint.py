"""Intake as a plain ASGI application: no model binding, no per-request objects to spare.

Every dialect's requests come through here: head, body, decode, accept, commit, answer. Status
codes of the native dialect: 200 at least one event is durable, or none is wanted (no consent) ·
400 nothing in the body was acceptable · 401 the write key is missing or unknown · 403 the site is
refused or in quarantine · 408 the body did not arrive in time · 413 it is too large · 415 a content
type or encoding that is not read · 429 more than the sender or its site may send, come again after
`Retry-After` · 503 nothing was stored, send it again after `Retry-After`. What another dialect's
senders expect instead stands with that dialect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from api.collector.acceptance import (
    Acceptance,
    Policy,
    RequestFacts,
    accept,
    refuse_request,
)
from api.collector.body import BodyLimits, SenderGone, read_body
from api.collector.bots import detect_bot
from api.collector.consent import find_signal
from api.collector.dead_letters import keep_letters
from api.collector.dialects.dialect import DecodedBody, Dialect, Headers, IntakeRequest, Reply
from api.collector.group_commit import BufferUnavailable, GroupCommit, QueueFull
from api.collector.letter_quota import LetterQuota
from api.collector.redaction import Redactor
from api.collector.rules import RuleBook
from api.collector.sender import find_site_id, find_user_agent, ip_to_store
from api.collector.throttle import Throttle, retry_after
from api.collector.write_keys import find_write_key
from core.clock import Clock
from core.event import MAX_TEXT_CHARS
from core.refusal import Refused

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_PREFLIGHT_SECONDS: Final = 86_400
# Above this, decoding takes long enough to be felt by the others on the event loop.
_LARGE_BODY_BYTES: Final = 200_000
# Redaction takes up to 10 µs a byte of what was written to make it work hard (measured).
_LARGE_SUSPECT_BYTES: Final = 6_000
# Each one more makes the event loop wait for its turn once more. They are nobody else's, so that
# such bodies wait for each other only.
_THREADS: Final = 2


class IntakeEndpoint:
    """Answers the paths of every dialect."""

    def __init__(
        self,
        dialects: Iterable[Dialect],
        group_commit: GroupCommit,
        *,
        rule_book: RuleBook,
        letter_quota: LetterQuota,
        throttle: Throttle,
        body_limits: BodyLimits,
        origins: frozenset[str],
        clock: Clock,
    ) -> None:
        self.routes = {path: dialect for dialect in dialects for path in dialect.routes}
        self._group_commit = group_commit
        self._rule_book = rule_book
        self._letter_quota = letter_quota
        self._throttle = throttle
        self._body_limits = body_limits
        self._origins = frozenset(origin.encode() for origin in origins)
        self._clock = clock
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="judge")

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
        reply = dialect.reply(request, acceptance)
        if acceptance.refused and (wait := retry_after(acceptance.refused)):
            cors = [*cors, (b"retry-after", b"%d" % wait)]
        if reply.status == 408:
            cors = [*cors, (b"connection", b"close")]  # the rest of the body may still come
        await _respond(send, reply, cors)

    async def _accept(
        self, dialect: Dialect, request: IntakeRequest, scope: Scope, receive: Receive
    ) -> tuple[IntakeRequest, Acceptance]:
        policy = self._rule_book.policy  # one for the whole request: it may change meanwhile
        facts = self._facts(dialect, request, scope, policy)
        limited = None if facts.is_exempt else self._throttle.turn_away(facts.whole_ip)
        body = limited or await read_body(
            receive, headers=request.headers, limits=self._body_limits
        )
        if isinstance(body, Refused):
            return request, self._accept_decoded(body, request, facts, policy)
        whole = IntakeRequest(request.method, request.path, request.query, request.headers, body)
        size = len(body) + len(request.query)
        if size <= _LARGE_BODY_BYTES:
            facts.is_suspect = _is_suspect(dialect, whole, policy.redactor)
            if not facts.is_suspect or size <= _LARGE_SUSPECT_BYTES:
                return whole, self._judge(dialect, whole, facts, policy)
        judging = asyncio.get_running_loop().run_in_executor(
            self._threads, self._judge_large, dialect, whole, facts, policy
        )
        return whole, await judging

    def _facts(
        self, dialect: Dialect, request: IntakeRequest, scope: Scope, policy: Policy
    ) -> RequestFacts:
        headers = request.headers
        client = scope.get("client")
        ip = client[0] if client else None
        user_agent = find_user_agent(headers)
        from_page = b"origin" in headers or b"referer" in headers
        place = policy.locate(ip) if ip else None
        return RequestFacts(
            arrived_at=self._clock(),
            fallback_site_id=find_site_id(headers),
            user_agent=user_agent,
            ip=ip_to_store(ip, mode=policy.ip_mode),
            whole_ip=ip,
            country=place.country if place else None,
            region=place.region if place else None,
            bot_reason=detect_bot(user_agent, headers),
            dialect=dialect.name,
            is_cookieless=dialect.cookieless,
            from_page=from_page,
            is_exempt=not from_page and _shows_valid_key(headers, policy),
            do_not_track=find_signal(headers),
        )

    def _judge_large(
        self, dialect: Dialect, request: IntakeRequest, facts: RequestFacts, policy: Policy
    ) -> Acceptance:
        facts.is_suspect = _is_suspect(dialect, request, policy.redactor)
        return self._judge(dialect, request, facts, policy)

    def _judge(
        self, dialect: Dialect, request: IntakeRequest, facts: RequestFacts, policy: Policy
    ) -> Acceptance:
        decoded = dialect.decode(request, limits=policy.limits)
        if isinstance(decoded, Refused):
            return self._accept_decoded(decoded, request, facts, policy)
        if not facts.is_exempt:
            limited = self._throttle.charge_ip(facts.whole_ip, len(decoded.events))
            if limited is not None:
                return refuse_request(
                    limited, site_id=facts.fallback_site_id, events=len(decoded.events)
                )
        self._throttle.charge_sites(decoded, facts.fallback_site_id)
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


def _is_suspect(dialect: Dialect, request: IntakeRequest, redactor: Redactor | None) -> bool:
    """Whether anything of a request that stands on a row may have to be redacted."""
    if redactor is None:
        return False
    if dialect.name:
        return True  # what others pack the bytes do not tell: it is looked at event by event
    if redactor.suspects(request.body):
        return True
    # As much of it as is kept, which is also all that the cache is to hold.
    return _header_is_suspect(request.headers.get(b"user-agent", b"")[:MAX_TEXT_CHARS], redactor)


@lru_cache(maxsize=10_000)
def _header_is_suspect(value: bytes, redactor: Redactor) -> bool:
    return redactor.suspects(value)


def _shows_valid_key(headers: Headers, policy: Policy) -> bool:
    keys = policy.write_keys
    if keys is None:
        return False
    return isinstance(keys.judge(find_write_key(headers), from_page=False), str)


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
