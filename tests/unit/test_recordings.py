"""What is pure about recordings: what a chunk is, which of them are there, what is missing."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector.acceptance import Policy
from api.collector.recording import Envelope, decode_envelope, judge_envelope, pack_chunk
from api.collector.redaction.detector import Detector
from api.collector.redaction.redactor import Redactor
from core.refusal import Refused
from database.recording_counts import sum_chunks
from database.recording_intake import read_ranges
from exporter.recordings import find_gaps
from tests.unit.accepting import FACTS, LIMITS

POLICY = Policy(limits=LIMITS)


def an_envelope(**different: Any) -> bytes:
    envelope = {
        "siteId": "shop.example",
        "visitorId": "v-1",
        "sessionId": "s-1",
        "sequence": 0,
        "consent": "granted",
        "events": [{"type": 4, "timestamp": 1795256130123, "data": {"href": "/"}, "delay": 3}],
    } | different
    return json.dumps(envelope).encode()


def packed(body: bytes) -> dict[str, Any]:
    envelope = decode_envelope(body)
    assert isinstance(envelope, Envelope)
    judged = judge_envelope(envelope, facts=FACTS, policy=POLICY)
    assert not isinstance(judged, Refused), judged
    chunk = pack_chunk(judged, None)
    assert not isinstance(chunk, Refused)
    line: dict[str, Any] = json.loads(gzip.decompress(chunk.body))
    return line


def test_what_rrweb_recorded_is_kept_to_the_letter() -> None:
    events = [
        {"type": 2, "timestamp": 1795256130123.5, "data": {"node": {"id": 1}, "é": "\U0001f600"}},
        {"type": 3, "timestamp": 1795256130124, "data": {"source": 99, "unknown": [1, None]}},
        {"type": 6, "timestamp": 1795256130125, "data": {"plugin": "x"}, "delay": -12},
    ]
    assert packed(an_envelope(events=events))["events"] == events


def test_a_chunk_is_one_line_however_its_events_are_laid_out() -> None:
    body = json.dumps(json.loads(an_envelope()), indent=2).replace("\n", "\r\n").encode()
    envelope = decode_envelope(body)
    assert isinstance(envelope, Envelope)
    judged = judge_envelope(envelope, facts=FACTS, policy=POLICY)
    assert not isinstance(judged, Refused)
    chunk = pack_chunk(judged, None)
    assert not isinstance(chunk, Refused)
    line = gzip.decompress(chunk.body)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert packed(body) == packed(an_envelope())


MAIL = "bob@example.com"


@pytest.mark.parametrize(
    "event",
    [
        '{"type":3,"timestamp":1795256130123,"data":{},"extra":"bob@example.com"}',
        '{"type":3,"timestamp":1795256130123,"data":{"v":"bob@example.com"},"data":{}}',
        '{"type":3,"timestamp":1795256130123,"data":{"a":{"bob@example.com":1}}}',
        '{"type":3,"timestamp":1795256130123,"extra":{"v":["bob@example.com"]},"data":[]}',
    ],
)
def test_nothing_beside_the_data_escapes_redaction(event: str) -> None:
    body = an_envelope(events=[0]).replace(b"[0]", b"[" + event.encode() + b"]")
    envelope = decode_envelope(body)
    assert isinstance(envelope, Envelope)
    judged = judge_envelope(envelope, facts=FACTS, policy=POLICY)
    assert not isinstance(judged, Refused)
    chunk = pack_chunk(judged, Redactor(frozenset(Detector)))
    assert not isinstance(chunk, Refused)
    assert MAIL not in gzip.decompress(chunk.body).decode()


@pytest.mark.parametrize("data", [b'"\xff\xfe"', b'"\xed\xa0\x80"', b"1e999", b'"a\\u0000b"'])
def test_what_no_reader_could_read_is_refused(data: bytes) -> None:
    event = b'[{"type":3,"timestamp":1795256130123,"data":' + data + b"}]"
    envelope = decode_envelope(an_envelope(events=[0]).replace(b"[0]", event))
    if isinstance(envelope, Refused):
        return
    judged = judge_envelope(envelope, facts=FACTS, policy=POLICY)
    if isinstance(judged, Refused):
        return
    refused = pack_chunk(judged, None)
    assert isinstance(refused, Refused) and refused.field == "events[0]"


def test_the_same_chunk_gives_the_same_bytes() -> None:
    envelope = decode_envelope(an_envelope())
    assert isinstance(envelope, Envelope)
    bodies = set()
    for _ in range(2):
        judged = judge_envelope(envelope, facts=FACTS, policy=POLICY)
        assert not isinstance(judged, Refused)
        chunk = pack_chunk(judged, None)
        assert not isinstance(chunk, Refused)
        bodies.add(chunk.body)
    assert len(bodies) == 1


@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["siteId", "visitorId", "sessionId", "sequence", "events", "sentAt"]),
        inner, max_size=6,
    ),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_whatever_is_sent_nothing_is_raised(body: bytes) -> None:
    envelope = decode_envelope(body)
    if not isinstance(envelope, Refused):
        judged = judge_envelope(envelope, facts=FACTS, policy=POLICY)
        assert isinstance(judged, Refused) or judged.chunk.site_id


@given(st.sets(st.integers(0, 60), min_size=1))
def test_gaps_are_what_is_missing_between_the_first_and_the_last(numbers: set[int]) -> None:
    missing = set[int]()
    for run in filter(None, find_gaps(sorted(numbers)).split(",")):
        first, _, last = run.partition("-")
        missing |= set(range(int(first), int(last or first) + 1))
    assert missing == set(range(min(numbers), max(numbers) + 1)) - numbers


@pytest.mark.parametrize(
    ("written", "read"),
    [("{}", []), ("{[0,1)}", [(0, 0)]), ("{[0,3),[5,9)}", [(0, 2), (5, 8)])],
)
def test_ranges_are_read_as_postgresql_writes_them(
    written: str, read: list[tuple[int, int]]
) -> None:
    assert read_ranges(written) == read


def test_the_law_of_conservation_is_in_the_sums() -> None:
    counts = sum_chunks(
        [
            ("stored", 5, 500), ("stored", 2, 20), ("repeated", 3, 0), ("no_consent", 4, 0),
            ("delivered", 4, 0), ("erased", 1, 100), ("removed", 1, 100),
        ]
    )  # fmt: skip
    assert (counts.stored, counts.received, counts.bytes) == (7, 14, 520)
    assert (counts.pending, counts.refused) == (2, {"no_consent": 4})
