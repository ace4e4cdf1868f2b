"""A clean clone, `make demo`, a visit: every event is in the bucket within 90 s."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.dataset as ds
import pytest
from playwright.sync_api import Page

from tests.browser.engines import open_browser
from tests.system.running_stack import ROOT, RunningStack, wait_until

INSTALL_SECONDS = 300
PROMISED_SECONDS = 90


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """`make demo` in a fresh clone, its environment made from nothing."""
    clone = tmp_path_factory.mktemp("clean") / "sluice"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    stack = RunningStack(
        clone / "data",
        command=["make", "demo", "PORT={port}", f"PYTHON={sys._base_executable}"],  # type: ignore[attr-defined]
        cwd=clone,
        settings={"MAKEFLAGS": "", "MAKELEVEL": "0"},
    )
    stack.output = clone.parent / "demo.out"
    stack.start(seconds=INSTALL_SECONDS)
    yield stack
    stack.stop()


@pytest.mark.timeout(INSTALL_SECONDS + 2 * PROMISED_SECONDS)
def test_every_event_of_a_visit_is_in_the_bucket_within_90_seconds(demo: RunningStack) -> None:
    with open_browser() as browser:
        page = browser.new_page()
        captured = _record_captured_events(page)
        _click_through(page, demo.url.replace("127.0.0.1", "localhost"))
        page.close()
        closed_at = time.monotonic()
        ids = {event["eventId"] for event in captured}
        assert len(ids) == len(captured) >= 15
        wait_until(
            lambda: ids <= set(demo.delivered_ids("client")),
            seconds=PROMISED_SECONDS,
            what="every event in the client's bucket",
        )
        print(f"delivered {time.monotonic() - closed_at:.0f} s after the tab was closed")
    delivered = demo.delivered_ids("client")
    assert {i: delivered[i] for i in ids} == dict.fromkeys(ids, 1)
    assert {event["eventType"] for event in captured} >= {
        "page_view",
        "click",
        "product_view",
        "add_to_cart",
        "search",
    }
    _check_readers(demo.bucket("client") / "events", rows=delivered.total())
    _check_usage(demo, rows=delivered.total())


def _record_captured_events(page: Page) -> list[dict[str, str]]:
    captured: list[dict[str, str]] = []
    page.expose_function("recordCaptured", lambda text: captured.append(json.loads(text)))
    page.add_init_script(
        "window.addEventListener('sluice:event',"
        " e => window.recordCaptured(JSON.stringify(e.detail.event)))"
    )
    return captured


def _click_through(page: Page, shop: str) -> None:
    """A visit: catalogue, search, a product into the basket, the lookbook, and out."""
    page.goto(
        shop + "/?utm_source=news&utm_medium=email&gclid=abc123", referer="https://www.google.com/"
    )
    page.wait_for_function("!!window.sluice?.isLoaded")
    page.get_by_role("searchbox").fill("wool")
    page.get_by_role("searchbox").press("Enter")
    page.locator("a[href*='product.html?id=']").first.click()
    page.wait_for_url("**/product.html*")
    page.get_by_role("button", name="basket").first.click()
    page.goto(shop + "/lookbook.html")
    page.wait_for_function("!!window.sluice?.isLoaded")
    for link in page.locator("main a[href*='lookbook']").all()[:2]:
        link.click()
    page.goto(shop + "/cart.html")
    page.wait_for_function("!!window.sluice?.isLoaded")
    page.locator("main button").first.click()
    page.evaluate("window.sluice.track('parting_word', {price: 12.5, note: 'Grüezi 👋'})")


def _check_readers(events: Path, *, rows: int) -> None:
    """DuckDB, PyArrow and pandas read the folder as it is: typed columns, partitions included."""
    query = f"SELECT * FROM read_parquet('{events}/**/*.parquet', hive_partitioning = true)"
    with duckdb.connect() as connection:
        types = {row[0]: str(row[1]) for row in connection.execute(f"DESCRIBE {query}").fetchall()}
        connection.execute("SET TimeZone = 'UTC'")
        sites, types_seen, first, campaign, click, agent = connection.execute(
            f"SELECT list(DISTINCT site_id), count(DISTINCT event_type), year(min(received_at)),"
            f" max(utm_source), max(click_id_type), max(user_agent) FROM ({query})"
        ).fetchall()[0]
        parting = connection.execute(
            f"SELECT properties ->> '$.note', occurred_at <= received_at, ip, path FROM ({query})"
            " WHERE event_type = 'parting_word'"
        ).fetchall()
    assert types["received_at"] == types["occurred_at"] == "TIMESTAMP WITH TIME ZONE"
    assert types["viewport_width"] == "INTEGER"
    assert types["event_type"] == types["site_id"] == types["properties"] == "VARCHAR"
    assert {"year", "month", "day", "hour"} <= set(types)
    assert sites == ["localhost"]
    assert types_seen >= 5
    assert first >= 2026
    assert (campaign, click) == ("news", "gclid")
    assert "Chrome" in agent
    assert parting == [("Grüezi 👋", True, "127.0.0.0", "/cart.html")]

    table = ds.dataset(events, partitioning="hive").to_table()
    assert table.num_rows == rows
    assert {"site_id", "year", "month", "day", "hour"} <= set(table.column_names)
    frame = pd.read_parquet(events)
    assert len(frame) == rows
    assert str(frame["received_at"].dtype) == "datetime64[us, UTC]"
    assert frame["event_id"].is_unique


def _check_usage(demo: RunningStack, *, rows: int) -> None:
    usage = pd.read_parquet(demo.bucket("metering") / "usage")
    accepted = usage.loc[usage["outcome"] == "accepted", "events"].sum()
    duplicates = usage.loc[usage["outcome"] == "duplicate", "events"].sum()
    assert accepted - duplicates == rows


def test_the_panel_shows_the_rows_that_arrived(demo: RunningStack) -> None:
    shop = demo.url.replace("127.0.0.1", "localhost")
    with open_browser() as browser:
        for width in (1280, 390):
            page = browser.new_page(viewport={"width": width, "height": 844})
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))  # noqa: B023
            page.goto(shop + "/")
            page.wait_for_function("!!window.sluice?.isLoaded")
            demo.wait_until_delivered()
            if width < 800:
                page.locator(".sl-launcher").click()
            page.get_by_role("tab", name="In your bucket").click()
            bucket = page.get_by_role("tabpanel", name="In your bucket")
            bucket.get_by_text("page_view").first.wait_for(timeout=30_000)
            if folder := os.environ.get("SCREENSHOTS"):
                page.screenshot(path=f"{folder}/panel-{width}.png")
            assert not errors
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.close()
