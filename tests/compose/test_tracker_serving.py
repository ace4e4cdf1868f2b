"""How the tracker is served: the same by the real nginx and by a collector without one."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import brotli
import pytest

from tests.compose.running_nginx import NGINX, running_nginx
from tests.conftest import an_event
from tests.system.running_collector import Answer, running_collector, send
from tests.tracker_dist import BUILD, GONE, TRACKER, make_dist, script_that

IMMUTABLE: Final = "public, max-age=31536000, immutable"
STABLE: Final = "public, max-age=300, stale-while-revalidate=86400"
ALIASES: Final = {"TRACKER_ALIAS": "/a/app.js", "COLLECT_ALIAS": "/a/x"}
needs_nginx = pytest.mark.skipif(NGINX is None, reason="no nginx here: CI has one")


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dist(tmp_path_factory.mktemp("tracker") / "dist")


@pytest.fixture(scope="module")
def collector(
    read_database_url: str, dist: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("collector")
    settings = {"TRACKER_DIR": str(dist), **ALIASES}
    with running_collector(read_database_url, folder, **settings) as running:
        yield running.url


@pytest.fixture(scope="module")
def nginx(collector: str, dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("nginx") / "nginx"
    with running_nginx(collector, folder, dist=dist, **ALIASES) as url:
        yield url


@pytest.fixture(params=["collector", pytest.param("nginx", marks=needs_nginx)])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def opened(answer: Answer) -> tuple[int, bytes, str]:
    """Status, content and caching, once whatever coding it has is undone."""
    status, headers, body = answer
    undo = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}
    return status, undo[headers.get("content-encoding")](body), headers.get("cache-control", "")


def test_each_name_has_its_content_and_is_kept_as_long_as_it_is_true(url: str) -> None:
    for folder, tracker in (("/js", "tracking"), ("/a", "app")):
        for name, says, caching in (
            (f"{tracker}.js", "tracker", STABLE),
            (f"{tracker}.{TRACKER.split('.')[1]}.js", "tracker", IMMUTABLE),
            ("views.js", "views", STABLE),
            ("views.99aabbcc.js", "views", IMMUTABLE),
            (f"{BUILD}0.js", "chunk 0", IMMUTABLE),
            (f"{BUILD}a.js", "chunk a", IMMUTABLE),
        ):
            for accepted in ("gzip, deflate, br, zstd", "gzip", "identity"):
                answer = send(f"{url}{folder}/{name}", headers={"Accept-Encoding": accepted})
                assert opened(answer) == (200, script_that(says), caching), (folder, name)


def test_a_page_with_an_older_tracker_gets_the_present_chunk_and_not_for_ever(url: str) -> None:
    for folder in ("/js", "/a"):
        for digit in "0a":
            for accepted in ("br", "gzip", "identity"):
                answer = send(
                    f"{url}{folder}/{GONE}{digit}.js", headers={"Accept-Encoding": accepted}
                )
                assert opened(answer) == (
                    200, script_that(f"chunk {digit}"), "public, max-age=300",
                )  # fmt: skip
                assert answer[1].get("content-encoding", "identity") == accepted


@pytest.mark.parametrize(
    "path",
    [
        f"/js/{GONE}7.js",  # a digit that was never given
        "/js/tracking.ffffffff.js",  # a pin holds for these bytes or for none
        "/a/app.ffffffff.js",
        "/js/0.js",
        "/a/0.js",
        "/js/assets.json",
        "/js/tracking.js.br",
        "/js/tracking.js.gz",
        f"/js/{BUILD}0.js.br",
        f"/js/{BUILD.upper()}0.js",
        "/js/",
        "/js/tracking.js/",
        "/js/tracking.js%0a",
        "/js/..%2fjs%2ftracking.js%00",
        "/a/tracking.js",
        "/a/app.js%0a",
        "/a/x/",
        "/a/x%0a",
        "/a/",
        "/app.js",
        "/b/app.js",
        "/a/b/app.js",
        "/a/app.js /a/app.js".replace(" ", "%20"),
    ],
)
def test_nothing_else_is_served(url: str, path: str) -> None:
    status, headers, _ = send(url + path)
    assert status in (400, 404), path
    assert "immutable" not in headers.get("cache-control", "")


def test_a_name_that_is_not_there_yet_is_not_remembered(url: str) -> None:
    status, headers, _ = send(f"{url}/js/tracking.ffffffff.js")
    assert (status, headers["cache-control"]) == (404, "no-store")


def test_any_page_may_load_it_and_no_browser_takes_it_for_something_else(url: str) -> None:
    for path in ("/js/tracking.js", f"/js/{TRACKER}", f"/a/{BUILD}0.js", f"/js/{GONE}0.js"):
        for accepted in ("br", "gzip", "identity"):
            _, headers, _ = send(url + path, headers={"Accept-Encoding": accepted})
            assert headers["access-control-allow-origin"] == "*"
            assert headers["cross-origin-resource-policy"] == "cross-origin"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-type"] == "text/javascript; charset=utf-8"
            assert headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("br", "br"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=0.5, BR;q=0.8", "br"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0.000,gzip;q=0.001", "gzip"),
        ("br ; q=0 , gzip ; q=1.0", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate, zstd", None),
        ("gzip;q=0, br;q=0", None),
        ("brr, gzipped", None),
        ("x-br", None),
        ("", None),
    ],
)
def test_the_coding_is_one_that_was_asked_for(url: str, accepted: str, coding: str | None) -> None:
    status, headers, body = send(url + "/js/tracking.js", headers={"Accept-Encoding": accepted})
    assert (status, headers.get("content-encoding")) == (200, coding)
    assert int(headers["content-length"]) == len(body)
    assert (coding is None) == (len(body) == len(script_that("tracker")))


def test_who_has_it_is_told_so_without_the_content(url: str) -> None:
    etags = set()
    for accepted in ("br", "gzip", "identity"):
        asked = {"Accept-Encoding": accepted}
        _, headers, _ = send(url + "/a/app.js", headers=asked)
        etags.add(headers["etag"])
        for known in (headers["etag"], f'"other", W/{headers["etag"]}', "*"):
            again = send(url + "/a/app.js", headers=asked | {"If-None-Match": known})
            assert (again[0], again[2]) == (304, b"")
            assert again[1]["etag"] == headers["etag"]
            assert again[1]["cache-control"] == STABLE
            assert again[1]["vary"] == "Accept-Encoding"
            assert again[1]["access-control-allow-origin"] == "*"
        changed = send(url + "/a/app.js", headers=asked | {"If-None-Match": '"other"'})
        assert changed[0] == 200
    assert len(etags) == 3, "another coding has another tag"


def test_head_tells_what_get_would(url: str) -> None:
    for accepted in ("br", "identity"):
        asked = {"Accept-Encoding": accepted}
        _, headers, body = send(url + "/js/tracking.js", headers=asked)
        status, told, nothing = send(url + "/js/tracking.js", method="HEAD", headers=asked)
        assert (status, nothing) == (200, b"")
        for name in ("content-length", "etag", "cache-control", "content-type"):
            assert told[name] == headers[name]
        assert told.get("content-encoding") == headers.get("content-encoding")
        assert int(told["content-length"]) == len(body)


def test_it_is_only_read(url: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert send(url + "/js/tracking.js", b"x", method=method)[0] == 405


def test_the_alias_of_the_endpoint_takes_events(url: str) -> None:
    status, headers, body = send(url + "/a/x", an_event(), headers={"Origin": "https://a"})
    assert (status, body) == (200, b'{"accepted":1,"rejected":0}')
    assert headers["access-control-allow-origin"] == "https://a"
    assert send(url + "/a/x", method="OPTIONS")[0] == 204
    assert send(url + "/a/x", method="DELETE")[0] == 405
    assert send(url + "/collect", an_event())[0] == 200, "the usual name stays"


def test_signals_hold_under_an_alias(url: str) -> None:
    for signal in ({"DNT": "1"}, {"Sec-GPC": "1"}):
        status, _, body = send(url + "/a/x", an_event(), headers=signal)
        assert status == 200
        assert b'"accepted":0' in body
        assert b"do_not_track" in body


def test_a_file_without_its_compressed_twin_is_served_all_the_same(url: str, dist: Path) -> None:
    twin, kept = dist / f"{BUILD}a.js.br", dist / "kept"
    twin.rename(kept)
    try:
        answer = send(f"{url}/js/{BUILD}a.js", headers={"Accept-Encoding": "br, gzip"})
        assert answer[1].get("content-encoding") != "br"
        assert opened(answer) == (200, script_that("chunk a"), IMMUTABLE)
    finally:
        kept.rename(twin)


@needs_nginx
def test_without_a_setting_there_is_no_alias(dist: Path, tmp_path: Path) -> None:
    with running_nginx("http://127.0.0.1:9", tmp_path / "nginx", dist=dist) as url:
        assert opened(send(url + "/js/tracking.js"))[:2] == (200, script_that("tracker"))
        for path in ("/a/app.js", "/a/x", f"/a/{BUILD}0.js", "/", "//", "/%20/js/tracking.js"):
            assert (path, send(url + path)[0]) == (path, 404)


@needs_nginx
def test_an_alias_in_the_first_folder_stands_beside_the_demo(dist: Path, tmp_path: Path) -> None:
    variables = {"SLUICE_ENV": "development", "TRACKER_ALIAS": "/app.js"}
    with running_nginx("http://127.0.0.1:9", tmp_path / "nginx", dist=dist, **variables) as url:
        assert opened(send(url + "/app.js"))[:2] == (200, script_that("tracker"))
        assert opened(send(f"{url}/{GONE}0.js"))[:2] == (200, script_that("chunk 0"))
        assert send(url + "/nothing.js")[0] == 404
