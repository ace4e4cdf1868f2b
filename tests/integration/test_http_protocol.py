"""Slow senders and slow readers at a real server: they hold up nobody, and are sent away."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from api.collector.body import BodyLimits, SenderGone, read_body
from api.http_protocol import PromptHttpProtocol
from core.refusal import Refused

pytestmark = pytest.mark.alone

LIMITS = BodyLimits(max_body_bytes=100_000, max_decompressed_bytes=100_000, timeout_seconds=0.5)
MUCH = b"x" * 20_000_000
NO_BODY = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK"

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class HastyProtocol(PromptHttpProtocol):
    """The same, for tests that do not wait for long."""

    HEAD_TIMEOUT_SECONDS = 1.0
    STALL_TIMEOUT_SECONDS = 1.0
    REST_TIMEOUT_SECONDS = 1.0


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Reads a body as the collector does; a lot on /much, late on /late, nothing read on /early."""
    if scope["type"] == "lifespan":
        return
    try:
        body = (
            b""
            if scope["path"] == "/early"
            else await read_body(receive, headers=dict(scope["headers"]), limits=LIMITS)
        )
    except SenderGone:
        return
    if scope["path"] == "/late":
        await asyncio.sleep(1.5)
    status, answer = (408, b"late") if isinstance(body, Refused) else (200, b"%d" % os.getpid())
    if scope["path"] == "/much":
        answer = MUCH
    headers = [(b"content-length", b"%d" % len(answer))]
    if status != 200:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for at in range(0, len(answer), 1_000_000):
        more = at + 1_000_000 < len(answer)
        part = answer[at : at + 1_000_000]
        await send({"type": "http.response.body", "body": part, "more_body": more})


@pytest.fixture
def port() -> Iterator[int]:
    """A server on a thread of its own."""
    config = uvicorn.Config(
        application, http=HastyProtocol, ws="none", loop="uvloop", lifespan="off",
        log_config=None, log_level="error", timeout_keep_alive=3,
    )  # fmt: skip
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1_000)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
        for _ in range(100):
            if not server.server_state.connections:
                break
            time.sleep(0.05)
        assert not server.server_state.connections, "nobody is left behind"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(20)
        listener.close()


@contextmanager
def seconds(*, at_least: float = 0, at_most: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert at_least <= time.monotonic() - began <= at_most


async def connect(port: int) -> Client:
    return await asyncio.open_connection("127.0.0.1", port)


async def until_closed(client: Client, *, drip: bytes = b"") -> bytes:
    """What the server says until it closes; meanwhile a few bytes at a time are sent."""
    reader, writer = client
    reading = asyncio.ensure_future(reader.read())
    try:
        while not reading.done():
            writer.write(drip)
            await asyncio.wait({reading}, timeout=0.05)
        return await reading
    except ConnectionError:
        return b""
    finally:
        reading.cancel()
        writer.close()


async def ask(port: int) -> float:
    """How long an ordinary request takes."""
    began = time.monotonic()
    reader, writer = await connect(port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
    assert (await reader.read()).startswith(OK)
    writer.close()
    return time.monotonic() - began


async def a_new_one(port: int) -> Client:
    return await connect(port)


async def a_known_one(port: int) -> Client:
    """A connection that has had an answer already."""
    reader, writer = await connect(port)
    writer.write(NO_BODY)
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(len(str(os.getpid())))
    return reader, writer


@pytest.mark.parametrize("begin", [a_new_one, a_known_one])
@pytest.mark.parametrize("drip", [b"X-A: b\r\n", b"\r\n"])
async def test_slow_heads_are_sent_away_and_delay_nobody(
    port: int,
    begin: Callable[[int], Awaitable[Client]],
    drip: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # This process is sender and server: a stall of a second made a slow head of an ordinary one.
    monkeypatch.setattr(HastyProtocol, "HEAD_TIMEOUT_SECONDS", 2.5)
    slow = [await begin(port) for _ in range(200)]
    with seconds(at_least=0.5, at_most=10):
        if drip.strip():
            for _, writer in slow:
                writer.write(b"GET / HTTP/1.1\r\n")
        waiting = asyncio.gather(*[until_closed(client, drip=drip) for client in slow])
        took = [await ask(port) for _ in range(20)]
        assert await waiting == [b""] * 200
    assert max(took) < 2


async def test_a_head_without_end_is_cut_off_at_its_bound_and_not_at_its_time(port: int) -> None:
    client = await connect(port)
    client[1].write(b"GET / HTTP/1.1\r\nX-A: " + b"a" * 200_000)
    with seconds(at_most=0.9):
        assert await until_closed(client) == b""


async def test_who_says_nothing_at_all_is_sent_away(port: int) -> None:
    with seconds(at_least=0.9, at_most=3):
        assert await until_closed(await connect(port)) == b""


async def test_an_idle_connection_is_kept_as_long_as_before(port: int) -> None:
    client = await a_known_one(port)
    with seconds(at_least=2.5, at_most=6):
        assert await until_closed(client) == b""


async def test_a_head_that_comes_in_two_parts_in_time_is_answered(port: int) -> None:
    reader, writer = await a_known_one(port)
    for _ in range(3):
        writer.write(NO_BODY[:10])
        await asyncio.sleep(0.5)
        writer.write(NO_BODY[10:])
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(OK)
        await reader.readexactly(len(str(os.getpid())))
    writer.close()


async def test_part_of_a_next_head_does_not_cut_off_an_answer_that_is_late(port: int) -> None:
    client = reader, writer = await connect(port)
    writer.write(NO_BODY.replace(b"/ ", b"/late ") + NO_BODY[:10])
    with seconds(at_least=1.4, at_most=4):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(OK)
    await reader.readexactly(len(str(os.getpid())))
    assert await until_closed(client) == b""


@pytest.mark.parametrize("drip", [b"", b"x"])
@pytest.mark.parametrize("begun", [b"", b"x" * 1_000])
async def test_a_slow_body_is_refused_in_time(port: int, begun: bytes, drip: bytes) -> None:
    reader, writer = await connect(port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n" + begun)
    with seconds(at_least=0.4, at_most=3):
        answer = await until_closed((reader, writer), drip=drip)
    assert answer.startswith(b"HTTP/1.1 408") or (drip and not answer)


async def test_the_rest_of_a_refused_body_is_not_waited_for(port: int) -> None:
    client = await connect(port)
    client[1].write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000000\r\n\r\n")
    with seconds(at_most=4):
        answer = await until_closed(client, drip=b"x")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408")


async def test_who_is_answered_before_the_end_of_a_body_can_send_it_and_go_on(port: int) -> None:
    reader, writer = await connect(port)
    body = b"x" * 3_000_000
    for _ in range(2):
        writer.write(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 100_000):
            writer.write(body[at : at + 100_000])
            await writer.drain()
            await asyncio.sleep(0.001)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(OK)
        await reader.readexactly(len(str(os.getpid())))
        await asyncio.sleep(1.5)  # idle, for longer than a head or the rest of a body may take
    writer.write(NO_BODY)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(OK)
    writer.close()


async def test_the_rest_of_one_body_does_not_hurry_the_next(port: int) -> None:
    reader, writer = await connect(port)
    head = b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    answers = 0
    for part, seconds_after in (
        (head % b"/early", 0.1),
        (b"x" * 100, 0.8),  # of a body that is answered already: from here on it has a second
        (b"x" * 900 + head % b"/" + b"y", 0.3),
        (b"y" * 999, 0.0),
    ):
        writer.write(part)
        await asyncio.sleep(seconds_after)
    while answers < 2:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(OK)
        await reader.readexactly(len(str(os.getpid())))
        answers += 1
    writer.close()


async def test_the_rest_of_an_answered_body_is_not_read_for_ever(port: int) -> None:
    client = await connect(port)
    client[1].write(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000000\r\n\r\n")
    with seconds(at_least=0.5, at_most=3):
        await until_closed(client, drip=b"x")


async def test_slow_readers_delay_nobody_and_are_sent_away(port: int) -> None:
    slow = []
    for _ in range(20):
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        line.connect(("127.0.0.1", port))
        line.sendall(NO_BODY.replace(b"/ ", b"/much "))
        slow.append(line)
    assert max([await ask(port) for _ in range(20)]) < 0.5
    await asyncio.sleep(3)
    for line in slow:
        assert 0 < received_until_closed(line) < len(MUCH)


def received_until_closed(line: socket.socket) -> int:
    received = 0
    line.settimeout(5)
    with contextlib.suppress(ConnectionError), line:
        while part := line.recv(1_000_000):
            received += len(part)
    return received


async def test_who_reads_slowly_but_steadily_gets_all_of_it(port: int) -> None:
    reader, writer = await connect(port)
    writer.write(
        NO_BODY.replace(b"/ ", b"/much ").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    )
    received = 0
    with seconds(at_least=2, at_most=20):
        while part := await reader.read(500_000):
            received += len(part)
            await asyncio.sleep(0.05)
    assert received > len(MUCH)
    writer.close()


def serve_with_workers(port: int) -> None:
    uvicorn.run(
        "tests.integration.test_http_protocol:application",
        http="tests.integration.test_http_protocol:HastyProtocol",
        workers=2, host="127.0.0.1", port=port, ws="none", lifespan="off",
        log_config=None, log_level="error",
    )  # fmt: skip


async def test_several_workers_use_it_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve_with_workers, args=(port,))
    process.start()
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    await ask(port)
                    break
                except OSError:
                    await asyncio.sleep(0.1)
        with seconds(at_least=0.9, at_most=4):
            answers = await asyncio.gather(
                *[until_closed(await connect(port), drip=b"\r\n") for _ in range(20)]
            )
        assert answers == [b""] * 20
    finally:
        process.terminate()
        process.join(20)
