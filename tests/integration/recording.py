"""Chunks of recordings, sent as a page's recorder sends them."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from typing import Any

import httpx

from exporter.sinks.open import Sink
from tests.integration.building import serving

PATH = "/api/v1/track/replay"


def a_chunk(sequence: int = 0, *texts: str, **different: Any) -> dict[str, Any]:
    """An envelope with an event for each text; keyword arguments are wire names."""
    now = time.time() * 1000
    events = [
        {"type": 3, "timestamp": now + n, "data": {"source": 0, "texts": [{"id": 1, "value": t}]}}
        for n, t in enumerate(texts or ("***",))
    ]
    envelope = {
        "siteId": "shop.example",
        "visitorId": "v-1",
        "sessionId": "s-1",
        "recordingId": "r-1",
        "sequence": sequence,
        "sentAt": now + 1000,
        "consent": "granted",
        "url": "https://shop.example/p/7",
        "events": events,
    } | different
    return {name: value for name, value in envelope.items() if value is not None}


async def post(http: httpx.AsyncClient, chunk: Any, **headers: str) -> httpx.Response:
    """POST an envelope, gzipped as a browser sends it; bytes go as they are."""
    body = chunk if isinstance(chunk, bytes) else gzip.compress(json.dumps(chunk).encode())
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await http.post(PATH, content=body, headers=named)


def record(database_url: str, *chunks: Any, **variables: str) -> list[dict[str, Any]]:
    """Send chunks through the whole application; returns the answers."""

    async def send() -> list[dict[str, Any]]:
        async with serving(database_url, **variables) as http:
            return [(await post(http, chunk)).json() for chunk in chunks]

    return asyncio.run(send())


def read_lines(sink: Sink, key: str) -> list[dict[str, Any]]:
    """The chunks of a delivered object, in its order."""
    body = sink.bucket.get(key)
    assert body is not None, key
    return [json.loads(line) for line in gzip.decompress(body).splitlines()]
