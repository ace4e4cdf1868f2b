"""What holds for each dialect: whatever is sent, it never raises and accounts for every event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.app import DIALECTS
from api.collector.dialects.dialect import Dialect
from core.event import MAX_NAME_CHARS
from tests.conftest import ROOT
from tests.unit.dialects.asking import Asked, ask

ROUTES = [
    pytest.param(dialect, path, method, id=f"{method} {path}")
    for dialect in DIALECTS
    for path, methods in sorted(dialect.routes.items())
    for method in sorted(methods)
]
every_route = pytest.mark.parametrize(("dialect", "path", "method"), ROUTES)

NAMES = st.sampled_from(
    [
        "events", "eventType", "event_type", "type", "url", "referrer", "viewport", "width",
        "timestamp", "website_id", "site_id", "x_coordinate", "ip_address", "properties",
        "performance", "eventId", "e", "s", "u", "ts", "p", "amp;e", "viewport_width", "consent",
    ]
) | st.text(max_size=5)  # fmt: skip
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["/p/7", "google.com", "", "\0", "x" * 9_000, "2026-11-21T10:15:30Z", '{"a":1}', "{", "7"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXTS
    | st.text(st.characters(categories=["Cs"]), min_size=1, max_size=2)
    | st.sampled_from([10**400, -(10**30), 1795256130123]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
HEADERS = st.dictionaries(
    st.sampled_from(["origin", "referer", "content-type", "user-agent", "host"]),
    st.text(st.characters(max_codepoint=255), max_size=20)
    | st.sampled_from(
        ["https://shop.example", "https://[", "null", "application/json", "text/plain", "text/xml",
         "application/x-www-form-urlencoded"]
    ),
    max_size=3,
)  # fmt: skip


def check_whole(asked: Asked) -> None:
    """Each event is accepted or refused, once; the answer can be sent."""
    acceptance, reply = asked.acceptance, asked.reply
    assert 200 <= reply.status < 500
    assert reply.content_type != b"application/json" or not reply.body or json.loads(reply.body)
    for name, value in reply.headers:
        assert name.islower()
        assert b"\n" not in value and b"\r" not in value
    if acceptance.whole_request_refused:
        assert (len(acceptance.accepted), len(acceptance.refused)) == (0, 1)
        return
    places = [e.place for e in acceptance.accepted] + [r.index for r in acceptance.refused]
    assert sorted(places, key=str) == sorted(range(len(places)), key=str)


@every_route
@given(data=st.data())
def test_arbitrary_bytes_never_raise(
    dialect: Dialect, path: str, method: str, data: st.DataObject
) -> None:
    body = data.draw(st.binary(max_size=200)) if method == "POST" else b""
    query = data.draw(st.binary(max_size=200))
    headers = data.draw(HEADERS)
    check_whole(ask(dialect, path.encode() + b"?" + query, body, method=method, headers=headers))


@every_route
@given(value=VALUES, wrapped=st.booleans(), headers=HEADERS)
def test_arbitrary_json_never_raises(
    dialect: Dialect, path: str, method: str, value: Any, wrapped: bool, headers: dict[str, str]
) -> None:
    body = {"events": [value, value]} if wrapped else value
    check_whole(ask(dialect, path, body, method=method, headers=headers))


@every_route
@given(
    parameters=st.lists(
        st.tuples(NAMES, st.text('%+ &=;{}[]:"\\aeé1Z-\x00\ud800', max_size=20)), max_size=8
    )
)
def test_arbitrary_queries_never_raise(
    dialect: Dialect, path: str, method: str, parameters: list[tuple[str, str]]
) -> None:
    query = "&".join(f"{name}={text}" for name, text in parameters)
    target = f"{path}?{query}".encode(errors="surrogatepass")
    check_whole(ask(dialect, target, query.encode(errors="surrogatepass"), method=method))


@every_route
@pytest.mark.parametrize("levels", [40, 900, 1_000, 100_000])
def test_no_depth_breaks_anything(dialect: Dialect, path: str, method: str, levels: int) -> None:
    for frame in (b"%s", b'{"events":[%s]}', b'{"eventType":"a","type":"a","x":%s}', b"p=%s"):
        for deep in (b"[" * levels + b"]" * levels, b'{"a":' * levels, b"[" * levels):
            check_whole(ask(dialect, path, frame % deep, method=method))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name or "native")
def test_it_has_a_name_and_a_page_in_the_docs(dialect: Dialect) -> None:
    assert len(dialect.name) <= MAX_NAME_CHARS
    page = (dialect.name or "native").replace("_", "-")
    text = (ROOT / "docs" / "dialects" / f"{page}.md").read_text()
    for path in dialect.routes:
        assert path in text
    assert f"({page}.md)" in (ROOT / "docs" / "dialects" / "README.md").read_text()


def test_no_two_dialects_share_a_path_or_a_name() -> None:
    paths = [path for dialect in DIALECTS for path in dialect.routes]
    assert len(paths) == len(set(paths))
    names = [dialect.name for dialect in DIALECTS]
    assert len(names) == len(set(names))
