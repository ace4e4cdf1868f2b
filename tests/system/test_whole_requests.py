"""A request gets the same answer whether it comes whole, in pieces, or behind another."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.system.running_collector import RunningCollector, running_collector
from tests.system.running_stack import ROOT, free_port

EVENT = b'{"eventType": "page_view", "siteId": "shop.example"}'
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQA\r\n"
REQUESTS = {
    "an event": (b"POST /collect", b"", EVENT),
    "a wrong one": (b"POST /collect", b"", b'{"eventType": ""}'),
    "no JSON": (b"POST /collect", b"Origin: https://shop.example\r\n", b"{"),
    "none wanted": (b"POST /collect", b"DNT: 1\r\n", EVENT),
    "a pixel": (b"GET /pixel.gif?eventType=open&siteId=shop.example", b"", b""),
    "a pixel's head": (b"HEAD /pixel.gif?eventType=open&siteId=shop.example", b"", b""),
    "a health check's head": (b"HEAD /v1/events/health", b"", b""),
    "a wrong method": (b"PUT /collect", b"", EVENT),
    "a preflight": (b"OPTIONS /collect", b"Origin: https://shop.example\r\n", b""),
    "another dialect": (b"POST /v1/track", b"", b'{"event": "Buy", "userId": "u"}'),
    "an unread coding": (b"POST /collect", b"Content-Encoding: lzma\r\n", EVENT),
    "an offer of HTTP/2": (b"POST /collect", OFFER, EVENT),
    "an offer without a body": (b"GET /pixel.gif?eventType=open&siteId=shop.example", OFFER, b""),
    "the last of a connection": (b"POST /collect", b"Connection: close\r\n", EVENT),
}


def encode(name: str) -> bytes:
    line, headers, body = REQUESTS[name]
    return b"%s HTTP/1.1\r\nHost: a.example\r\nUser-Agent: Mozilla/5.0\r\n%s" % (line, headers) + (
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )


def ask(collector: RunningCollector, *pieces: bytes, names: list[str]) -> list[bytes]:
    """Send the pieces of some requests apart; the answers without their dates."""
    address = urlsplit(collector.url)
    found: list[bytes] = []
    with socket.create_connection((address.hostname, address.port or 0), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
            if piece is not pieces[-1]:
                time.sleep(0.05)  # or it would arrive as one
        received = b""
        while len(found) < len(names):
            head, end, rest = received.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            is_head = REQUESTS[names[len(found)]][0].startswith(b"HEAD")
            body_bytes = 0 if is_head or length is None else int(length[1])
            if end and len(rest) >= body_bytes:
                size = len(head) + 4 + body_bytes
                found.append(re.sub(rb"(?i)date: [^\r]*\r\n", b"", received[:size]))
                received = received[size:]
                continue
            chunk = connection.recv(65_536)
            assert chunk, f"hung up after {received!r}"
            received += chunk
        assert received == b"", "nothing follows the last answer"
    return found


def test_whole_or_in_pieces_the_answer_is_the_same(database_url: str, tmp_path: Path) -> None:
    with running_collector(database_url, tmp_path) as collector:
        for name in REQUESTS:
            request = encode(name)
            middle = len(request) - 5
            (whole,) = ask(collector, request, names=[name])
            (pieces,) = ask(collector, request[:middle], request[middle:], names=[name])
            # What waits behind another goes the ASGI way, also where it has no body to wait for.
            behind = ask(collector, encode("an event") + request, names=["an event", name])
            assert whole == pieces == behind[1], name


def test_requests_behind_one_another_are_answered_in_order(
    database_url: str, tmp_path: Path
) -> None:
    names = [name for name in REQUESTS if name != "the last of a connection"]
    with running_collector(database_url, tmp_path) as collector:
        alone = [ask(collector, encode(name), names=[name])[0] for name in names]
        together = ask(collector, b"".join(map(encode, names)), names=names)
    assert together == alone


def test_offers_to_upgrade_are_ignored(database_url: str, tmp_path: Path) -> None:
    chunked = b"POST /collect HTTP/1.1\r\nHost: a.example\r\n%sTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(EVENT), EVENT)
    names = ["an offer of HTTP/2", "an event", "an offer of HTTP/2"]
    with running_collector(database_url, tmp_path) as collector:
        plain = ask(collector, encode("an event"), names=names[1:2])
        assert b'{"accepted":1' in plain[0]
        assert ask(collector, b"".join(map(encode, names)), names=names) == plain * 3
        for offer in (OFFER, b"Connection: close, upgrade\r\nUpgrade: websocket\r\n"):
            whole = chunked % offer + chunks
            for pieces in ([whole], [whole[:30], whole[30:120], whole[120:]]):
                (answer,) = ask(collector, *pieces, names=names[1:2])
                assert answer.replace(b"connection: close\r\n", b"") == plain[0]
                assert (b"connection: close" in answer) == (b"close" in offer)
        assert ask(collector, b"CONNECT a:1 HTTP/1.1\r\n\r\n", names=names[:1])[0].startswith(
            b"HTTP/1.1 400 "
        )


def test_what_comes_before_garbage_is_answered(database_url: str, tmp_path: Path) -> None:
    garbage = b"GARBAGE\r\n\r\n"
    with running_collector(database_url, tmp_path) as collector:
        (answer,) = ask(collector, encode("an event") + garbage, names=["an event"])
        assert b'{"accepted":1' in answer
        address = urlsplit(collector.url)
        with socket.create_connection((address.hostname, address.port or 0), 10) as connection:
            connection.sendall(encode("an event"))
            assert b'{"accepted":1' in connection.recv(65_536)
            connection.sendall(garbage)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 400 ")
        (answer,) = ask(collector, garbage, names=["no JSON"])
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert len(collector.rows()) == 2


def test_who_closes_only_its_own_direction_is_answered(database_url: str, tmp_path: Path) -> None:
    request = encode("an event")
    with running_collector(database_url, tmp_path) as collector:
        address = urlsplit(collector.url)
        for pieces in ([request], [request[:-5], request[-5:]], [request, request]):
            with socket.create_connection((address.hostname, address.port or 0), 10) as connection:
                for piece in pieces:
                    connection.sendall(piece)
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(10)
                received = b"".join(iter(lambda: connection.recv(65_536), b""))
            assert received.count(b'{"accepted":1') == b"".join(pieces).count(b"POST /collect")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_two_collectors_cannot_share_a_port(
    database_url: str, tmp_path: Path, workers: str
) -> None:
    with running_collector(database_url, tmp_path, API_WORKERS=workers) as collector:
        port = str(urlsplit(collector.url).port)
        second = subprocess.run(
            [sys.executable, "-m", "api"],
            cwd=ROOT,
            env=os.environ
            | {"DATABASE_URL": database_url, "API_PORT": port, "API_WORKERS": workers},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert second.returncode != 0
    assert f"Cannot listen on 127.0.0.1:{port}" in second.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("name", ["LOG_FILE", "GEO_DATABASE"])
def test_a_collector_that_cannot_start_says_why_and_ends(
    database_url: str, name: str, workers: str
) -> None:
    """And is not started again and again by its supervisor, which would look as if it ran."""
    started = subprocess.run(
        [sys.executable, "-m", "api"],
        cwd=ROOT,
        env=os.environ
        | {"DATABASE_URL": database_url, "API_PORT": str(free_port()), "API_WORKERS": workers}
        | {name: "/nowhere/at/all"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert started.returncode != 0
    assert "/nowhere/at/all" in started.stderr
    assert "Cannot listen" not in started.stderr
