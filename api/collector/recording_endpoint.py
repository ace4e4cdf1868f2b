"""`POST /api/v1/track/replay`: chunks of recordings, durable before they are acknowledged.

Status codes: 200 the chunk is stored, was stored already (`repeated`), or is not wanted (no
consent, a signal, a suppression: `accepted` is 0, and it is not to be sent again) · 400 it is no
chunk · 401, 403, 408, 413, 415, 429 as for events · 503 nothing was stored, send it again after
`Retry-After`: PostgreSQL is away, or as much waits as may. Recordings have no spool.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.collector.acceptance import RequestFacts
from api.collector.answer import Answer as Refusal
from api.collector.answer import AnswerError
from api.collector.body import BodyLimits, SenderGone, read_body
from api.collector.bots import detect_bot
from api.collector.consent import find_signal
from api.collector.cors import Cors
from api.collector.dialects.dialect import DecodedBody, Headers, status_of
from api.collector.recording import decode_envelope, judge_envelope, pack_chunk
from api.collector.redaction import Redactor
from api.collector.rule_watch import RuleWatch
from api.collector.rules import RuleBook
from api.collector.sender import find_site_id, find_user_agent
from api.collector.throttle import Throttle, retry_after
from api.collector.waiting import QueueFull
from api.collector.write_keys import find_write_key
from api.http_answer import Answer
from api.trusted_proxies import TrustedProxies
from core.clock import Clock
from core.refusal import Refused
from database.recording_intake import (
    BufferFull,
    Chunk,
    RulesChanged,
    StoredChunk,
    count_refused,
    store_chunk,
)

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = logging.getLogger("sluice.collector")

PATH: Final = "/api/v1/track/replay"
METHODS: Final = frozenset({"POST"})
MAX_BODY_BYTES: Final = 262_144
"""Of a chunk as it is sent; nginx has the same limit (snippets/routes.conf)."""
MAX_DECOMPRESSED_BYTES: Final = 4_000_000
_MAX_WAITING: Final = 32
"""Chunks of a process that are being read or stored; of further ones nothing is read."""
_THREADS: Final = 2
_ATTEMPTS: Final = 4
_COUNT_SECONDS: Final = 2.0
_MAX_COUNTED: Final = 1_000
# What a chunk costs its address, in events: redaction is what takes the time.
_BYTES_AN_EVENT: Final = 2_000
_MAX_RANGES_SHOWN: Final = 100

_encode: Final = msgspec.json.Encoder().encode


class RecordingEndpoint:
    """Takes chunks in, one transaction each."""

    routes: Final = {PATH: METHODS}

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        rule_book: RuleBook,
        rule_watch: RuleWatch,
        redactor: Redactor | None,
        throttle: Throttle,
        body_limits: BodyLimits,
        max_buffered_bytes: int,
        cors: Cors,
        trusted_proxies: TrustedProxies,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._rule_book = rule_book
        self._rule_watch = rule_watch
        self._redactor = redactor
        self._throttle = throttle
        self._body_limits = body_limits
        self._max_buffered_bytes = max_buffered_bytes
        self._cors = cors
        self._trusted_proxies = trusted_proxies
        self._clock = clock
        self._waiting = 0
        self._refused: Counter[tuple[str, str]] = Counter()
        self._counting: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="recordings")

    def start(self) -> None:
        """Count refusals from now on, every two seconds."""
        self._counting = asyncio.create_task(self._keep_counting(), name="recording refusals")

    async def close(self) -> None:
        """Count what is left, and let go of the database."""
        if self._counting is not None:
            self._counting.cancel()
            with suppress(asyncio.CancelledError):
                await self._counting
        await self._count()
        self._threads.shutdown(wait=False)
        await self._engine.dispose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request to `PATH`."""
        headers: Headers = dict(scope["headers"])
        if scope["method"] == "OPTIONS":
            answer: Answer | None = _answer(204, b"", self._cors.preflight(headers))
        elif scope["method"] not in METHODS:
            failed = _failure("method_not_allowed", "send chunks with POST")
            allow = (b"allow", b"OPTIONS, POST")
            answer = _answer(405, failed, [*self._cors.headers(headers), allow])
        else:
            answer = await self._take_in(scope, headers, receive)
        if answer is not None:
            start = {"type": "http.response.start", "status": answer.status}
            await send(start | {"headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})

    async def _take_in(self, scope: Scope, headers: Headers, receive: Receive) -> Answer | None:
        cors = self._cors.headers(headers)
        if self._waiting >= _MAX_WAITING:
            return _unavailable("queue_full", cors)
        self._waiting += 1
        try:
            outcome = await self._store(self._facts(scope, headers), headers, receive)
        except SenderGone:
            return None
        except (QueueFull, BufferFull) as exc:
            full = "queue_full" if isinstance(exc, QueueFull) else "recordings_full"
            return _unavailable(full, cors, wait=2 if isinstance(exc, QueueFull) else 60)
        except RulesChanged:
            return _unavailable("rules_changing", cors)
        except (SQLAlchemyError, OSError, TimeoutError) as exc:
            if isinstance(exc, DBAPIError) and not isinstance(
                exc, OperationalError | InterfaceError
            ):
                log.exception("a chunk could not be stored")
            else:
                log.warning("chunk not stored", extra={"error": type(exc).__name__})
            return _unavailable("buffer_unavailable", cors)
        finally:
            self._waiting -= 1
        if isinstance(outcome, Refused):
            return self._refuse(outcome, cors)
        chunk, stored = outcome
        return _answer(200, _acknowledge(chunk, stored), cors)

    async def _store(
        self, facts: RequestFacts, headers: Headers, receive: Receive
    ) -> tuple[Chunk, StoredChunk] | Refused:
        keyed = self._judge_key(facts, headers)
        if keyed is not None:
            return keyed
        turned_away = None if facts.is_exempt else self._throttle.turn_away(facts.whole_ip)
        if turned_away is not None:
            return turned_away
        body = await read_body(receive, headers=headers, limits=self._body_limits)
        if isinstance(body, Refused):
            return body
        if not facts.is_exempt:
            cost = 1 + len(body) // _BYTES_AN_EVENT
            limited = self._throttle.charge_ip(facts.whole_ip, cost)
            if limited is not None:
                return limited
        loop = asyncio.get_running_loop()
        for _ in range(_ATTEMPTS):
            policy = self._rule_book.policy
            packed = await loop.run_in_executor(self._threads, self._judge, body, facts)
            if isinstance(packed, Refused):
                return packed
            try:
                stored = await store_chunk(
                    self._engine,
                    packed,
                    rules_version=policy.rules.version,
                    max_buffered_bytes=self._max_buffered_bytes,
                )
            except RulesChanged:
                await self._rule_watch.look()
            else:
                return packed, stored
        raise RulesChanged

    def _judge(self, body: bytes, facts: RequestFacts) -> Chunk | Refused:
        envelope = decode_envelope(body)
        if isinstance(envelope, Refused):
            return envelope
        judged = judge_envelope(envelope, facts=facts, policy=self._rule_book.policy)
        if isinstance(judged, Refused):
            return judged
        charged = DecodedBody([judged.event])
        self._throttle.charge_sites(charged, facts.fallback_site_id)
        (limited,) = charged.events
        return limited if isinstance(limited, Refused) else pack_chunk(judged, self._redactor)

    def _judge_key(self, facts: RequestFacts, headers: Headers) -> Refused | None:
        keys = self._rule_book.policy.write_keys
        if keys is None:
            return None
        site_id = keys.judge(find_write_key(headers), from_page=facts.from_page)
        return site_id if isinstance(site_id, Refused) else None

    def _facts(self, scope: Scope, headers: Headers) -> RequestFacts:
        user_agent = find_user_agent(headers)
        return RequestFacts(
            arrived_at=self._clock(),
            fallback_site_id=find_site_id(headers),
            user_agent=user_agent,
            # Of the address nothing is stored with a recording.
            whole_ip=self._trusted_proxies.sender_of(scope),
            bot_reason=detect_bot(user_agent, headers),
            dialect="recording",
            from_page=b"origin" in headers or b"referer" in headers,
            do_not_track=find_signal(headers),
        )

    def _refuse(self, refused: Refused, cors: list[tuple[bytes, bytes]]) -> Answer:
        sites = self._rule_book.rules.sites
        name = (sites.counted_as(refused.site_id), str(refused.reason))
        if name in self._refused or len(self._refused) < _MAX_COUNTED:
            self._refused[name] += 1
        headers = list(cors)
        if wait := retry_after([refused]):
            headers.append((b"retry-after", b"%d" % wait))
        status = status_of(refused.reason)
        if status == 408:
            headers.append((b"connection", b"close"))  # the rest of the body may still come
        error = AnswerError(refused.reason, refused.message, field=refused.field)
        return _answer(status, _encode(Refusal(0, 1, [error])), headers)

    async def _keep_counting(self) -> None:
        while True:
            await asyncio.sleep(_COUNT_SECONDS)
            await self._count()

    async def _count(self) -> None:
        """Write down the refusals since the last time; kept for the next while nobody answers."""
        counting, self._refused = self._refused, Counter()
        if not counting:
            return
        try:
            await count_refused(self._engine, counting)
        except (SQLAlchemyError, OSError, TimeoutError) as exc:
            log.info("refused chunks not counted yet", extra={"error": type(exc).__name__})
            self._refused += counting


def _acknowledge(chunk: Chunk, stored: StoredChunk) -> bytes:
    ranges = stored.stored
    answered: dict[str, Any] = {
        "accepted": 1,
        "rejected": 0,
        "repeated": stored.is_repeat,
        "recordingId": chunk.recording_id,
        "sequence": chunk.sequence,
        "stored": ranges[:_MAX_RANGES_SHOWN],
        "next": ranges[0][1] + 1 if ranges and ranges[0][0] == 0 else 0,
    }
    return _encode(answered)


def _failure(reason: str, message: str) -> bytes:
    return _encode(Refusal(0, 0, [AnswerError(reason, message)]))


def _unavailable(reason: str, cors: list[tuple[bytes, bytes]], *, wait: int = 2) -> Answer:
    message = "nothing was stored: send the same chunk again later"
    return _answer(503, _failure(reason, message), [*cors, (b"retry-after", b"%d" % wait)])


def _answer(status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> Answer:
    always = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    return Answer(status, [*always, *headers], body)
