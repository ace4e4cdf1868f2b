"""What the public reaches through nginx: every dialect's routes, and nothing of the management."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from api.app import DIALECTS, create_app
from api.collector.dialects.pixel import PIXEL
from api.collector.recording_endpoint import METHODS, PATH
from api.settings import ApiSettings
from core.settings import read_settings
from tests.compose.running_nginx import NGINX, running_nginx
from tests.conftest import ROOT, an_event
from tests.system.running_collector import RunningCollector, running_collector, send
from tests.system.running_stack import wait_until

ROUTES: Final = {path: methods for d in DIALECTS for path, methods in d.routes.items()} | {
    PATH: METHODS
}
LISTED: Final = re.findall(
    r"^location = (\S+) \{\s+include /etc/nginx/snippets/(?:dialect|to_collector)\.conf;",
    (ROOT / "nginx/snippets/routes.conf").read_text(),
    re.MULTILINE,
)
needs_nginx = pytest.mark.skipif(NGINX is None, reason="no nginx here: CI has one")


def management_paths() -> list[str]:
    settings = read_settings(ApiSettings, {"DATABASE_URL": "postgresql://nowhere/sluice"})
    app = create_app(settings).management
    paths = list(app.openapi()["paths"]) + [
        route.path for route in app.routes if hasattr(route, "path")
    ]
    return sorted({re.sub(r"\{\w+(:\w+)?\}", "1", path) for path in paths} - set(ROUTES) - {"/"})


def test_every_route_of_every_dialect_is_listed_once() -> None:
    assert set(ROUTES) <= set(LISTED)
    assert len(LISTED) == len(set(LISTED))


def test_nothing_of_the_management_is_listed() -> None:
    found = management_paths()
    assert {"/health", "/openapi.json", "/export/run", "/events/count"} <= set(found)
    assert not set(found) & set(LISTED)


# --- the real nginx -----------------------------------------------------------------------------


@pytest.fixture
def collector(database_url: str, tmp_path: Path) -> Iterator[RunningCollector]:
    with running_collector(database_url, tmp_path, TRUSTED_PROXIES="127.0.0.1") as collector:
        yield collector


@pytest.fixture
def public(collector: RunningCollector, tmp_path: Path) -> Iterator[str]:
    with running_nginx(collector.url, tmp_path / "nginx") as url:
        yield url


@pytest.fixture
def public_alone(tmp_path: Path) -> Iterator[str]:
    """nginx without a collector behind it."""
    with running_nginx("http://127.0.0.1:9", tmp_path / "nginx") as url:
        yield url


@needs_nginx
def test_each_route_reaches_the_collector_and_nothing_else_does(public: str) -> None:
    for path, methods in ROUTES.items():
        status, headers, _ = send(public + path, method="OPTIONS", headers={"Origin": "https://a"})
        assert (path, status) == (path, 204)
        assert headers["access-control-allow-origin"] == "https://a"
        other = send(public + path, method="DELETE")
        assert (path, other[0]) == (path, 405)
        assert set(other[1]["allow"].split(", ")) == methods | {"OPTIONS"}
    for path in management_paths():
        assert (path, send(public + path)[0]) == (path, 404)
        assert (path, send(public + path, {}, method="POST")[0]) == (path, 404)
    for path in ROUTES:
        for other_path in (path + "/", path + "/x", path + "x", path + "%0a", path.upper()):
            if other_path.replace("//", "/") in ROUTES:  # nginx reads two slashes as one
                continue
            assert (other_path, send(public + other_path)[0]) == (other_path, 404)


@needs_nginx
def test_no_spelling_of_a_path_reaches_the_management(public: str) -> None:
    around = (
        "/collect/..{0}", "/collect/..%2f{0}", "/collect/..%2f..{0}", "/pixel.gif%2f..{0}", "/{0}",
        "{0}/../../collect/..{0}", "/v1/events/../..{0}", "/collect%3f/..{0}", "/collect;/..{0}",
    )  # fmt: skip
    for path in ("/health", "/events/count", "/export/status", "/openapi.json"):
        for spelling in around:
            target = spelling.format(path)
            status, _, body = send(public + target)
            assert status in (400, 404), target
            assert b"nginx" in body, f"nginx itself says so, to {target}"


@needs_nginx
def test_another_spelling_of_a_path_goes_on_as_the_path(
    public: str, collector: RunningCollector
) -> None:
    for path in ("/%63ollect", "//collect", "/events/count/../../collect", "/a/..%2fcollect"):
        status, _, body = send(public + path, an_event())
        assert (path, status, body) == (path, 200, b'{"accepted":1,"rejected":0}')
    assert len(collector.rows()) == 4


@needs_nginx
def test_a_query_goes_on_as_it_came_and_a_claimed_address_does_not(
    public: str, collector: RunningCollector
) -> None:
    status, headers, body = send(
        public + "/pixel.gif?e=open&a=%C3%BC%26+x&b=%zz&a=2",
        headers={"X-Forwarded-For": "198.51.100.77", "Forwarded": "for=198.51.100.77"},
    )
    assert (status, body, headers["content-type"]) == (200, PIXEL, "image/gif")
    (row,) = collector.rows()
    assert row["payload"]["properties"] == {"a": ["ü& x", "2"], "b": "%zz"}
    assert row["payload"]["ip"] == "127.0.0.0"


@needs_nginx
def test_a_body_too_large_is_answered_in_the_collectors_form(public: str) -> None:
    status, headers, body = send(public + "/v1/events", b" " * 2_000_001)
    assert (status, headers["content-type"]) == (413, "application/json")
    assert b'"reason":"too_large"' in body
    assert b'"code":"too_large","message":' in body, "for RudderStack's SDK"


@needs_nginx
def test_while_the_collector_is_away_nginx_answers_in_its_form(public_alone: str) -> None:
    for path in set(ROUTES) - {"/pixel.gif"}:
        status, headers, body = send(public_alone + path, {})
        assert (path, status, headers["retry-after"]) == (path, 503, "2")
        assert b'"reason":"collector_unavailable"' in body


@needs_nginx
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_while_the_collector_is_away_the_pixel_is_still_a_picture(
    public_alone: str, method: str, tmp_path: Path
) -> None:
    status, headers, body = send(
        public_alone + "/pixel.gif?e=open",
        method=method,
        headers={"If-Modified-Since": "Mon, 28 Sep 1970 06:00:00 GMT"},
    )
    assert (status, headers["content-type"]) == (200, "image/gif")
    assert (len(body), headers["content-length"]) == (43 if method == "GET" else 0, "43")
    assert body[:6] in (b"GIF89a", b"")
    assert headers["cache-control"] == "no-store"
    assert "last-modified" not in headers
    assert headers["sluice-result"] == "not stored; reason=collector_unavailable"
    log = tmp_path / "nginx/access.log"  # written to after the answer has left
    line = '"path":"/pixel.gif","status":200'
    wait_until(lambda: line in log.read_text(), seconds=10, what="the request to be logged")
    assert "e=open" not in log.read_text(), "nothing of the query"


@needs_nginx
def test_a_form_leaves_the_page_alone_though_the_collector_is_away(public_alone: str) -> None:
    assert send(public_alone + "/pixel.gif", b"e=vote", method="POST")[0] == 204
    assert send(public_alone + "/pixel.gif", b"x" * 2_000_001, method="POST")[0] == 204
