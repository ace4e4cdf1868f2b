"""WebKit as Linux distributions have it: GTK's, driven by WebDriver, since Playwright drives only
the WebKit that it has built itself.

What is here of Playwright's words is what `benchmarks.tracker` uses of them, so that the scenarios
which are played in Chromium can be played in Safari's engine.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

from playwright.sync_api import Browser
from playwright.sync_api import Error as PlaywrightError
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import WebKitGTK, WebKitGTKOptions, WebKitGTKService

_BROWSERS: Final = sorted(
    browser
    for folder in ("lib/*", "lib64", "libexec")  # Debian, and others
    for browser in Path("/usr").glob(f"{folder}/webkit2gtk-4.*/MiniBrowser")
)
_DRIVER: Final = shutil.which("WebKitWebDriver")
IS_INSTALLED: Final = bool(_BROWSERS and _DRIVER and shutil.which("Xvfb"))
_SECONDS: Final = 30.0
# No GPU, and a sandbox only where namespaces can be had.
_AS_IT_RUNS_HERE: Final = {
    "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
    "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",
}
_RUN: Final = """
const [expression, given, done] = arguments;
Promise.resolve()
  .then(() => (0, eval)(expression))
  .then((found) => (typeof found === "function" ? found(given) : found))
  .then((value) => done([true, value]), (error) => done([false, String(error)]));
"""


@contextmanager
def screen() -> Iterator[str]:
    """A display that nobody sees; yields its name."""
    readable, writable = os.pipe()
    xvfb = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writable), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
        pass_fds=[writable],
        stderr=subprocess.DEVNULL,
    )
    os.close(writable)
    try:
        with os.fdopen(readable) as number:
            yield ":" + number.readline().strip()
    finally:
        xvfb.terminate()
        xvfb.wait(10)


class WebKitPage:
    """A window, in the words of Playwright's `Page`."""

    def __init__(self, driver: WebKitGTK, handle: str) -> None:
        self.driver = driver
        self._handle = handle

    def goto(self, url: str) -> None:
        self._here().get(url)

    def evaluate(self, expression: str, given: Any = None) -> Any:
        try:
            answer = self._here().execute_async_script(_RUN, f"({expression})", given)
        except WebDriverException as error:
            raise PlaywrightError(str(error)) from error
        is_done, value = answer
        if not is_done:
            raise PlaywrightError(value)
        return value

    def wait_for_function(self, expression: str, *, arg: Any = None) -> None:
        self._wait(lambda: bool(self.evaluate(expression, arg)), expression)

    def wait_for_url(self, pattern: str) -> None:
        self._wait(lambda: fnmatch.fnmatch(self._here().current_url, pattern), pattern)

    def wait_for_timeout(self, milliseconds: float) -> None:
        time.sleep(milliseconds / 1_000)

    def go_back(self, *, wait_until: str = "load") -> None:
        self._here().back()

    def close(self) -> None:
        self._here().close()

    def _here(self) -> WebKitGTK:
        self.driver.switch_to.window(self._handle)
        return self.driver

    def _wait(self, is_true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _SECONDS
        while not is_true():
            if time.monotonic() > deadline:
                raise PlaywrightError(f"not so within {_SECONDS:.0f} s: {what}")
            time.sleep(0.05)


class WebKitContext:
    """A visitor: a browser of their own, which forgets them when it ends."""

    def __init__(self, display: str) -> None:
        options = WebKitGTKOptions()
        options.binary_location = str(_BROWSERS[-1])
        options.add_argument("--automation")
        options.accept_insecure_certs = True
        service = WebKitGTKService(
            executable_path=_DRIVER, env={**os.environ, **_AS_IT_RUNS_HERE, "DISPLAY": display}
        )
        self.driver = WebKitGTK(options=options, service=service)
        self.driver.set_script_timeout(_SECONDS)
        # The first one stays, so that the browser does.
        self._first = self.driver.current_window_handle

    def new_page(self) -> WebKitPage:
        self.driver.switch_to.window(self._first)
        # A window, since MiniBrowser opens tabs behind the one that is seen.
        self.driver.switch_to.new_window("window")
        return WebKitPage(self.driver, self.driver.current_window_handle)

    def close(self) -> None:
        with suppress(WebDriverException):
            self.driver.quit()


class WebKitBrowser:
    """Visitors on one display."""

    def __init__(self, display: str) -> None:
        self._display = display

    def new_context(self) -> WebKitContext:
        return WebKitContext(self._display)

    def close(self) -> None:
        """Each visitor has ended with their context."""

    def as_playwright(self) -> Browser:
        """For what knows Playwright only."""
        return cast(Browser, self)


class WebKitProcess:
    """A browser without a driver: it keeps a profile, and can be killed."""

    def __init__(self, display: str, profile: Path, url: str) -> None:
        own = {"HOME": profile, "XDG_DATA_HOME": profile / "data", "XDG_CACHE_HOME": profile}
        self._process = subprocess.Popen(
            [_BROWSERS[-1], f"--cookies-file={profile}/cookies", url],
            env={**os.environ, **_AS_IT_RUNS_HERE, "DISPLAY": display}
            | {name: str(folder) for name, folder in own.items()},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill(self) -> None:
        """SIGKILL to all its processes in one moment."""
        mine = self._of_the_session()
        for process in mine:
            with suppress(OSError):
                os.kill(process, 9)
        self._process.wait(10)

    def _of_the_session(self) -> list[int]:
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError, ValueError):
                # pid (name) state parent group session …; the name may have anything in it
                after = stat.read_text().rpartition(")")[2].split()
                if int(after[3]) == self._process.pid:
                    found.append(int(stat.parent.name))
        return found
