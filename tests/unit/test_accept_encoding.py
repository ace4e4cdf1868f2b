from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.accept_encoding import choose_coding

BOTH = ("br", "gzip")


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        (None, None),
        ("", None),
        ("br", "br"),
        ("gzip, br", "br"),
        ("gzip;q=1, br;q=0.9", "gzip"),
        ("GZip ; Q=0.5", "gzip"),
        ("x-gzip", "gzip"),
        ("*", "br"),
        ("*;q=0.1, br;q=0", "gzip"),
        ("*;q=0", None),
        ("br;q=0, gzip;q=0", None),
        ("identity", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("gzip;q=nonsense, br;level=3, deflate", None),
        ("zstd", None),
    ],
)
def test_the_coding_that_weighs_most(accepted: str | None, chosen: str | None) -> None:
    assert choose_coding(accepted, BOTH) == chosen


def test_only_what_there_is() -> None:
    assert choose_coding("br, gzip;q=0.1", ("gzip",)) == "gzip"
    assert choose_coding("br, gzip", ()) is None


@given(st.text(alphabet="brgzip;q=,.01 *x\t", max_size=40) | st.text(max_size=40))
def test_whatever_is_sent_is_understood_or_left_out(accepted: str) -> None:
    chosen = choose_coding(accepted, BOTH)
    assert chosen is None or chosen in accepted.lower() or "*" in accepted
