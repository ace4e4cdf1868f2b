"""uvicorn's HTTP protocol, with three things that it has not: short ways, limits in time, and an
answer to every request that it can read.

An application that has `take_whole` is given the requests that have come whole that way: to call
it as an ASGI application costs a task, messages to and fro, and a second write.

uvicorn itself waits for ever for a request's head, and for a reader that does not read. Bodies
are limited where they are read (`collector/body.py`), idle connections by uvicorn's keep-alive.

An offer to upgrade, as Java's HTTP client makes with every request, is ignored (RFC 9110, 7.8);
uvicorn loses the body after it. A sender that has closed its own direction only is answered.
"""

from __future__ import annotations

from asyncio import BaseTransport, TimerHandle
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from api.http_answer import FAILED, Answer

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

_Part = Literal["nothing", "head", "body"]


class PromptHttpProtocol(HttpToolsProtocol):
    """Answers whole requests at once, and bounds how long a connection is waited for.

    It is closed when its next request's head takes too long, or its answers back up.

    `uvicorn.run(http="api.http_protocol:PromptHttpProtocol", ws="none")`: workers import it too.
    """

    REST_TIMEOUT_SECONDS = 30.0
    """For what is left of a body whose request has been answered already; it is dropped."""
    HEAD_TIMEOUT_SECONDS = 10.0
    """From the opening of a connection, or the first byte after an answer, to the head's end."""
    STALL_TIMEOUT_SECONDS = 30.0
    """For a reader to take what waits for it, before and after the connection is closed."""

    MAX_HEAD_BYTES = 65_536
    """Of a head that has not come to its end; nginx takes half of that."""

    _is_reading = False
    _part: _Part = "nothing"
    """Of a request, that has begun to come and not ended."""
    _rest_timer: TimerHandle | None = None
    _idle_since: float | None = None
    """By the event loop's clock; None while a request is coming or being answered."""
    _begun: RequestResponseCycle | None = None
    """The request that began with the bytes that are being read, and waits for the rest of them."""
    _head_timer: TimerHandle | None = None
    _head_bytes = 0
    _stall_timer: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin to wait for the first head."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind."""
        self._unset_keepalive_if_required()
        self._cancel_head_timer()
        self._cancel_rest_timer()
        self._cancel_stall_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Time a head that these bytes begin, but do not end; answer a request that they end."""
        self._idle_since = None
        self._is_reading = True
        was_in = self._part
        try:
            self._parse(data)
        finally:
            self._is_reading = False
        self._watch(data, was_in)
        if (begun := self._begun) is not None:
            self._begun = None
            if begun.more_body or self.flow.write_paused:
                super()._start_asgi_task(begun, self.app)
            else:
                self._hand_over(begun)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # transports ask for a bool
        """Nothing more comes: keep the connection for the answer that is still to go."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return None
        self.cycle.keep_alive = False
        return True

    # --- offers to upgrade

    def _parse(self, data: bytes) -> None:
        try:
            while (offered := self._parse_until_upgrade(data)) is not None:
                data = self._without_offer() + data[offered:]
        except httptools.HttpParserError:
            message = "Invalid HTTP request received."
            self.logger.warning(message)
            self.send_400_response(message)

    def _parse_until_upgrade(self, data: bytes) -> int | None:
        """Where a head ends that offers one, and the parser gives up; None for other bytes."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            return int(exc.args[0])
        return None

    def _without_offer(self) -> bytes:
        """The head that has just been read, to be read again by a parser of its own."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise httptools.HttpParserInvalidMethodError("no proxy")
        options = [
            option
            for name, value in self.headers
            if name == b"connection"
            for option in value.lower().split(b",")
            if option.strip() not in _OFFERS
        ]
        kept = [(name, value) for name, value in self.headers if name not in _OFFERS]
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % header for header in kept if header[0] != b"connection"]
        if options:
            lines.append(b"connection: %b" % b",".join(options))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        return b"\r\n".join((*lines, b"", b""))

    def on_message_begin(self) -> None:
        """A head begins."""
        self._part = "head"
        self._cancel_rest_timer()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the head is to be read again."""
        if not self.parser.should_upgrade():
            self._part = "body"
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request, unless it has not begun."""
        if not self.parser.should_upgrade():
            self._part = "nothing"
            super().on_message_complete()

    # --- whole requests

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Wait for the rest of what has come first; but not where nothing is to come any more."""
        if self._is_reading and app is self.app and hasattr(app, "take_whole"):
            self._begun = cycle
        else:
            super()._start_asgi_task(cycle, app)

    def _hand_over(self, cycle: RequestResponseCycle) -> None:
        """Give the application a request that has come whole; a body is held once, by it."""
        body, cycle.body = bytes(cycle.body), bytearray()
        respond, decline = partial(self._respond, cycle), partial(self._call_as_asgi, cycle, body)
        self.app.take_whole(cycle.scope, body, respond, decline)

    def _call_as_asgi(self, cycle: RequestResponseCycle, body: bytes) -> None:
        cycle.body = bytearray(body)
        super()._start_asgi_task(cycle, self.app)

    def _respond(self, cycle: RequestResponseCycle, answer: Answer) -> None:
        """Write an answer in one piece, and be done with its request, as its `send` would be."""
        if cycle.response_complete:
            return  # what failed was to end this one
        cycle.response_started = cycle.response_complete = True
        on_response, cycle.on_response = cycle.on_response, _nothing  # which refers to ourselves
        if cycle.disconnected or self.transport.is_closing():
            return
        lines = [STATUS_LINE[answer.status]]
        for name, value in (*cycle.default_headers, *answer.headers):
            lines += (name, b": ", value, b"\r\n")
        if answer is FAILED:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        body = b"" if cycle.scope["method"] == "HEAD" else answer.body
        self.transport.write(b"".join((*lines, b"\r\n", body)))
        if not cycle.keep_alive:
            self.transport.close()
        on_response()

    # --- slow senders: a request that comes whole, as nearly all do, sets no timer

    def _watch(self, data: bytes, was_in: _Part) -> None:
        """Look after the rest of what these bytes have begun, or gone on with."""
        is_answered = self.cycle is not None and self.cycle.response_complete
        if self._part == "body":
            self._cancel_head_timer()
            if is_answered and self._rest_timer is None:
                self._await_rest()
        elif self._part == "nothing" and was_in == "body" and is_answered:
            # The rest of a body that nobody waited for: now the connection idles.
            self._cancel_rest_timer()
            self._begin_to_idle()
        elif self._part == "head" or self.cycle is None or is_answered:
            self._cancel_rest_timer()
            if self._head_timer is None:
                self._await_head()  # of these bytes others may be of the request before
            else:
                self._head_bytes += len(data)
            if self._head_bytes > self.MAX_HEAD_BYTES:
                self.transport.abort()
        else:
            self._cancel_head_timer()
            self._cancel_rest_timer()

    def _await_rest(self) -> None:
        self._rest_timer = self.loop.call_later(self.REST_TIMEOUT_SECONDS, self.transport.abort)

    def _cancel_rest_timer(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.HEAD_TIMEOUT_SECONDS, self._end_head)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
            self._head_bytes = 0

    def _end_head(self) -> None:
        self._head_timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._await_head()  # Part of the next head is here already; we are not done ourselves.
        elif not self.transport.is_closing():
            self.transport.close()
            self._await_reader()

    # --- slow readers: `close` alone waits for ever until they have read what was written

    def pause_writing(self) -> None:
        """More waits to be read than the transport likes."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """The reader reads."""
        super().resume_writing()
        self._cancel_stall_timer()
        if self.transport.is_closing():  # and some of the rest is still to be read
            self._await_reader()

    def on_response_complete(self) -> None:
        """Go on with what waits behind, or wait; the last answer may be waiting for its reader."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._await_reader()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._begin_to_idle()

    def send_400_response(self, msg: str) -> None:
        """No HTTP: the connection is closed, and an answer before it may wait for its reader.

        What came whole before it is answered first, and alone: a 400 would pass for its answer.
        """
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            super().send_400_response(msg)
            self._await_reader()
        else:
            self.cycle.keep_alive = False

    # --- idle connections: one timer for many requests

    def _begin_to_idle(self) -> None:
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._await_request(self.timeout_keep_alive)

    def _await_request(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        """Close when nothing was asked for long; and perhaps nothing was read either."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # at work; its answer begins to wait anew
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._await_request(left)
            return
        super().timeout_keep_alive_handler()
        self._await_reader()

    def _await_reader(self) -> None:
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(
                self.STALL_TIMEOUT_SECONDS, self.transport.abort
            )

    def _cancel_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None


_OFFERS: Final = frozenset({b"upgrade", b"http2-settings"})
"""Headers of an offer to upgrade, which stand among the options of `connection` too."""


def _nothing() -> None:
    """Nobody is to be told."""
