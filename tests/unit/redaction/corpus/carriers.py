"""What a secret is found in: fields, prose, addresses, JSON inside a string, dead letters."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

Carried = tuple[Any, tuple[str, ...]]
"""The value, and the strings that may not be left of it."""
Carrier = Callable[[random.Random, str], Carried]

FIELDS = (
    "comment", "note", "text", "value", "q", "content", "label", "message", "input", "answer",
    "field_3", "title", "description", "data", "reference", "customField", "details", "body",
)  # fmt: skip

SENTENCES = (
    "Please charge {} today, thanks",
    "my details: {}.",
    "Hallo, hier ist es: {} - danke!",
    "Bonjour, voici : {}, merci d'avance",
    "Ciao, eccolo ({}) grazie",
    "Hola: {}; un saludo",
    "(see {})",
    "Użytkownik podał {} w formularzu",
    "お客様情報：{}、よろしくお願いします",
    "客户留言：{}。",
    "Сообщение: {}",
    'He said "{}" and left\nthen came back',
    "first line\n{}\tlast column",
    "<p>Contact</p><b>{}</b>",
    "input was '{}' (rejected)",
    "{}",
    "  {}  ",
)


def field(rng: random.Random, secret: str) -> Carried:
    return {rng.choice(FIELDS): secret}, (secret,)


def sentence(rng: random.Random, secret: str) -> Carried:
    return {rng.choice(FIELDS): rng.choice(SENTENCES).format(secret)}, (secret,)


def nested(rng: random.Random, secret: str) -> Carried:
    form = {"fields": [{"id": 7, rng.choice(FIELDS): secret}, {"id": 8}]}
    return {"properties": {"form": form, "step": 2}}, (secret,)


def element(rng: random.Random, secret: str) -> Carried:
    return {"items": ["a", secret, rng.randrange(100)]}, (secret,)


def key(rng: random.Random, secret: str) -> Carried:
    return {"clicks": {secret: rng.randrange(9), "other": 1}}, (secret,)


def query(rng: random.Random, secret: str) -> Carried:
    text = quote(secret, safe=rng.choice(("", "@", ":@")))
    url = f"https://shop.example/search?{rng.choice(('q', 'v', 'term', 's'))}={text}&page=2"
    return {"url": url}, (secret, text)


def query_plus(rng: random.Random, secret: str) -> Carried:
    text = quote_plus(secret)
    url = f"https://shop.example/a/b?utm_source=news&x={text}#top"
    return {"referrer": url}, (secret, text)


def twice_encoded(rng: random.Random, secret: str) -> Carried:
    inner = f"https://pay.example/done?ref={quote(secret, safe='')}&ok=1"
    url = f"https://shop.example/go?to={quote(inner, safe='')}"
    return {"url": url}, (secret, quote(secret, safe=""), quote(quote(secret, safe=""), safe=""))


def fragment(rng: random.Random, secret: str) -> Carried:
    text = quote(secret, safe="@")
    return {"url": f"https://app.example/#/profile?x={text}"}, (secret, text)


def path(rng: random.Random, secret: str) -> Carried:
    text = quote(secret, safe="@")
    return {"path": f"/customers/{text}/edit", "status": 200}, (secret, text)


def json_in_string(rng: random.Random, secret: str) -> Carried:
    inner = {"id": 5, rng.choice(FIELDS): secret, "ok": True}
    text = json.dumps(inner, ensure_ascii=rng.random() < 0.5)
    return {"payload": text}, (secret,)


def json_twice_in_string(rng: random.Random, secret: str) -> Carried:
    inner = json.dumps({"m": json.dumps({rng.choice(FIELDS): secret})})
    return {"raw": inner}, (secret,)


def html(rng: random.Random, secret: str) -> Carried:
    text = f'<input type="text" name="x" value="{secret}"><span data-v="{secret}"></span>'
    return {"outerHTML": text}, (secret,)


def log_line(rng: random.Random, secret: str) -> Carried:
    return {"error": f"Error: bad input [{secret}] at line 12:34 (code=500)"}, (secret,)


EVERYWHERE: tuple[tuple[str, Carrier], ...] = tuple(
    (carrier.__name__, carrier)
    for carrier in (
        field, sentence, sentence, nested, element, key, query, query_plus, twice_encoded,
        fragment, path, json_in_string, json_twice_in_string, html, log_line,
    )
)  # fmt: skip
