"""One collector for all SDKs; a test sees only what was stored since it began."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser

from tests.browser.engines import open_browser
from tests.sdks.collector import Collector
from tests.sdks.gate import Gate
from tests.sdks.node import needs_node
from tests.sdks.page import ShopPage, open_shop
from tests.system.running_collector import RunningCollector, running_collector

if TYPE_CHECKING:
    from database.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def database(postgres: EmbeddedServer, template_database: str) -> str:
    """A migrated database of the SDKs' own."""
    import psycopg

    from tests.conftest import with_database

    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE sdks TEMPLATE {template_database} STRATEGY FILE_COPY")
    return with_database(postgres.url, "sdks")


@pytest.fixture(scope="session")
def process(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCollector]:
    """`python -m api` on it; it soon gives up a commit that does not come."""
    with running_collector(
        database, tmp_path_factory.mktemp("sdks"), COMMIT_TIMEOUT="1s"
    ) as running:
        yield running


@pytest.fixture
def collector(process: RunningCollector) -> Collector:
    """The collector, as if it had stored nothing yet."""
    return Collector(process)


@pytest.fixture
def gate(collector: Collector) -> Iterator[Gate]:
    """A faulty network in front of it."""
    gate = Gate(collector.url)
    yield gate
    gate.close()


# A module at a time: while it is open, this thread is Playwright's, and no other loop runs on it.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, where there is something to put on a page."""
    needs_node()
    with open_browser() as browser:
        yield browser


@pytest.fixture
def shop(browser: Browser) -> Iterator[ShopPage]:
    """A page of a shop, in which nothing may go wrong."""
    with open_shop(browser) as shop:
        yield shop
        assert shop.errors == []
