from __future__ import annotations

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.event_id import identity, is_placeholder, make_event_id

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def test_an_id_made_here_is_a_uuid_of_version_7_that_tells_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = make_event_id()
    after = time.time_ns() // 1_000_000
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert before <= made.int >> 80 <= after


def test_ids_made_here_differ() -> None:
    assert len({make_event_id() for _ in range(10_000)}) == 10_000


@given(st.uuids())
def test_a_uuid_stands_for_itself_in_any_spelling_and_on_any_site(value: uuid.UUID) -> None:
    spellings = (str(value), str(value).upper(), value.hex)
    assert {identity(s, site_id=site) for s in spellings for site in "ab"} == {value.bytes}


@given(st.integers(1, 2**128 - 1))
def test_a_ulid_stands_for_its_128_bits(number: int) -> None:
    digits = "".join(CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
    assert identity(digits, site_id="a") == number.to_bytes(16, "big")
    assert identity(digits.lower(), site_id="b") == number.to_bytes(16, "big")


@pytest.mark.parametrize(
    "event_id",
    [
        "evt_20250811_00001",
        "7",
        "é",
        "x" * 36,
        "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "not-hex-but-of-length-thirty-six-chr",
    ],
)
def test_any_other_string_belongs_to_its_site(event_id: str) -> None:
    here = identity(event_id, site_id="a")
    assert here is not None and len(here) == 16
    assert here == identity(event_id, site_id="a")
    assert here != identity(event_id, site_id="b")


@pytest.mark.parametrize(
    "event_id",
    ["undefined", "NULL", "[object Object]", "0", str(uuid.UUID(int=0)), "0" * 32, "0" * 26],
)
def test_a_placeholder_has_none(event_id: str) -> None:
    assert identity(event_id, site_id="a") is None


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.text(max_size=5))
def test_every_other_string_has_an_identity(event_id: str, site_id: str) -> None:
    if "\ud800" <= max(site_id, default="") <= "\udfff" or is_placeholder(event_id):
        return
    assert len(identity(event_id, site_id=site_id) or b"") == 16


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
        min_size=2,
        max_size=5,
        unique=True,
    )
)
def test_different_strings_have_different_identities(event_ids: list[str]) -> None:
    # Spellings of the same UUID or ULID aside, which random text does not hit.
    assert len({identity(i, site_id="a") for i in event_ids}) == len(event_ids)


@pytest.mark.parametrize("almost", ["\u212a", "\u017f", "\uff10", "\u0660"])
def test_what_only_resembles_a_ulid_is_hashed_as_any_string(almost: str) -> None:
    # Unicode's small letter of U+212A, the kelvin sign, is k.
    for text in ("0" * 25 + almost, almost * 26):
        assert identity(text, site_id="a") != identity(text, site_id="b")
