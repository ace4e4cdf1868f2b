"""Intake, below any framework: no model binding, no per-request objects to spare.

Every dialect's requests come through here: head, body, decode, accept, commit, answer. As an ASGI
application it takes any of them; those that have come whole, as nearly all do, are answered
without a task and messages of their own (`take_whole`).

Status codes of the native dialect: 200 at least one event is durable, or none is wanted (no
consent) · 400 nothing in the body was acceptable · 401 the write key is missing or unknown · 403
the site is refused or in quarantine · 408 the body did not arrive in time · 413 it is too large ·
415 a content type or encoding that is not read · 429 more than the sender or its site may send,
come again after `Retry-After` · 503 nothing was stored, send it again after `Retry-After`. What
another dialect's senders expect instead stands with that dialect.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from api.collector.acceptance import (
    Acceptance,
    Policy,
    RequestFacts,
    accept,
    refuse_request,
)
from api.collector.body import BodyLimits, SenderGone, is_as_sent, read_body
from api.collector.bots import detect_bot
from api.collector.consent import find_signal
from api.collector.cors import Cors
from api.collector.dead_letters import keep_letters
from api.collector.dialects.dialect import DecodedBody, Dialect, Headers, IntakeRequest, Reply
from api.collector.group_commit import BufferUnavailable, GroupCommit, QueueFull
from api.collector.letter_quota import LetterQuota
from api.collector.redaction import Redactor
from api.collector.rules import RuleBook
from api.collector.sender import find_site_id, find_user_agent, ip_to_store
from api.collector.throttle import Throttle, retry_after
from api.collector.write_keys import find_write_key
from api.http_answer import FAILED, Answer, Decline, Respond
from api.trusted_proxies import TrustedProxies
from core.clock import Clock
from core.event import MAX_TEXT_CHARS
from core.refusal import RefusalReason, Refused

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = logging.getLogger("sluice.collector")

# Above this, decoding takes long enough to be felt by the others on the event loop.
_LARGE_BODY_BYTES: Final = 200_000
# Redaction takes up to 10 µs a byte of what was written to make it work hard (measured).
_LARGE_SUSPECT_BYTES: Final = 6_000
# Each one more makes the event loop wait for its turn once more. They are nobody else's, so that
# such bodies wait for each other only.
_THREADS: Final = 2


class _Exchange(Struct, gc=False):
    """A request on its way to its answer."""

    dialect: Dialect
    request: IntakeRequest
    policy: Policy
    """One for the whole request: it may change meanwhile."""
    facts: RequestFacts
    acceptance: Acceptance = field(default_factory=Acceptance)

    __repr__ = object.__repr__


class _Whole(Struct, gc=False):
    """A request that has come whole, and its two ways out, one of which it takes once."""

    scope: Scope
    body: bytes
    respond: Respond
    decline: Decline
    exchange: _Exchange | None = None

    __repr__ = object.__repr__


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
        trusted_proxies: TrustedProxies,
        clock: Clock,
    ) -> None:
        self.routes = {path: dialect for dialect in dialects for path in dialect.routes}
        self._group_commit = group_commit
        self._rule_book = rule_book
        self._letter_quota = letter_quota
        self._throttle = throttle
        self._body_limits = body_limits
        self._cors = Cors(origins)
        self._trusted_proxies = trusted_proxies
        self._clock = clock
        self._arrived: list[_Whole] = []
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="judge")

    def take_whole(self, scope: Scope, body: bytes, respond: Respond, decline: Decline) -> None:
        """Answer a request that has come whole, as soon as it is durable.

        Or decline it, with nothing done, when there is more to it: then it has to be called as an
        ASGI application.
        """
        if not self._arrived:
            asyncio.get_running_loop().call_soon(self._answer_arrived)
        self._arrived.append(_Whole(scope, body, respond, decline))

    def _answer_arrived(self) -> None:
        """Take in what has come in one turn of the event loop, stage by stage.

        Not request by request: so each stage finds its code, and redaction its automaton, in the
        processor's caches, which is 15 % of the time where events come one by one (measured).
        """
        going, self._arrived = self._arrived, []
        for stage in (self._look_at, self._look_through, self._judge_whole):
            going = [whole for whole in going if _passes(stage, whole)]

    def _look_at(self, whole: _Whole) -> bool:
        method, path = whole.scope["method"], whole.scope["path"]
        if method not in self.routes[path].routes[path]:
            return False
        exchange = whole.exchange = self._begin(whole.scope, whole.body)
        return (
            is_as_sent(whole.body, headers=exchange.request.headers, limits=self._body_limits)
            and self._turn_away(exchange.facts) is None
        )

    def _look_through(self, whole: _Whole) -> bool:
        assert whole.exchange is not None
        return not self._takes_long(whole.exchange)

    def _judge_whole(self, whole: _Whole) -> bool:
        assert whole.exchange is not None
        acceptance = whole.exchange.acceptance = self._judge(whole.exchange)
        answer = partial(self._answer_committed, whole.exchange, whole.respond)
        self._group_commit.enter(acceptance, answer)
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request to one of `routes`."""
        exchange = self._begin(scope, b"")
        dialect, request = exchange.dialect, exchange.request
        method, path = request.method, request.path
        if method == "OPTIONS":
            headers = self._cors.preflight(request.headers)
            answer: Answer | None = _answer(Reply(204, b""), headers)
        elif method not in dialect.routes[path]:
            reply = dialect.fail(
                request, 405, "method_not_allowed", f"send events with {_methods(dialect, path)}"
            )
            allow = f"{_methods(dialect, path)}, OPTIONS".encode()
            answer = _answer(reply, [(b"allow", allow)])
        else:
            answer = await self._take_in(exchange, receive)
        if answer is not None:
            await _send(send, answer)

    async def _take_in(self, exchange: _Exchange, receive: Receive) -> Answer | None:
        try:
            exchange.acceptance = await self._accept(exchange, receive)
            await self._group_commit.commit(exchange.acceptance)
        except SenderGone:
            return None
        except (BufferUnavailable, QueueFull) as exc:
            return self._unavailable(exchange, exc)
        return self._answer(exchange)

    async def _accept(self, exchange: _Exchange, receive: Receive) -> Acceptance:
        body = self._turn_away(exchange.facts) or await read_body(
            receive, headers=exchange.request.headers, limits=self._body_limits
        )
        if isinstance(body, Refused):
            return self._accept_decoded(body, exchange)
        exchange.request.body = body
        if self._takes_long(exchange):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._judge_large, exchange)
        return self._judge(exchange)

    def _begin(self, scope: Scope, body: bytes) -> _Exchange:
        dialect, policy = self.routes[scope["path"]], self._rule_book.policy
        request = IntakeRequest(
            scope["method"], scope["path"], scope["query_string"], dict(scope["headers"]), body
        )
        return _Exchange(dialect, request, policy, self._facts(dialect, request, scope, policy))

    def _turn_away(self, facts: RequestFacts) -> Refused | None:
        return None if facts.is_exempt else self._throttle.turn_away(facts.whole_ip)

    def _takes_long(self, exchange: _Exchange) -> bool:
        """Whether to judge it would hold up others; notes, when not, if it is suspect."""
        request = exchange.request
        size = len(request.body) + len(request.query)
        if size > _LARGE_BODY_BYTES:
            return True
        exchange.facts.is_suspect = _is_suspect(exchange)
        return exchange.facts.is_suspect and size > _LARGE_SUSPECT_BYTES

    def _answer_committed(
        self, exchange: _Exchange, respond: Respond, exc: Exception | None
    ) -> None:
        try:
            if exc is None:
                answer = self._answer(exchange)
            elif isinstance(exc, BufferUnavailable | QueueFull):
                answer = self._unavailable(exchange, exc)
            else:
                raise exc
        except Exception:
            log.exception("an answer could not be made")
            answer = FAILED
        respond(answer)

    def _answer(self, exchange: _Exchange) -> Answer:
        """To a request whose events are durable."""
        acceptance = exchange.acceptance
        reply = exchange.dialect.reply(exchange.request, acceptance)
        headers = self._cors.headers(exchange.request.headers)
        if acceptance.refused and (wait := retry_after(acceptance.refused)):
            headers = [*headers, (b"retry-after", b"%d" % wait)]
        if reply.status == 408:
            headers = [*headers, (b"connection", b"close")]  # the rest of the body may still come
        return _answer(reply, headers)

    def _unavailable(self, exchange: _Exchange, exc: BufferUnavailable | QueueFull) -> Answer:
        code = "queue_full" if isinstance(exc, QueueFull) else "buffer_unavailable"
        reply = exchange.dialect.fail(
            exchange.request, 503, code, "nothing was acknowledged: send the same body again later"
        )
        return _answer(
            reply, [*self._cors.headers(exchange.request.headers), (b"retry-after", b"2")]
        )

    def _facts(
        self, dialect: Dialect, request: IntakeRequest, scope: Scope, policy: Policy
    ) -> RequestFacts:
        headers = request.headers
        ip = self._trusted_proxies.sender_of(scope)
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

    def _judge_large(self, exchange: _Exchange) -> Acceptance:
        exchange.facts.is_suspect = _is_suspect(exchange)
        return self._judge(exchange)

    def _judge(self, exchange: _Exchange) -> Acceptance:
        facts = exchange.facts
        decoded = exchange.dialect.decode(exchange.request, limits=exchange.policy.limits)
        if isinstance(decoded, Refused):
            return self._accept_decoded(decoded, exchange)
        if not facts.is_exempt:
            limited = self._throttle.charge_ip(facts.whole_ip, len(decoded.events))
            if limited is not None:
                return refuse_request(
                    limited, site_id=facts.fallback_site_id, events=len(decoded.events)
                )
        self._throttle.charge_sites(decoded, facts.fallback_site_id)
        return self._accept_decoded(decoded, exchange)

    def _accept_decoded(self, decoded: DecodedBody | Refused, exchange: _Exchange) -> Acceptance:
        facts, policy = exchange.facts, exchange.policy
        acceptance = accept(decoded, facts=facts, policy=policy)
        if acceptance.refused:
            acceptance.letters = keep_letters(
                acceptance.refused,
                decoded,
                request=exchange.request,
                facts=facts,
                policy=policy,
                most=self._letter_quota.left(),
            )
            self._letter_quota.spend(len(acceptance.letters))
            _check_mistakes(acceptance)
        return acceptance


def _check_mistakes(acceptance: Acceptance) -> None:
    """Log what the collector failed on; what is not kept of it, its sender is to send again."""
    reason = RefusalReason.COLLECTOR_ERROR
    mistakes = [one for one in acceptance.refused if one.reason is reason]
    for one in mistakes:
        log.error("an event could not be judged", extra={"error": one.message})
    if len(mistakes) > sum([letter.reason == reason for letter in acceptance.letters]):
        raise RuntimeError("the collector fails on more events than it may keep")


def _passes(stage: Callable[[_Whole], bool], whole: _Whole) -> bool:
    """Whether a request goes on to the next stage; it is declined if not, and answered on error."""
    try:
        if stage(whole):
            return True
        whole.decline()
    except Exception:
        log.exception("a request could not be answered")
        with suppress(Exception):  # there are others who wait for their turn
            whole.respond(FAILED)
    return False


def _is_suspect(exchange: _Exchange) -> bool:
    """Whether anything of a request that stands on a row may have to be redacted."""
    redactor, request = exchange.policy.redactor, exchange.request
    if redactor is None:
        return False
    if exchange.dialect.name:
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


def _methods(dialect: Dialect, path: str) -> str:
    return ", ".join(sorted(dialect.routes[path]))


def _answer(reply: Reply, headers: list[tuple[bytes, bytes]]) -> Answer:
    return Answer(
        reply.status,
        [
            (b"content-type", reply.content_type),
            (b"content-length", b"%d" % len(reply.body)),
            (b"cache-control", b"no-store"),
            *reply.headers,
            *headers,
        ],
        reply.body,
    )


async def _send(send: Send, answer: Answer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})
