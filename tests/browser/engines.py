"""Real browsers: Chromium always, Firefox and WebKit where Playwright has installed them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, sync_playwright

CHROMIUM: Final = "chromium"
_ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def installed_engines() -> list[str]:
    """The engines that tests can run in here (`playwright install firefox webkit` adds two)."""
    home = os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright"
    done = "INSTALLATION_COMPLETE"  # as Playwright marks a folder that it has finished
    others = [name for name in ("firefox", "webkit") if any(Path(home).glob(f"{name}-*/{done}"))]
    return [CHROMIUM, *others]


@contextmanager
def open_browser(engine: str = CHROMIUM) -> Iterator[Browser]:
    """A headless browser; the back/forward cache works as it does for a person."""
    options: dict[str, Any] = {}
    if engine == CHROMIUM:  # the system's where there is one, else Playwright's own
        options = {
            "executable_path": shutil.which("chromium") or shutil.which("google-chrome"),
            "args": _ARGUMENTS,
            "ignore_default_args": ["--disable-back-forward-cache"],
        }
    with sync_playwright() as playwright:
        browser = getattr(playwright, engine).launch(**options)
        try:
            yield browser
        finally:
            browser.close()
