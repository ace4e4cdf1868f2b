"""`sluice tag`: the lines that a site's pages need, for the tracker as it was built."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from html import escape
from pathlib import Path
from typing import Any, Final

from api.aliases import Aliases
from cli.arguments import load_settings, told

DIST: Final = Path(__file__).resolve().parent.parent / "tracking" / "dist"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `sluice tag` takes."""
    parser.add_argument("--site", required=True, help="the site's id, shop.example")
    parser.add_argument(
        "--origin",
        type=told(_parse_origin),
        help="where the stack is, https://events.shop.example; the pages' own origin when absent",
    )
    parser.add_argument("--views", action="store_true", help="the build that counts views only")
    parser.add_argument("--env-file", type=Path, help="settings, for TRACKER_ALIAS, COLLECT_ALIAS")
    parser.add_argument("--dist", type=Path, default=DIST, help="the built tracker's folder")


def run(arguments: argparse.Namespace) -> int:
    """Print the tag and the policy; 1 when there is no tracker or an alias is none."""
    load_settings(arguments.env_file)
    try:
        assets = json.loads((arguments.dist / "assets.json").read_text())
        aliases = Aliases(
            tracker=os.environ.get("TRACKER_ALIAS") or None,
            collect=os.environ.get("COLLECT_ALIAS") or None,
        )
        print(
            write_tags(
                assets,
                site=arguments.site,
                origin=arguments.origin or "",
                aliases=aliases,
                script="views.js" if arguments.views else "tracking.js",
            )
        )
    except OSError as exc:
        print(f"There is no tracker: {exc}. `make tracker` builds it.", file=sys.stderr)
        return 1
    except KeyError as exc:
        print(f"{arguments.dist} has no {exc}: `make tracker` builds it.", file=sys.stderr)
        return 1
    except ValueError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


def write_tags(
    assets: dict[str, Any], *, site: str, origin: str, aliases: Aliases, script: str
) -> str:
    """The newest, the pinned, and what a Content-Security-Policy has to allow.

    Raises KeyError for a script that the build did not make.
    """
    pinned = assets["pinned"][script]
    integrity = assets["assets"][pinned]["integrity"]
    about = f'data-site-id="{escape(site)}"'
    if aliases.collect is not None:
        about += f' data-endpoint="{origin}{aliases.collect}"'
    pinned_by = f'integrity="{integrity}" crossorigin="anonymous"'
    source = origin or "'self'"
    return f"""\
<!-- Always the newest tracker: -->
<script async src="{origin}{_path_of(script, aliases)}" {about}></script>

<!-- This build and no other; to be printed again after each update of the stack: -->
<script async src="{origin}{_path_of(pinned, aliases)}" {pinned_by} {about}></script>

<!-- Where the pages have a policy, it has to allow:
     Content-Security-Policy: script-src {source}; connect-src {source} -->"""


def _path_of(script: str, aliases: Aliases) -> str:
    """Where that file of the build is served, under the alias where there is one."""
    folder, _, name = (aliases.tracker or "/js/tracking.js").rpartition("/")
    if script.startswith("tracking."):
        script = name.removesuffix(".js") + script.removeprefix("tracking")
    return f"{folder}/{script}"


def _parse_origin(text: str) -> str:
    origin = text.removesuffix("/")
    if not re.fullmatch(
        r"https?://[A-Za-z0-9.-]+(?::\d+)?|https?://\[[0-9a-f:]+\](?::\d+)?", origin
    ):
        raise ValueError(f"{text!r} is no origin: https://events.shop.example")
    return origin
