"""`sluice export`: have a running stack deliver a window once more, and watch it."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime
from typing import Any

from tqdm import tqdm

from cli.arguments import told
from cli.pull import parse_moment

EXIT_FAILED = 1
EXIT_UNREACHABLE = 3
_LOOK_EVERY_SECONDS = 1.0
_LOOKS = 5
_NO_ANSWER = (OSError, ValueError, http.client.HTTPException)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.description = (
        "Deliver what was received in a window once more, into a set of objects of its own: from"
        " the buffer, or from the backup in the vendor's bucket. Exit codes: 0 done; 1 it failed or"
        " was refused; 2 wrong usage; 3 the stack does not answer. It goes on when this command is"
        " stopped; --watch looks at it again."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--from", dest="from_", type=told(parse_moment), metavar="TIME", help="a whole hour, UTC"
    )
    what.add_argument("--watch", metavar="ID", help="one that was asked for before")
    parser.add_argument(
        "--to", type=told(parse_moment), metavar="TIME", help="the first hour that is not wanted"
    )
    parser.add_argument("--sink", choices=("client", "metering"), default="client")
    parser.add_argument("--format", choices=("parquet", "csv", "json"), default="parquet")
    parser.add_argument("--url", default="http://localhost:8000", help="the stack's collector")
    parser.add_argument("--token", help="API_TOKEN; from the environment when left out")


def run(arguments: argparse.Namespace) -> int:
    """Ask, watch, say where the set stands, and return the exit code."""
    stack = _Stack(arguments.url, arguments.token or os.environ.get("API_TOKEN"))
    if arguments.watch is None and arguments.to is None:
        print("--from needs --to.", file=sys.stderr)
        return 2
    try:
        found = stack.get(f"/export/backfills/{arguments.watch}") if arguments.watch else None
        found = found or stack.post(
            "/export/backfill",
            {
                "from": _text(arguments.from_),
                "to": _text(arguments.to),
                "sink": arguments.sink,
                "format": arguments.format,
            },
        )
        return _watch(stack, found["backfill_id"])
    except urllib.error.HTTPError as exc:
        print(_detail(exc), file=sys.stderr)
        return EXIT_FAILED
    except _NO_ANSWER as exc:
        print(f"{arguments.url} does not answer: {exc}", file=sys.stderr)
        return EXIT_UNREACHABLE


def _watch(stack: _Stack, backfill_id: str) -> int:
    print(f"Backfill {backfill_id}", file=sys.stderr)
    try:
        with tqdm(unit=" segments", disable=None, leave=False, dynamic_ncols=True) as bar:
            while True:
                found = _look(stack, backfill_id)
                bar.total, bar.n = found["segments"], found["done_segments"]
                bar.set_postfix_str(f"{found['rows']:,} events, {found['bytes'] / 1e6:,.0f} MB")
                if found["state"] not in ("requested", "running"):
                    break
                time.sleep(_LOOK_EVERY_SECONDS)
    except KeyboardInterrupt:
        print(f"It goes on; look again with --watch {backfill_id}", file=sys.stderr)
        return 130
    if found["state"] == "completed":
        print(
            f"{found['rows']:,} events in {found['objects']:,} objects, {found['bytes']:,} bytes,"
            f" below {found['prefix']}/ in the {found['sink']} bucket."
        )
        return 0
    print(f"It was {found['state']}: {found['last_error'] or 'by hand'}", file=sys.stderr)
    print(f"POST /export/backfills/{backfill_id}/resume goes on.", file=sys.stderr)
    return EXIT_FAILED


def _look(stack: _Stack, backfill_id: str) -> dict[str, Any]:
    """A stack that is away for a moment is asked again; its last failure is raised."""
    path = f"/export/backfills/{backfill_id}"
    for _ in range(_LOOKS - 1):
        try:
            return stack.get(path)
        except _NO_ANSWER as exc:
            if isinstance(exc, urllib.error.HTTPError) and exc.code < 500:
                raise
            time.sleep(_LOOK_EVERY_SECONDS)
    return stack.get(path)


class _Stack:
    """A stack's management routes."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> dict[str, Any]:
        return self._ask(urllib.request.Request(self._url + path, headers=self._headers))  # noqa: S310

    def post(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        headers = self._headers | {"Content-Type": "application/json"}
        content = json.dumps(body).encode()
        return self._ask(urllib.request.Request(self._url + path, content, headers))  # noqa: S310

    def _ask(self, request: urllib.request.Request) -> dict[str, Any]:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
            return found


def _text(moment: datetime) -> str:
    return moment.isoformat()


def _detail(exc: urllib.error.HTTPError) -> str:
    try:
        detail = json.loads(exc.read())["detail"]
    except (ValueError, KeyError, TypeError):
        return f"The stack answered {exc.code}."
    return detail if isinstance(detail, str) else json.dumps(detail)
