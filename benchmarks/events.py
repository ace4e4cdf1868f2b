"""Realistic events of about 690 bytes, the same ones for every run."""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/147.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/26.1 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:147.0) Gecko/20100101 Firefox/147.0",
)
_TYPES = ("page_view", "page_view", "click", "click", "click", "scroll", "product_view", "engaged")
_START_MS = 1_795_250_000_000


def make_uuid7(rng: random.Random, milliseconds: int) -> str:
    """A UUIDv7 of a time in Unix milliseconds."""
    value = milliseconds << 80 | rng.getrandbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def make_events(count: int, *, seed: int = 1) -> list[dict[str, Any]]:
    """`count` events of some visits to one shop, wire names, about 690 bytes each as JSON."""
    rng = random.Random(seed)
    visitors = [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(count // 25 + 1)]
    sessions = [make_uuid7(rng, _START_MS) for _ in visitors]
    events = []
    for number in range(count):
        who = rng.randrange(len(visitors))
        product = rng.randrange(400)
        milliseconds = _START_MS + number
        events.append(
            {
                "eventId": make_uuid7(rng, milliseconds),
                "eventType": rng.choice(_TYPES),
                "occurredAt": f"2026-11-21T10:{number // 60 % 60:02}:{number % 60:02}.123Z",
                "siteId": "shop.example",
                "source": "web",
                "sessionId": sessions[who],
                "visitorId": visitors[who],
                "url": f"https://shop.example/products/{product}?utm_source=news&utm_medium=email",
                "path": f"/products/{product}",
                "title": f"Product {product} - Alpine Goods",
                "referrer": "https://www.google.com/",
                "userAgent": _AGENTS[who % len(_AGENTS)],
                "language": "de-CH",
                "timezone": "Europe/Zurich",
                "screenWidth": 1920,
                "screenHeight": 1080,
                "viewportWidth": 1280,
                "viewportHeight": 720 + who % 200,
                "properties": {
                    "x": rng.randrange(1280),
                    "y": rng.randrange(4000),
                    "selector": f"main > div.card:nth-child({rng.randrange(30)}) > a",
                },
            }
        )
    return events


def encode(event: dict[str, Any]) -> bytes:
    """Compact JSON, as a tracker sends it."""
    return json.dumps(event, separators=(",", ":")).encode()
