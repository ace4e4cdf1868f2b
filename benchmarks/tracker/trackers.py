"""The trackers, and the page that each of them is on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tracker:
    """How one of them gets on a page, and what its page views look like in its requests."""

    name: str
    script: str
    """Path of the script; it defines `record(name, properties)`, or `head` does."""
    view: str
    """A pattern that only page views have."""
    head: str = ""
    is_ready: str = "typeof record === 'function'"


OURS = Tracker(
    name="ours",
    script="/js/tracking.js",
    view=r'"eventType": "page_view"',
    head="<script>record = (name, props) => sluice('track', name, props)</script>",
    is_ready="typeof sluice === 'function'",
)
PEERS = (
    Tracker("plausible", "/peers/plausible.js", r'"n": "pageview"'),
    Tracker("snowplow", "/peers/snowplow.js", r'"e": "pv"'),
    Tracker("amplitude", "/peers/amplitude.js", r"\[Amplitude\] Page Viewed"),
    Tracker("posthog", "/peers/posthog.js", r'"\$pageview"'),
)
TRACKERS = (OURS, *PEERS)


def page_with(tracker: Tracker | None, *, head: str = "", body: str = "") -> str:
    """A page, with a tracker or with none."""
    tag = f'{tracker.head}<script async src="{tracker.script}"></script>' if tracker else ""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>A page</title>"
        f'<link rel=icon href="data:,">{head}{tag}<body>{body}'
    )
