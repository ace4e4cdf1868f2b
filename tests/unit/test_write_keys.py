from __future__ import annotations

import base64

import pytest
from msgspec import structs

from api.collector.acceptance import Acceptance
from api.collector.write_keys import WriteKeys, find_write_key, parse_write_keys
from core.refusal import RefusalReason, Refused
from tests.conftest import a_batch, an_event
from tests.unit.accepting import FACTS, accept, read_row

KEYS = WriteKeys({"key-of-the-shop": "shop.example", "key-of-anybody": "*"})
STRICT = WriteKeys({"key-of-the-shop": "shop.example"}, require="server")
SERVER = structs.replace(FACTS, from_page=False)


def bearer(key: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + key.encode()}


def site_of(acceptance: Acceptance) -> str:
    return read_row(acceptance.accepted[0].row).site_id


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (b"Bearer abc", "abc"),
        (b"bearer  abc ", "abc"),
        (b"Basic " + base64.b64encode(b"abc:"), "abc"),
        (b"Basic " + base64.b64encode(b"abc:def"), "abc"),
        (b"Basic " + base64.b64encode(b"abc"), "abc"),
        (b"Basic !!!", None),
        (b"Basic ", None),
        (b"Bearer", None),
        (b"Digest abc", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_a_key_is_found_in_the_header(header: bytes, key: str | None) -> None:
    assert find_write_key({b"authorization": header}) == key
    assert find_write_key({}) is None


def test_a_key_gives_its_events_a_site() -> None:
    keyless = an_event(siteId=None)
    assert site_of(accept(keyless, headers=bearer("key-of-the-shop"), write_keys=KEYS)) == (
        "shop.example"
    )
    assert site_of(accept(keyless, headers=bearer("key-of-anybody"), write_keys=KEYS)) == (
        FACTS.fallback_site_id
    )
    assert site_of(accept(keyless, write_keys=KEYS)) == FACTS.fallback_site_id
    named = an_event(siteId="b.example")
    assert site_of(accept(named, headers=bearer("key-of-the-shop"), write_keys=KEYS)) == "b.example"


def test_an_unknown_key_is_refused_as_a_whole() -> None:
    acceptance = accept(
        a_batch(an_event(), an_event()), headers=bearer("key-of-nobody"), write_keys=KEYS
    )
    assert (acceptance.status, acceptance.refused_events) == (401, 2)
    assert acceptance.refused[0].reason == RefusalReason.WRITE_KEY_REFUSED
    assert acceptance.accepted == []


def test_without_any_keys_every_key_is_ignored() -> None:
    assert accept(an_event(), headers=bearer("whatever")).status == 200


def test_a_server_may_have_to_show_one() -> None:
    assert accept(an_event(), facts=SERVER, write_keys=STRICT).status == 401
    with_key = accept(
        an_event(), facts=SERVER, headers=bearer("key-of-the-shop"), write_keys=STRICT
    )
    assert with_key.status == 200
    assert accept(an_event(), write_keys=STRICT).status == 200, "a page has none"
    assert accept(an_event(), facts=SERVER, write_keys=KEYS).status == 200


@pytest.mark.parametrize(("from_page", "is_a_servers"), [(False, True), (True, False)])
def test_the_key_that_stands_in_a_page_is_no_servers(from_page: bool, is_a_servers: bool) -> None:
    # Whether it exempts is seen by what it exempts from: the signal of the sender's own browser.
    facts = structs.replace(FACTS, from_page=from_page, do_not_track="Sec-GPC")
    acceptance = accept(an_event(), facts=facts, headers=bearer("key-of-the-shop"), write_keys=KEYS)
    assert bool(acceptance.accepted) is is_a_servers


def test_keys_are_parsed() -> None:
    assert parse_write_keys(" one-key-1=a.example, two-key-22==*,") == {
        "one-key-1": "a.example",
        "two-key-22=": "*",
    }
    assert parse_write_keys("") == {}


def test_a_beacon_says_its_key_in_the_address() -> None:
    assert find_write_key({}, b"x=1&writeKey=key%2D1") == "key-1"
    assert find_write_key({}, b"x=1&writeKey=") is None
    assert find_write_key({b"authorization": b"Bearer key-2"}, b"writeKey=key-1") == "key-2"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("secret-key", "names no site"),
        ("secret-key=", "names no site"),
        ("=a.example", "shorter than 8"),
        ("short=a.example", "shorter than 8"),
        ("secret-key=a,secret-key=b", "key 2 stands there twice"),
    ],
)
def test_a_bad_list_of_keys_is_told_without_quoting_any(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as raised:
        parse_write_keys(text)
    assert "secret" not in str(raised.value)


def test_no_key_can_be_read_out_of_the_object() -> None:
    assert not any("key-of" in str(digest) for digest in KEYS._sites)
    assert isinstance(KEYS.judge("\udcff", from_page=True), Refused)
