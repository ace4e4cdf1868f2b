"""uvicorn's HTTP protocol, with a limit in time on senders that dawdle and readers that stall.

uvicorn itself waits for ever for a request's head, and for a reader that does not read. Bodies
are limited where they are read (`collector/body.py`), idle connections by uvicorn's keep-alive.
"""

from __future__ import annotations

from asyncio import BaseTransport, TimerHandle

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class PromptHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose next request's head takes too long, or whose answers back up.

    `uvicorn.run(http="api.http_protocol:PromptHttpProtocol", ws="none")`: workers import it too.
    """

    HEAD_TIMEOUT_SECONDS = 10.0
    """From the opening of a connection, or the first byte after an answer, to the head's end."""
    STALL_TIMEOUT_SECONDS = 30.0
    """For a reader to take what waits for it, before and after the connection is closed."""

    MAX_HEAD_BYTES = 65_536
    """Of a head that has not come to its end; nginx takes half of that."""

    _head_timer: TimerHandle | None = None
    _head_bytes = 0
    _stall_timer: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin to wait for the first head."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind."""
        self._cancel_head_timer()
        self._cancel_stall_timer()
        super().connection_lost(exc)

    # --- slow senders: a request that comes whole, as nearly all do, sets no timer

    def data_received(self, data: bytes) -> None:
        """Time a head that these bytes begin, but do not end."""
        super().data_received(data)
        cycle = self.cycle
        # A head that has begun has a scope already, and no cycle yet.
        if cycle is None or cycle.response_complete or cycle.scope is not self.scope:
            if self._head_timer is None:
                self._await_head()
            self._head_bytes += len(data)
            if self._head_bytes > self.MAX_HEAD_BYTES:
                self.transport.abort()
        elif self._head_timer is not None:
            self._cancel_head_timer()
            self._head_bytes = 0

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.HEAD_TIMEOUT_SECONDS, self._end_head)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

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
        """The last answer of a connection may be waiting for its reader."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._await_reader()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing was asked for long, and perhaps nothing read either."""
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
