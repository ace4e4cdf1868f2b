"""Real browsers: Chromium always, Firefox and WebKit where Playwright has installed them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

from benchmarks.tracker.browser import chromium_options

CHROMIUM: Final = "chromium"


def installed_engines() -> list[str]:
    """The engines that tests can run in here (`playwright install firefox webkit` adds two)."""
    home = os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright"
    done = "INSTALLATION_COMPLETE"  # as Playwright marks a folder that it has finished
    others = [name for name in ("firefox", "webkit") if any(Path(home).glob(f"{name}-*/{done}"))]
    return [CHROMIUM, *others]


@contextmanager
def open_browser(engine: str = CHROMIUM) -> Iterator[Browser]:
    """A headless browser; the back/forward cache works as it does for a person."""
    options = chromium_options() if engine == CHROMIUM else {}
    with sync_playwright() as playwright:
        browser = getattr(playwright, engine).launch(**options)
        try:
            yield browser
        finally:
            browser.close()
