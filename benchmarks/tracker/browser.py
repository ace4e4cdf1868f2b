"""A real Chromium as a visitor has it: no sign of automation, and no network but this machine's."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Playwright

# A peer that takes the visitor for a bot records nothing.
_USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/156.0.0.0 Safari/537.36"
)
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_AS_A_VISITOR = (
    "--disable-blink-features=AutomationControlled",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--ignore-certificate-errors",
    f"--user-agent={_USER_AGENT}",
)


def chromium_options(*more: str) -> dict[str, Any]:
    """How Playwright begins a Chromium here: the system's where there is one, else its own."""
    return {
        "executable_path": shutil.which("chromium") or shutil.which("google-chrome"),
        "args": [*_QUIET, *more],
        # Playwright switches the back/forward cache off; visitors have it.
        "ignore_default_args": ["--disable-back-forward-cache"],
    }


def launch(playwright: Playwright) -> Browser:
    """A browser whose contexts are visitors."""
    return playwright.chromium.launch(**chromium_options(*_AS_A_VISITOR))


def launch_with_profile(playwright: Playwright, folder: Path) -> BrowserContext:
    """A browser that keeps what it knows in a folder, and is one visitor."""
    return playwright.chromium.launch_persistent_context(folder, **chromium_options(*_AS_A_VISITOR))


def kill_browser(folder: Path) -> None:
    """SIGKILL to the browser that has this profile, and with it to all its processes."""
    mine = f"--user-data-dir={folder}".encode()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if mine in arguments and not any(a.startswith(b"--type=") for a in arguments):
            os.kill(int(process.name), signal.SIGKILL)
