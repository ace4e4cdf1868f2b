"""What is derived stands in the delivered files, as an outside reader finds it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import Engine

from tests.conftest import an_event
from tests.integration.building import Exporting, write_now

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets")


def delivered(exporting: Exporting, columns: str, *events: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The events' columns in the client's files, by event id, as DuckDB reads them."""
    write_now(exporting.database_url, *events)
    exporting.run()
    files = exporting.client_root / "**" / "site_id=*" / "*" / "*" / "*" / "*" / "*.parquet"
    return duckdb.sql(
        f"SELECT {columns} FROM read_parquet('{files}', hive_partitioning = true) ORDER BY event_id"
    ).fetchall()


def test_browser_system_and_device_stand_in_the_files(exporting: Exporting) -> None:
    rows = delivered(
        exporting,
        "event_id, browser, browser_version, os, os_version, device_type",
        an_event(eventId="a", userAgent=IPHONE),
        an_event(eventId="b", userAgent=IPHONE, browser="Own", deviceType="kiosk"),
        an_event(eventId="c", userAgent="curl/8.14.1"),
    )
    assert rows == [
        ("a", "Safari", "17.5", "iOS", "17.5", "mobile"),
        ("b", "Own", None, "iOS", "17.5", "kiosk"),
        ("c", "curl", "8.14", None, None, "bot"),
    ]


def test_referrer_and_channel_stand_in_the_files(exporting: Exporting) -> None:
    page = "https://www.shop.example/p/7"
    rows = delivered(
        exporting,
        "event_id, host, referrer_domain, referrer_type, referrer_source, channel",
        an_event(eventId="a", url=page, referrer="https://www.google.ch/"),
        an_event(eventId="b", url=page + "?utm_source=fb&utm_medium=cpc&fbclid=x"),
        an_event(eventId="c", url=page, eventType="click"),
        # Not a client's to say: kept, in properties.
        an_event(eventId="d", url=page, channel="own", host="evil.example"),
    )
    assert rows == [
        ("a", "www.shop.example", "www.google.ch", "search", "google", "organic_search"),
        ("b", "www.shop.example", None, "direct", None, "paid_social"),
        ("c", "www.shop.example", None, None, None, None),
        ("d", "www.shop.example", None, "direct", None, "direct"),
    ]


def test_the_entry_of_a_session_stands_in_the_files_of_the_segment_it_began_in(
    exporting: Exporting,
) -> None:
    session = "019aa1b2-7c1e-7a50-9d3e-000000000001"
    begun = datetime(2025, 11, 20, 14, 37, 0, 318_000, tzinfo=UTC)
    assert int(session[:8] + session[9:13], 16) == begun.timestamp() * 1_000

    def event(name: str, after_seconds: float, path: str, **different: Any) -> dict[str, Any]:
        at = begun + timedelta(seconds=after_seconds)
        return an_event(
            eventId=name, sessionId=session, occurredAt=at.isoformat(),
            url=f"https://shop.example{path}", **different,
        )  # fmt: skip

    first = event("a", 0.004, "/landing")
    delivered(exporting, "event_id", first, event("b", 0.01, "/landing", eventType="identify"))
    rows = delivered(
        exporting,
        "event_id, is_entry, session_entry_path",
        first,  # a browser's retry: a duplicate begins nothing
        event("c", 60, "/cart"),
        an_event(eventId="d", sessionId="another SDK's", occurredAt=begun.isoformat()),
    )
    assert rows == [
        ("a", True, "/landing"),
        ("b", False, "/landing"),
        ("c", False, None),
        ("d", None, None),
    ]
