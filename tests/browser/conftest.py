"""Browsers, and sites under the tracker: one site for each test, one stack and one browser for
each file and engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.engines import CHROMIUM, installed_engines, open_browser
from tests.browser.tracked_site import TrackedSite, running_site_stack
from tests.system.running_stack import RunningStack


@pytest.fixture(scope="module", params=installed_engines())
def engine(request: pytest.FixtureRequest) -> str:
    """Each of the engines that are installed here."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def browser(engine: str) -> Iterator[Browser]:
    with open_browser(engine) as browser:
        yield browser


@pytest.fixture(autouse=True)
def _only_where_it_can_be_told(request: pytest.FixtureRequest) -> None:
    """`@pytest.mark.chromium(reason)`: in the other engines Playwright cannot show it."""
    mark = request.node.get_closest_marker("chromium")
    if mark and "engine" in request.fixturenames and request.getfixturevalue("engine") != CHROMIUM:
        pytest.skip(mark.args[0])


@pytest.fixture(scope="module")
def site_stack(
    engine: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningStack, Browser]]:
    with running_site_stack(tmp_path_factory.mktemp("stack"), engine) as parts:
        yield parts


@pytest.fixture
def site(site_stack: tuple[RunningStack, Browser]) -> Iterator[TrackedSite]:
    stack, browser = site_stack
    context = browser.new_context()
    site = TrackedSite(stack, context=context)
    yield site
    context.close()
    assert site.errors == [], "no error reaches the page"
