"""Other names for the tracker and for `/collect`: filter lists know the usual ones.

nginx has the same rules as a map (nginx/templates/sluice.conf.template); docs/tracker-serving.md
says what an alias is for, and what it does not change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

TRACKER: Final = "/js/tracking.js"
COLLECT: Final = "/collect"
_TAKEN: Final = frozenset((
    "api", "assets", "beacon", "collect", "com.snowplowanalytics.snowplow", "demo", "docs",
    "downloads", "events", "export", "health", "i", "ice.png", "openapi.json", "pixel.gif",
    "privacy", "recordings", "redoc", "sites", "sourceConfig", "static-offline-docs", "v1",
))  # fmt: skip
"""What the stack's own paths begin with (tests/unit/test_aliases.py)."""
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_MAX_CHARS: Final = 200
_HASHED: Final = re.compile(r"(.+)\.([0-9a-f]{8})\.js")
_KEEPS_ITS_NAME: Final = re.compile(r"views(?:\.[0-9a-f]{8})?\.js|[0-9a-f]{8}[0-9a-z]\.js")


@dataclass(frozen=True, kw_only=True)
class Aliases:
    """The names that a stack's settings give; None gives none."""

    tracker: str | None = None
    collect: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError naming each one that cannot be."""
        problems = [
            f"{name}={alias!r}: {problem}"
            for name, alias, problem in (
                ("TRACKER_ALIAS", self.tracker, _tracker_problem(self.tracker)),
                ("COLLECT_ALIAS", self.collect, _collect_problem(self.collect, self.tracker)),
            )
            if problem
        ]
        if problems:
            raise ValueError("\n".join(problems))

    def resolve(self, path: str) -> str:
        """The path that this one stands for; itself, where it is no alias.

        The folder of the script's alias has all that `/js` has: a tracker looks for its chunks
        beside itself.
        """
        if path == self.collect:
            return COLLECT
        if self.tracker is None:
            return path
        folder, _, name = path.rpartition("/")
        own_folder, _, own_name = self.tracker.rpartition("/")
        if folder != own_folder:
            return path
        if name == own_name:
            return TRACKER
        hashed = _HASHED.fullmatch(name)
        if hashed is not None and hashed[1] == own_name.removesuffix(".js"):
            return f"/js/tracking.{hashed[2]}.js"
        return f"/js/{name}" if _KEEPS_ITS_NAME.fullmatch(name) else path


def _collect_problem(alias: str | None, tracker: str | None) -> str | None:
    if alias is None:
        return None
    if _tracker_problem(tracker) is None and Aliases(tracker=tracker).resolve(alias) != alias:
        return "the tracker or a chunk of it is served there"
    return _path_problem(alias) or _taken_problem(alias, _TAKEN | {"js"})


def _tracker_problem(alias: str | None) -> str | None:
    if alias is None:
        return None
    name = alias.rpartition("/")[2]
    if not name.endswith(".js"):
        return "the script's name ends in .js: /a/app.js"
    if _KEEPS_ITS_NAME.fullmatch(name) or alias == TRACKER:
        return "another file of the tracker has that name"
    return _path_problem(alias) or _taken_problem(alias, _TAKEN)


def _path_problem(alias: str) -> str | None:
    if len(alias) <= _MAX_CHARS and _PATH.fullmatch(alias):
        return None
    return (
        f"must be a path of letters, digits and ._~-, of {_MAX_CHARS} characters at most: /a/app.js"
    )


def _taken_problem(alias: str, taken: frozenset[str]) -> str | None:
    first = alias.split("/")[1]
    return f"paths that begin with /{first} are the stack's own" if first in taken else None
