"""The tag that `sluice tag` prints, in a page with a policy: integrity, nonces, other names."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.engines import open_browser
from tests.system.running_collector import RunningCollector, running_collector
from tests.system.running_stack import ROOT
from tests.tracker_dist import BUILD, TRACKER, describe, make_dist

ALIASES = {"TRACKER_ALIAS": "/a/app.js", "COLLECT_ALIAS": "/a/x"}
# As a tracker loads a plugin: by import(), beside itself.
LOADER = (
    f'import(new URL("{BUILD}0.js", document.currentScript.src).href).then((m) => m.default());'
)
Page = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """The tracker as it was built, with a chunk that says when it runs."""
    dist = make_dist(tmp_path / "dist")
    for compressed in (*dist.glob("*.br"), *dist.glob("*.gz")):
        compressed.unlink()
    shutil.copy(ROOT / "tracking/dist/tracking.js", dist)
    with (dist / "tracking.js").open("a") as script:
        script.write(LOADER)
    shutil.copy(dist / "tracking.js", dist / TRACKER)
    says = 'export default () => sluice("track", "chunk_ran");'
    (dist / f"{BUILD}0.js").write_text(says)
    describe(dist)
    return dist


@pytest.fixture
def collector(database_url: str, dist: Path, tmp_path: Path) -> Iterator[RunningCollector]:
    with running_collector(database_url, tmp_path, TRACKER_DIR=str(dist), **ALIASES) as collector:
        yield collector


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of another origin with this policy and this tag."""

    @contextmanager
    def opened(policy: str, tag: str) -> Iterator[Any]:
        with _serving(policy, tag) as url, open_browser() as browser:
            yield _visit(browser, url)

    return opened  # type: ignore[return-value]


def printed_tags(collector: RunningCollector, dist: Path) -> list[str]:
    """The newest and the pinned."""
    command = [sys.executable, "-m", "cli", "tag", "--site", "shop.example"]
    printed = subprocess.run(
        [*command, "--origin", collector.url, "--dist", str(dist)],
        cwd=ROOT, env=ALIASES | {"PATH": ""}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [line for line in printed.splitlines() if line.startswith("<script")]


@pytest.mark.parametrize(
    ("which", "script_src", "attribute"),
    [
        (0, "{collector}", ""),
        (1, "{collector}/a/", ""),  # the folder is enough
        (0, "'nonce-r4nd0m'", ' nonce="r4nd0m"'),  # and its import() has it from the script
        (1, "'nonce-r4nd0m' 'strict-dynamic'", ' nonce="r4nd0m"'),
    ],
)
def test_the_tag_works_under_a_policy_that_allows_nothing_else(
    collector: RunningCollector, dist: Path, page: Page, which: int, script_src: str, attribute: str
) -> None:
    tag = printed_tags(collector, dist)[which].replace("<script", f"<script{attribute}")
    source = script_src.format(collector=collector.url)
    policy = f"default-src 'none'; script-src {source}; connect-src {collector.url}/a/x"
    with page(policy, tag) as complaints:
        rows = collector.wait_for_rows(2)
    assert complaints == []
    assert {row["event_type"] for row in rows} >= {"page_view", "chunk_ran"}
    assert {row["site_id"] for row in rows} == {"shop.example"}


def test_a_script_that_is_not_what_was_pinned_does_not_run(
    collector: RunningCollector, dist: Path, page: Page
) -> None:
    tag = printed_tags(collector, dist)[1]
    with (dist / TRACKER).open("a") as script:
        script.write("//")
    with page(f"default-src 'none'; script-src {collector.url}", tag) as complaints:
        assert any("integrity" in complaint for complaint in complaints)
    assert collector.rows() == []


def _visit(browser: Browser, url: str) -> list[str]:
    """Open it, stay for a while; returns what the browser complained of."""
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url, wait_until="networkidle")
    page.goto("about:blank")
    return complaints


@contextmanager
def _serving(policy: str, tag: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 204)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            if self.path == "/":
                self.wfile.write(f"<!doctype html><title>Shop</title>{tag}".encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
