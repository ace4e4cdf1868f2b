"""Pages with the WordPress plugin, made by PHP, in Chromium, under a strict policy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.conftest import ROOT
from tests.sdks.collector import Collector
from tests.sdks.snippets import SitePage, wait_for_type
from tests.system.running_stack import free_port, wait_until

WORDPRESS = ROOT / "tracking/wordpress"

pytestmark = pytest.mark.skipif(
    shutil.which("php") is None, reason="no php here: apt-get install php-cli"
)


@contextmanager
def open_wordpress(browser: Browser, folder: Path, settings: dict[str, Any]) -> Iterator[SitePage]:
    """PHP's own server with the site of test/site.php."""
    port = free_port()
    environment = os.environ | {
        "SLUICE_SETTINGS": json.dumps(settings),
        "SLUICE_STATE": str(folder / "state.json"),
    }
    server = subprocess.Popen(
        ["php", "-S", f"127.0.0.1:{port}", WORDPRESS / "test/site.php"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "php.log").open("wb"),
    )
    context = browser.new_context()
    site = SitePage(context.new_page(), f"http://shop.localhost:{port}")
    log = folder / "php.log"
    try:
        wait_until(lambda: b"started" in log.read_bytes(), seconds=10, what="PHP")
        yield site
        assert site.errors == []
        said = log.read_text()
        assert "Warning" not in said and "Fatal" not in said and "Notice" not in said, said
    finally:
        context.close()
        server.terminate()
        server.wait(10)


@pytest.fixture
def shop(browser: Browser, collector: Collector, tmp_path: Path) -> Callable[..., Any]:
    """Opens the shop with settings that differ."""

    @contextmanager
    def open_shop(**different: Any) -> Iterator[SitePage]:
        settings = {
            "src": "/js/tracking.js",
            "endpoint": collector.url + "/collect",
            "site_id": "shop.example",
            "respect_dnt": True,
            "woocommerce": True,
        }
        with open_wordpress(browser, tmp_path, settings | different) as site:
            yield site

    return open_shop


def show(site: SitePage, path: str) -> None:
    site.page.goto(site.origin + path)
    site.page.wait_for_function("window.sluice && window.sluice.isLoaded")


def flush(site: SitePage) -> None:
    site.page.evaluate("window.sluice('flush')")


def test_a_visit_to_a_shop_from_product_to_purchase(collector: Collector, shop: Any) -> None:
    with shop() as site:
        show(site, "/product")
        site.page.evaluate("window.addToCart()")
        show(site, "/add")
        assert site.page.url.endswith("/cart")
        show(site, "/thanks")
        show(site, "/thanks")
        flush(site)
        wait_for_type(collector, "page_view", 4)
        (seen,) = wait_for_type(collector, "product_view", 1)
        by_ajax, by_form = wait_for_type(collector, "add_to_cart", 2)
        (bought,) = wait_for_type(collector, "purchase", 1)
    assert seen.properties["name"] == "Shoe red"
    assert (by_ajax.properties["productId"], by_ajax.properties["quantity"]) == ("7", 1)
    assert by_ajax.payload["url"].endswith("/product")
    assert (by_form.properties["variantId"], by_form.properties["quantity"]) == ("8", 2)
    assert (bought.properties["orderId"], bought.properties["revenue"]) == ("1001", 186)
    assert {row.site_id for row in (seen, by_ajax, by_form, bought)} == {"shop.example"}
    assert len({row.visitor_id for row in (seen, by_ajax, by_form, bought)}) == 1


def test_who_signs_out_is_somebody_new(collector: Collector, shop: Any) -> None:
    with shop(identify="id") as site:
        site.page.context.add_cookies([{"name": "signed_in", "value": "1", "url": site.origin}])
        show(site, "/")
        flush(site)
        (signed_in,) = wait_for_type(collector, "identify", 1)
        show(site, "/sign-out")
        assert "sluice_signed_out" not in site.page.evaluate("document.cookie")
        site.page.evaluate("window.sluice('track', 'afterwards')")
        flush(site)
        (afterwards,) = wait_for_type(collector, "afterwards", 1)
        views = wait_for_type(collector, "page_view", 2)
    assert signed_in.user_id == "12"
    assert afterwards.user_id is None
    assert afterwards.visitor_id != signed_in.visitor_id
    # Of a page whose end takes its time, too: the tracker does not wait for that.
    assert [view.visitor_id for view in views] == [signed_in.visitor_id, afterwards.visitor_id]


def test_who_signed_out_is_somebody_new_once_also_in_a_folder(shop: Any) -> None:
    with shop(identify="id") as site:
        said = {"name": "sluice_signed_out", "value": "1", "path": "/blog/"}
        site.page.context.add_cookies([said | {"domain": "shop.localhost"}])
        visitors = []
        for path in ("/blog/2026/hello-world/", "/blog/sample-page/"):
            show(site, path)
            visitors.append(site.page.evaluate("localStorage.sluice_visitor"))
            assert "sluice_signed_out" not in site.page.evaluate("document.cookie")
    assert visitors[0] == visitors[1]


def test_the_link_opts_out_and_in_again(collector: Collector, shop: Any) -> None:
    with shop() as site:
        show(site, "/")
        link = site.page.locator("a.sluice-opt-out").first
        another = site.page.locator("a.sluice-opt-out").last
        assert link.inner_text() == another.inner_text() == "Do not record my visits"
        link.click()
        out = "My visits are not recorded. Record them again"
        assert link.inner_text() == another.inner_text() == out
        site.page.goto(site.origin + "/cart")
        assert link.inner_text() == "My visits are not recorded. Record them again"
        site.page.evaluate("window.sluice('track', 'opted_out')")
        flush(site)
        link.click()
        assert link.get_attribute("aria-pressed") == "false"
        site.page.evaluate("window.sluice('track', 'opted_in')")
        flush(site)
        wait_for_type(collector, "opted_in", 1)
        wait_for_type(collector, "opted_out", 0)


@pytest.mark.parametrize(
    ("consent_type", "answer", "state"),
    [
        ("optin", None, "pending"),
        ("optin", "allow", "granted"),
        ("optout", None, "granted"),
        ("optout", "deny", "denied"),
        (None, None, "pending"),  # no banner has said anything
        (None, "deny", "denied"),
    ],
)
def test_consent_is_asked_of_who_knows(
    shop: Any, consent_type: str | None, answer: str | None, state: str
) -> None:
    # In the tracker's place stands a script that is none, so that what it is told can be seen.
    with shop(consent="wp_consent_api", src="/jquery.js") as site:
        site.page.add_init_script(f"""
          window.told = [];
          window.sluice = (...command) => window.told.push(command);
          window.wp_consent_type = {json.dumps(consent_type)} ?? undefined;
        """)
        if answer:
            cookie = {"name": "wp_consent_statistics", "value": answer, "url": site.origin}
            site.page.context.add_cookies([cookie])
        site.page.goto(site.origin + "/")
        change = """(value) => {
          document.cookie = `wp_consent_statistics=${value}`;
          document.dispatchEvent(new CustomEvent("wp_listen_for_consent_change",
            { detail: { statistics: value } }));
        }"""
        site.page.evaluate(change, "allow")
        site.page.evaluate(change, "deny")
        told = site.page.evaluate("window.told")
    assert told == [["consent", state], ["consent", "granted"], ["consent", "denied"]]
