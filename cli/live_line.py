"""The one line that tells how a running stack is doing."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from datetime import datetime
from typing import Any, Final

_EVERY_SECONDS: Final = 1.0
_EVERY_SECONDS_PLAIN: Final = 10.0


class LiveLine:
    """Events accepted, buffered and exported; rewritten in place on a terminal."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/export/status"
        self._in_place = sys.stdout.isatty()
        self._next = 0.0

    def show(self) -> None:
        """Ask for the status and print it, at most once a second."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + (_EVERY_SECONDS if self._in_place else _EVERY_SECONDS_PLAIN)
        line = describe(self._read())
        if self._in_place:
            print(f"\r\033[K{line}", end="", flush=True)
        else:
            print(line, flush=True)

    def _read(self) -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(self._url, timeout=2) as answer:  # noqa: S310 - loopback
                found: dict[str, Any] = json.load(answer)
                return found
        except (OSError, ValueError):
            return None


def describe(status: dict[str, Any] | None) -> str:
    """The line for an `/export/status` answer; None stands for no answer."""
    if status is None:
        return "starting …"
    law = status["conservation"]
    client = next((s for s in status["sinks"] if s["sink"] == "client"), None)
    exported = client["exported"] if client else 0
    buffered = client["pending"] if client else law["accepted"]
    last = _clock_time(client["last_delivered_at"]) if client else "none yet"
    parts = [
        f"accepted {law['accepted']:,}",
        f"buffered {buffered:,}",
        f"exported {exported:,}",
    ]
    if law["duplicates"]:  # without it the others seem not to add up
        parts.append(f"repeats left out {law['duplicates']:,}")
    parts.append(f"last export {last}")
    if status["next_export_at"]:
        parts.append(f"next {_clock_time(status['next_export_at'])}")
    troubles = [f"{s['sink']}: {s['last_error']}" for s in status["sinks"] if s["last_error"]]
    return " · ".join(parts + troubles)


def _clock_time(moment: str | None) -> str:
    return (
        datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S") if moment else "none yet"
    )
