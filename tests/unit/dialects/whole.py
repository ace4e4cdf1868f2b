"""What holds for any request to any dialect, whatever was sent."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.unit.accepting import read_row
from tests.unit.dialects.asking import Asked

TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", "\0", "x" * 300, "x" * 9_000, "1795256130123", "9" * 40, "1e400", "1920x1080", "%zz",
     "https://shop.example/p", "https://[", "{", '{"data":1}', "eyJkYXRhIjpbXX0", "====", "iglu:a"]
)  # fmt: skip


def values(names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Any JSON, with these names in its objects now and then."""
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | TEXTS
        # Lone surrogates, escaped by json.dumps: browsers send those.
        | st.text(st.characters(categories=["Cs"]), min_size=1, max_size=2)
        | st.sampled_from([10**400, -(10**30), 1795256130123]),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6),
        max_leaves=15,
    )


def check_whole(asked: Asked) -> None:
    """Each event is accepted or refused, once; each row and the answer can be read."""
    acceptance, reply = asked.acceptance, asked.reply
    assert 200 <= reply.status < 500
    assert reply.content_type != b"application/json" or json.loads(reply.body)
    if acceptance.whole_request_refused:
        assert (len(acceptance.accepted), len(acceptance.refused)) == (0, 1)
        return
    places = [e.place for e in acceptance.accepted] + [r.index for r in acceptance.refused]
    assert sorted(places, key=str) == sorted(range(len(places)), key=str)
    assert places
    for event in acceptance.accepted:
        assert "\0" not in json.dumps(read_row(event.row).payload, ensure_ascii=False)


def deep(levels: int) -> bytes:
    """An array in an array, and so on."""
    return b"[" * levels + b"]" * levels
