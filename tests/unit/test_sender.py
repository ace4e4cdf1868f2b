from __future__ import annotations

import tracemalloc
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector.dialects.rudder_config import encode_source_config
from api.collector.redaction.names import classify
from api.collector.sender import find_site_id, find_user_agent, ip_to_store, truncate_ip
from api.trusted_proxies import TrustedProxies
from core.keys import MAX_SITE_ID_BYTES
from tests.conftest import an_event
from tests.unit.accepting import accept


@pytest.mark.parametrize(
    ("address", "truncated"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("10.0.0.0", "10.0.0.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::1", "::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("", None),
        ("/run/nginx.sock", None),
        ("203.0.113.77:1234", None),
    ],
)
def test_an_address_is_cut_to_its_network(address: str, truncated: str | None) -> None:
    assert truncate_ip(address) == truncated


@given(st.ip_addresses())
def test_nothing_below_the_network_is_left_of_any_address(address: object) -> None:
    cut = truncate_ip(str(address))
    assert cut is not None
    parsed = ip_address(cut)
    host_bits = 8 if parsed.version == 4 else 80
    assert int(parsed) & ((1 << host_bits) - 1) == 0


def test_what_is_stored_of_an_address_is_a_setting() -> None:
    assert ip_to_store("203.0.113.77", mode="truncate") == "203.0.113.0"
    assert ip_to_store("203.0.113.77", mode="drop") is None
    assert ip_to_store(None, mode="truncate") is None


@pytest.mark.parametrize(
    ("headers", "site_id"),
    [
        ({b"origin": b"https://shop.example"}, "shop.example"),
        ({b"origin": b"https://Shop.Example:8443", b"host": b"collect.example"}, "shop.example"),
        ({b"origin": b"null", b"referer": b"https://a.example/p?q=1"}, "a.example"),
        ({b"origin": b"", b"referer": b"https://a.example/"}, "a.example"),
        ({b"referer": b"about:blank", b"host": b"localhost:8000"}, "localhost"),
        ({b"host": b"[2001:db8::1]:8000"}, "2001:db8::1"),
        ({b"origin": b"http://[broken", b"host": b"a.example"}, "a.example"),
        ({b"origin": "https://bücher.example".encode(), b"host": b"a.example"}, "a.example"),
        ({}, "unknown"),
        ({b"host": b"\x00"}, "unknown"),
    ],
)
def test_the_site_is_the_page_that_sent_it(headers: dict[bytes, bytes], site_id: str) -> None:
    assert find_site_id(headers) == site_id


@given(st.dictionaries(st.sampled_from([b"origin", b"referer", b"host"]), st.binary(max_size=300)))
def test_whatever_the_headers_hold_there_is_a_site(headers: dict[bytes, bytes]) -> None:
    site_id = find_site_id(headers)
    assert 1 <= len(site_id) <= MAX_SITE_ID_BYTES
    assert site_id.isprintable()


@given(st.binary(max_size=2_000))
def test_a_user_agent_fits_the_contract(value: bytes) -> None:
    found = find_user_agent({b"user-agent": value})
    assert found is None or (1 <= len(found) <= 1_000 and "\0" not in found)
    assert find_user_agent({}) is None


def test_no_cache_holds_more_of_what_is_sent_than_is_kept_of_it() -> None:
    proxies = TrustedProxies("*")
    tracemalloc.start()
    try:
        for number in range(2_000):
            long = b"%d" % number + b"x" * 16_000
            find_user_agent({b"user-agent": long})
            find_site_id({b"origin": b"https://" + long, b"referer": b"https://r" + long})
            sender = proxies.sender_of(
                {"client": ("192.0.2.1", 1), "headers": [(b"x-forwarded-for", long)]}
            )
            assert sender == "192.0.2.1"
            classify(long.decode())
            encode_source_config(long.decode())
            accept(an_event(siteId=long.decode()), headers={b"x-write-key": long})
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 15_000_000, "2,000 requests with several texts of 16 kB each"
