"""Sites under the tracker, one for each test, on one stack and one browser for each file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.tracked_site import TrackedSite, running_site_stack
from tests.system.running_stack import RunningStack


@pytest.fixture(scope="module")
def site_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningStack, Browser]]:
    with running_site_stack(tmp_path_factory.mktemp("stack")) as parts:
        yield parts


@pytest.fixture
def site(site_stack: tuple[RunningStack, Browser]) -> Iterator[TrackedSite]:
    stack, browser = site_stack
    context = browser.new_context()
    site = TrackedSite(stack, context)
    yield site
    context.close()
    assert site.errors == [], "no error reaches the page"
