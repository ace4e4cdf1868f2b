"""A link with a round trip: a relay that lets every byte wait."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress


class Link:
    """Listens on a port of its own and relays to another, `round_trip_seconds` there and back.

    A connection costs a round trip before anything is said, as TCP's handshake does.
    """

    def __init__(self, port: int, *, round_trip_seconds: float) -> None:
        self.port = 0
        self.open_connections = 0
        self._target = port
        self._round_trip = round_trip_seconds
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._is_listening = threading.Event()
        self._thread.start()
        self._is_listening.wait(10)

    def close(self) -> None:
        """Stop to listen, and end what is open."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._relay, "127.0.0.1", 0, backlog=256)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._is_listening.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_connections += 1
        try:
            await asyncio.sleep(self._round_trip)
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))
        except (OSError, asyncio.CancelledError):
            writer.close()
        finally:
            self.open_connections -= 1

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Move bytes; each waits half a round trip, and none waits for another."""
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(1_024)
        deliver = asyncio.create_task(self._deliver(due, writer))
        try:
            while chunk := await reader.read(65_536):
                await due.put((self._loop.time() + self._round_trip / 2, chunk))
        except OSError:
            pass
        await due.put((self._loop.time() + self._round_trip / 2, b""))
        await deliver

    async def _deliver(
        self, due: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        is_open = True
        while True:
            at, chunk = await due.get()
            await asyncio.sleep(max(0.0, at - self._loop.time()))
            if not chunk:
                break
            if is_open:
                try:
                    writer.write(chunk)
                    await writer.drain()
                except OSError:
                    is_open = False
        with suppress(OSError):
            writer.close()
