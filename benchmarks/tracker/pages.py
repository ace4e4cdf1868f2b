"""What is on the pages that the trackers are tried on."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from benchmarks.tracker.trackers import Tracker, page_with

Make = Callable[[Tracker | None, str], str]


def make_page(tracker: Tracker, address: str) -> bytes | None:
    """The page at a path with its query; None where there is none."""
    make = _PAGES.get(urlsplit(address).path)
    return None if make is None else make(tracker, address).encode()


def _prerendering(tracker: Tracker | None, address: str) -> str:
    """Has pages rendered before they are asked for, and goes to the first of them when it may."""
    # Without the marks' ends: this page's own address is none of theirs.
    addresses = [f"/page?visit=~{mark}~" for mark in parse_qs(urlsplit(address).query)["next"]]
    listed = ", ".join(f'"{one}"' for one in addresses)
    rules = f'{{"prerender": [{{"source": "list", "urls": [{listed}], "eagerness": "immediate"}}]}}'
    return page_with(
        tracker,
        head=f"<script type=speculationrules>{rules}</script>",
        body=f"<a id=next href='{addresses[0]}'>Next</a><script>"
        "addEventListener('load', () => fetch('/held').then(() => next.click()))</script>",
    )


_TELL_WHEN_ACTIVATED = """<script>
document.prerendering && document.addEventListener("prerenderingchange", () =>
  fetch("/activated" + location.search));
</script>"""

_SHOP = (
    "<h1>Shoes</h1>"
    + "".join(f"<p><button>Add {i}</button> <a href='#p{i}'>Shoe {i}</a></p>" for i in range(5))
    + "<form onsubmit='event.preventDefault()'><label>Words <input name=q></label></form>"
    + "<p>Something to read.</p>" * 200
)

_PAGES: dict[str, Make] = {
    "/page": lambda tracker, _: page_with(tracker, body="<h1>A page</h1>" + _TELL_WHEN_ACTIVATED),
    "/elsewhere": lambda _, __: page_with(None, body="<h1>Without a tracker</h1>"),
    "/prerendering": _prerendering,
    "/shop": lambda tracker, _: page_with(tracker, body=_SHOP),
    "/shop-without": lambda _, __: page_with(None, body=_SHOP),
    # By these a page tells, or waits to be told; what it fetches is no tracker's.
    "/restored": lambda _, __: "",
    "/activated": lambda _, __: "",
    "/held": lambda _, __: "",
}
