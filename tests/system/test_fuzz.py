"""Mutated requests: no 5xx, an answer to each, and the books hold afterwards.

FUZZ_REQUESTS says how many in all; `make fuzz` asks for 50,000, FUZZ_SEED repeats a run.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from http.client import HTTPConnection

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.system.running_stack import ROOT, RunningStack

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "600"))
SEED = int(os.environ.get("FUZZ_SEED", str(random.SystemRandom().randrange(2**32))))
SECONDS = 120 + REQUESTS // 20

SEEDS = [
    json.dumps(json.loads(path.read_text()).get("body", {})).encode()
    for path in sorted((ROOT / "core" / "contract" / "examples").glob("*/*.json"))
]
# Routes that do work beyond the request: they are mutated too, but not a thousand times.
# Nothing is wrong with such a request, and nothing of it is to be sent again.
UNWANTED = ("do_not_track", "no_consent", "suppressed")
RARE = ("/export/run", "/events/rejected/replay", "/privacy/suppressions", "/sites/")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(
        tmp_path_factory.mktemp("fuzz") / "data",
        settings={"EXPORT_INTERVAL": "30s", "RATE_LIMIT_PER_IP": "0"},
    )
    running.start()
    yield running
    running.stop()


def fuzzing(examples: int) -> Callable[..., Callable[..., None]]:
    """Settings for one strategy: no shrinking of timing, no health checks on a busy machine."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=False,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(hypothesis.Phase.generate,),
    )


@pytest.mark.timeout(SECONDS)
def test_what_the_api_describes_and_what_it_forbids_get_an_answer(stack: RunningStack) -> None:
    print(f"FUZZ_SEED={SEED}")
    schema = schemathesis.openapi.from_url(f"{stack.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    # About half of them find nothing to make wrong, or are rare.
    each = max(2, REQUESTS // (2 * len(operations)))
    statuses: Counter[int] = Counter()
    with requests.Session() as session:
        for operation in operations:
            examples = min(each, 20) if operation.path.startswith(RARE) else each
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                strategy = operation.as_strategy(generation_mode=mode)

                @hypothesis.seed(SEED)
                @fuzzing(examples)
                @given(case=strategy)
                def send(case: schemathesis.Case) -> None:
                    answer = case.call(base_url=stack.url, session=session, timeout=30)
                    statuses[answer.status_code] += 1
                    assert answer.status_code < 500, (
                        f"{case.method} {case.path}: {answer.content!r}"
                    )

                with contextlib.suppress(hypothesis.errors.Unsatisfiable):
                    send()  # of some operations nothing can be made wrong
    print("statuses", dict(statuses))
    assert_the_books_hold(stack)


@pytest.mark.timeout(SECONDS)
def test_a_mangled_body_gets_an_answer_and_its_events_are_counted(stack: RunningStack) -> None:
    print(f"FUZZ_SEED={SEED}")
    before = stack.get("/events/count")
    told: Counter[str] = Counter()
    connection = HTTPConnection("127.0.0.1", stack.port, timeout=30)

    @hypothesis.seed(SEED)
    @fuzzing(REQUESTS * 3 // 5)
    @given(body=mangled_bodies() | mangled_trees(), headers=mangled_headers())
    def send(body: bytes, headers: dict[str, str]) -> None:
        connection.request("POST", "/collect", body=body, headers=headers)
        answer = connection.getresponse()
        read = answer.read()
        assert answer.status < 500, read
        if read == b"Invalid HTTP request received.":  # never came as far as a body
            connection.close()
            return
        counts = json.loads(read)
        is_unwanted = any(e["reason"] in UNWANTED for e in counts.get("errors", [])[:1])
        assert (answer.status == 200) == (counts["accepted"] > 0 or is_unwanted)
        assert answer.status == 200 or counts["errors"], read
        told["accepted"] += counts["accepted"]
        told["rejected"] += counts["rejected"]

    send()
    connection.close()
    after = stack.get("/events/count")
    assert after["count"] - before["count"] == told["accepted"]
    assert after["rejected"] - before["rejected"] == told["rejected"]
    print("told", dict(told))
    assert_the_books_hold(stack)


def assert_the_books_hold(stack: RunningStack) -> None:
    status = stack.wait_until_delivered(seconds=120)
    law = status["conservation"]
    assert law["holds"], law
    assert law["received"] == law["accepted"] + law["rejected"]
    for sink in status["sinks"]:
        assert sink["exported"] == law["accepted"] - law["duplicates"]
    for name in ("client", "metering"):
        delivered = stack.delivered_events(name)
        assert delivered.total() == law["accepted"] - law["duplicates"]
        assert max(delivered.values(), default=1) == 1


@st.composite
def mangled_bodies(draw: st.DrawFn) -> bytes:
    """A good body, or several, cut, spliced, flipped, doubled, or plain noise."""
    body = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(body) - 1)))
        match draw(st.sampled_from(("flip", "cut", "splice", "insert", "double", "noise"))):
            case "flip" if body:
                body[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del body[at : at + draw(st.integers(1, 200))]
            case "splice":
                other = draw(st.sampled_from(SEEDS))
                body[at:at] = other[draw(st.integers(0, len(other) - 1)) :]
            case "insert":
                body[at:at] = draw(st.sampled_from(TROUBLE))
            case "double":
                body += body[at:]
            case _:
                body[at:at] = draw(st.binary(max_size=30))
    return bytes(body[:100_000])


TROUBLE = (
    b"\\u0000", b"\x00", b"\\ud800", b"\xff\xfe", b'{"a":' * 200, b"[" * 3000, b"1e999", b"-0",
    b"NaN", b"null", b'"events":[', b"{}", b"[]", b'""', b"9" * 400, b"\\u003c",
    b"4111111111111111", b"a@b.example", b"%40", b"true", b'{"eventType":"click"}',
    b",", b":", b"\xf0\x9f\x98\x80",
)  # fmt: skip


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@st.composite
def mangled_trees(draw: st.DrawFn) -> bytes:
    """A good body of which some values are others: still JSON, seldom what is expected."""
    body = json.loads(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 3))):
        node = body
        while isinstance(node, dict | list) and node:
            keys = sorted(node) if isinstance(node, dict) else range(len(node))
            key = draw(st.sampled_from(keys))
            if draw(st.booleans()) or not isinstance(node[key], dict | list):
                node[key] = draw(ANYTHING)
                break
            node = node[key]
    return json.dumps(body).encode()


@st.composite
def mangled_headers(draw: st.DrawFn) -> dict[str, str]:
    headers = {"Content-Type": draw(st.just("text/plain") | st.sampled_from(TYPES))}
    for name, values in HEADERS.items():
        if draw(st.integers(0, 5)) == 0:
            headers[name] = draw(st.sampled_from(values))
    return headers


TYPES = (
    "application/json", "text/plain", "text/plain;charset=UTF-8", "application/xml", "",
    "application/x-www-form-urlencoded", "application/json; charset=latin-1",
)  # fmt: skip
HEADERS = {
    "Origin": ("https://shop.example", "null", "https://[::1", "http://a\tb", "x" * 500),
    "Referer": ("https://shop.example/p?email=a@b.example", "about:blank", "//"),
    "User-Agent": ("Mozilla/5.0", "curl/8.0", "", "\xe9\xff"),
    "X-Forwarded-For": ("203.0.113.7", "2001:db8::1", "unknown", "1.2.3.4, 5.6.7.8", "\x7f"),
    "Content-Encoding": ("identity", "gzip", "br", "zstd", "deflate", "gzip, br", "x"),
    "DNT": ("1", "0", "x"),
    "Sec-GPC": ("1",),
    "Authorization": ("Basic a2V5Og==", "Basic ???", "Bearer x", "Bearer"),
}


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_packed_good_body_is_taken_in(
    stack: RunningStack, pack: Callable[[bytes], bytes]
) -> None:
    coding = {gzip.compress: "gzip", zlib.compress: "deflate"}[pack]
    connection = HTTPConnection("127.0.0.1", stack.port, timeout=30)
    connection.request(
        "POST", "/collect", body=pack(b'{"eventType":"click"}'),
        headers={"Content-Type": "application/json", "Content-Encoding": coding},
    )  # fmt: skip
    assert json.loads(connection.getresponse().read()) == {"accepted": 1, "rejected": 0}
    connection.close()
