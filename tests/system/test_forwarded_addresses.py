"""Whose address counts: the peer's, unless the peer is a proxy that we trust."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.running_collector import running_collector

SPOOFED = "198.51.100.77"
EVENT = {"eventType": "page_view", "siteId": "shop.example"}


@pytest.mark.parametrize(
    ("trusted", "sent", "stored"),
    [
        ("127.0.0.1", SPOOFED, "198.51.100.0"),
        ("127.0.0.1", f"192.0.2.1, {SPOOFED}", "198.51.100.0"),
        ("127.0.0.1", "2001:db8:1:2::77", "2001:db8:1::"),
        ("127.0.0.1", "::ffff:198.51.100.77", "198.51.100.0"),
        ("127.0.0.1", "nonsense", "127.0.0.0"),
        ("127.0.0.1", "9" * 5_000, "127.0.0.0"),
        ("10.213.7.2", SPOOFED, "127.0.0.0"),
        ("10.213.7.2", f"{SPOOFED}, 10.213.7.2", "127.0.0.0"),
    ],
)
def test_a_forwarded_address_is_believed_from_a_trusted_proxy_only(
    database_url: str, tmp_path: Path, trusted: str, sent: str, stored: str
) -> None:
    with running_collector(
        database_url, tmp_path, TRUSTED_PROXIES=trusted, LOG_LEVEL="DEBUG"
    ) as collector:
        status, _, _ = collector.send("/collect", EVENT, headers={"X-Forwarded-For": sent})
        assert status == 200
        (row,) = collector.rows()
        log = collector.log.read_text()
    assert row["payload"].get("ip") == stored
    for address in (SPOOFED, "9" * 100, "2001:db8:1:2::77", "127.0.0.1:"):
        assert address not in str(row)
        assert address not in log.replace("http://127.0.0.1:", "")


def test_one_address_cannot_pass_for_many_to_send_more(database_url: str, tmp_path: Path) -> None:
    limits = {"TRUSTED_PROXIES": "10.213.7.2", "RATE_LIMIT_PER_IP": "1"}
    with running_collector(database_url, tmp_path, **limits) as collector:
        statuses = [
            collector.send("/collect", EVENT, headers={"X-Forwarded-For": f"192.0.2.{n}"})[0]
            for n in range(20)
        ]
    assert statuses[:10] == [200] * 10
    assert 429 in statuses[10:13]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_address_of_ipv4_is_itself_on_a_socket_of_ipv6(
    database_url: str, tmp_path: Path, workers: str
) -> None:
    with running_collector(
        database_url, tmp_path, API_HOST="::", API_WORKERS=workers, RATE_LIMIT_PER_IP="1"
    ) as collector:
        senders = [f"192.0.2.{n}" for n in range(40)]
        answers = [
            collector.send("/collect", EVENT, headers={"X-Forwarded-For": sender})[0]
            for sender in senders
        ]
        collector.send("/collect", EVENT, headers={"X-Forwarded-For": "::ffff:198.51.100.77"})
        addresses = {row["payload"]["ip"] for row in collector.rows()}
    assert answers == [200] * 40
    assert addresses == {"192.0.2.0", "198.51.100.0"}


def test_what_is_asked_for_stands_in_no_log(database_url: str, tmp_path: Path) -> None:
    with running_collector(database_url, tmp_path, LOG_LEVEL="DEBUG") as collector:
        collector.send("/pixel.gif?s=shop.example&mail=anna%40example.com")
        collector.send("/nothing/here?mail=anna%40example.com")
        collector.send("/collect", b'{"eventType": "anna@example.com')
        log = collector.log.read_text()
    assert "anna" not in log
    assert "pixel.gif" not in log
