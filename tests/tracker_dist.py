"""A `tracking/dist` as the build leaves it, of contents that a test can tell apart."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from hashlib import sha384
from pathlib import Path
from typing import Final

import brotli

TRACKER: Final = "tracking.0a1b2c3d.js"
BUILD: Final = "f00dcafe"
GONE: Final = "0ddba11e"
"""A build that there was before."""


def make_dist(folder: Path) -> Path:
    """Two trackers, each under two names, and the chunks 0 and a of one build."""
    folder.mkdir(parents=True)
    for name in ("tracking.js", TRACKER):
        write_script(folder / name, "tracker")
    for name in ("views.js", "views.99aabbcc.js"):
        write_script(folder / name, "views")
    for digit in "0a":
        for name in (f"{BUILD}{digit}.js", f"{digit}.js"):
            write_script(folder / name, f"chunk {digit}")
    describe(folder)
    return folder


def describe(folder: Path) -> None:
    """What the build tells of the files."""
    assets = {
        file.name: {"bytes": file.stat().st_size, "integrity": integrity_of(file.read_bytes())}
        for file in folder.glob("*.js")
    }
    pinned = {"tracking.js": TRACKER, "views.js": "views.99aabbcc.js"}
    (folder / "assets.json").write_text(json.dumps({"assets": assets, "pinned": pinned}))


def integrity_of(content: bytes) -> str:
    """As a tag's `integrity` has it."""
    return "sha384-" + b64encode(sha384(content).digest()).decode()


def write_script(file: Path, says: str) -> None:
    """The script, and what it is compressed."""
    content = script_that(says)
    file.write_bytes(content)
    file.with_name(file.name + ".br").write_bytes(brotli.compress(content))
    file.with_name(file.name + ".gz").write_bytes(gzip.compress(content, 9, mtime=0))


def script_that(says: str) -> bytes:
    """Long enough that compressing it pays, and not ASCII throughout."""
    return f"// {says} ü\n".encode() * 200
