"""Secrets, and requests of every dialect that hold them in every place that it has."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

CARD, SSN, IBAN = "4111111111111111", "536-22-8726", "DE89370400440532013000"
EMAIL, PHONE = "anna.geheim@example.com", "+41 79 123 45 67"
WHOLE_IPS = ("203.0.113.77", "2001:db8:1:2::77")
SECRETS = (
    *(CARD, "4111 1111", SSN, IBAN, PHONE, "791234567", *WHOLE_IPS),
    "geheim",  # in the address of mail, and in whatever stands under a telling name
)
URL = (
    f"https://anna:geheim-1@shop.example/p?token=geheim-2&mail={quote(EMAIL)}&card={CARD}"
    f"&ip={WHOLE_IPS[0]}#access_token=geheim-3"
)
AGENT = f"Mozilla/5.0 (X11; Linux x86_64) Shop/7 ({EMAIL}; {CARD})"
PROPERTIES: dict[str, Any] = {
    "note": f"card {CARD[:4]} 1111 1111 1111, {SSN}, {IBAN}, call {PHONE}",
    "contact": {"mail": [EMAIL], "tel": "0041791234567"},
    "form": {"password": "geheim-4", "fields": [{"name": "secret", "value": "geheim-5"}]},
    "numbers": int(CARD),
    EMAIL: "as a name",
    "text": json.dumps({"user": {"token": "geheim-6", "mail": EMAIL}}),
    "clientIp": WHOLE_IPS[1],
    "link": URL,
}


@dataclass(frozen=True)
class Planted:
    """A request that holds secrets; `events` when it is accepted."""

    dialect: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    events: int = 1

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def planted_requests() -> Iterator[Planted]:
    """At least one of each dialect."""
    yield from _native()
    yield from _pixel()
    yield from _seeds()
    yield from _segment()
    yield from _snowplow()
    props = PROPERTIES | {"more": SSN}
    page = {"n": f"Paid {CARD}", "u": URL, "r": URL, "d": "shop.example", "p": props}
    yield Planted("plausible", "/api/event", page, {"x-plausible-ip": WHOLE_IPS[0]})
    umami = {
        "website": "w-1", "hostname": "shop.example", "url": URL, "referrer": URL,
        "title": f"For {EMAIL}", "name": f"Paid {CARD}", "data": PROPERTIES, "ip": WHOLE_IPS[0],
        "id": EMAIL, "unknown": EMAIL,
    }  # fmt: skip
    yield Planted("umami", "/api/send", {"type": "event", "payload": umami})
    yield Planted("umami", "/api/batch", [{"type": "event", "payload": umami}] * 2, events=2)


def _native() -> Iterator[Planted]:
    clean = {"eventType": "click", "siteId": "shop.example", "properties": {"x": 1}}
    whole = clean | {
        "eventType": f"Paid {CARD}", "title": f"For {EMAIL}", "url": URL, "referrer": URL,
        "eventLabel": PHONE, "userId": EMAIL, "visitorId": EMAIL, "properties": PROPERTIES,
    }  # fmt: skip
    yield Planted("", "/collect", whole)
    yield Planted("", "/collect", clean | {"password": "geheim-7", "mail": EMAIL, EMAIL: 1})
    shared = {"title": f"For {EMAIL}", "properties": PROPERTIES, "userAgent": AGENT}
    yield Planted("", "/collect", shared | {"events": [clean, whole, clean]}, events=3)


def _pixel() -> Iterator[Planted]:
    asked = {"e": f"Opened {CARD}", "s": "shop.example", "t": EMAIL, "password": "geheim-8"}
    query = asked | {"p": json.dumps(PROPERTIES), "r": URL, EMAIL: PHONE}
    referer = {"referer": URL}
    yield Planted("pixel", "/pixel.gif?" + urlencode(query), headers=referer)
    form = {"content-type": "application/x-www-form-urlencoded"}
    yield Planted("pixel", "/pixel.gif", urlencode(query).encode(), form | referer)


def _seeds() -> Iterator[Planted]:
    widget = {
        "event_type": f"widget {CARD}", "site_id": "shop.example", "page_url": URL,
        "referrer_domain": EMAIL, "properties": PROPERTIES, "note": PHONE,
    }  # fmt: skip
    yield Planted("widget_events", "/v1/events", {"events": [widget, widget]}, events=2)
    dash = {"url": "/p?" + URL.partition("?")[2], "note": EMAIL} | PROPERTIES
    origin = {"referer": URL}
    for kind in ("event", "pageview", "session", "performance"):
        named = dash | ({"type": f"Paid {CARD}"} if kind == "event" else {})
        yield Planted("ecomdash", f"/api/v1/track/{kind}", named, origin)
    heat = {
        "website_id": "shop.example", "page_url": URL, "element_selector": f"a[href='{EMAIL}']",
        "user_agent": AGENT, "ip_address": WHOLE_IPS[0], "password": "geheim-9",
    }  # fmt: skip
    for kind in ("collect", "click", "scroll", "mouse"):
        yield Planted("heatmap", f"/v1/events/{kind}", heat | {"event_type": f"Seen {CARD}"})


def _segment() -> Iterator[Planted]:
    context = {
        "ip": WHOLE_IPS[0], "userAgent": AGENT, "page": {"url": URL, "referrer": URL},
        "traits": {"email": EMAIL}, "device": {"token": "geheim-10"},
    }  # fmt: skip
    call = {"userId": EMAIL, "context": context, "anonymousId": "a-1"}
    track = call | {"type": "track", "event": f"Paid {CARD}", "properties": PROPERTIES}
    named = call | {"type": "identify", "traits": PROPERTIES | {"email": EMAIL, "phone": PHONE}}
    yield Planted("segment", "/v1/batch", {"batch": [track, named], "context": context}, events=2)
    yield Planted("segment", "/v1/t", track)


def _snowplow() -> Iterator[Planted]:
    def packed(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    base = "iglu:com.snowplowanalytics.snowplow"
    own = {"schema": "iglu:example.shop/paid/jsonschema/1-0-0", "data": PROPERTIES}
    told = {"schema": f"{base}/unstruct_event/jsonschema/1-0-0", "data": own}
    around = {"schema": f"{base}/contexts/jsonschema/1-0-1", "data": [own]}
    params = {
        "e": "ue", "p": "web", "tv": "js-3", "aid": "shop", "ue_px": packed(told),
        "cx": packed(around), "url": URL, "refr": URL, "page": f"For {EMAIL}", "ua": AGENT,
        "ip": WHOLE_IPS[0], "uid": EMAIL, "unknown": EMAIL,
    }  # fmt: skip
    tp2 = "/com.snowplowanalytics.snowplow/tp2"
    schema = f"{base}/payload_data/jsonschema/1-0-4"
    yield Planted("snowplow", tp2, {"schema": schema, "data": [params, params]}, events=2)
    yield Planted("snowplow", "/i?" + urlencode(params))
    plain = {n: v for n, v in params.items() if n not in ("ue_px", "cx")}
    plain |= {"ue_pr": json.dumps(told), "co": json.dumps(around)}
    yield Planted("snowplow", tp2, {"schema": schema, "data": [plain]})


def found_in(texts: Iterable[str]) -> set[tuple[str, str]]:
    """Each secret that stands in a text, as itself or in base64, with what is around it."""
    found = set()
    for text in texts:
        for readable in (text, *_unpacked(text)):
            for secret in SECRETS:
                if (at := readable.find(secret)) >= 0:
                    found.add((secret, readable[max(0, at - 60) : at + 60]))
    return found


def _unpacked(text: str) -> Iterator[str]:
    for run in re.findall(r"[A-Za-z0-9+/_-]{24,}", text):
        packed = run.replace("-", "+").replace("_", "/")
        yield base64.b64decode(packed[: len(packed) // 4 * 4]).decode("latin-1")


def everything_in(database_url: str) -> Iterator[str]:
    """Every row of every table as text, and what it holds as bytes."""
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "SELECT oid::regclass::text, relname FROM pg_class"
            " WHERE relkind IN ('r', 'p', 'm') AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        assert len(tables) > 8
        for _, name in tables:
            rows = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name)))
            for row in rows:
                for value in row:
                    yield _as_text(value)


def _as_text(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("latin-1")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
