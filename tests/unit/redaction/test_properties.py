"""What holds for every value and every text."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.collector.redaction import Detector, Redactor
from api.collector.redaction.view import read_closer
from tests.unit.redaction.writing import encoded_texts, planted, texts, trees, write_json

EVERY = Redactor(frozenset(Detector))
_ALONE = {detector: Redactor(frozenset({detector})) for detector in Detector}


@settings(max_examples=600, deadline=None)
@given(trees(), st.randoms(use_true_random=False))
def test_a_body_in_which_something_is_found_is_suspect(value: Any, rng: random.Random) -> None:
    body = write_json(value, rng).encode("utf-8", "surrogatepass")
    value = json.loads(body.decode("utf-8", "surrogatepass"))
    for redactor in (EVERY, *_ALONE.values()):
        if redactor.redact_value(value)[1]:
            assert redactor.suspects(body)


@settings(max_examples=600, deadline=None)
@given(encoded_texts())
def test_a_text_in_which_something_is_found_is_suspect(text: str) -> None:
    for redactor in (EVERY, *_ALONE.values()):
        if redactor.redact_text(text)[1]:
            assert redactor.suspects(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=600, deadline=None)
@given(trees())
def test_redacting_twice_changes_nothing_more(value: Any) -> None:
    redacted, _ = EVERY.redact_value(value)
    assert EVERY.redact_value(redacted) == (redacted, 0)


@settings(max_examples=600, deadline=None)
@given(encoded_texts())
def test_redacting_a_text_twice_changes_nothing_more(text: str) -> None:
    redacted, _ = EVERY.redact_text(text)
    assert EVERY.redact_text(redacted) == (redacted, 0)


@settings(max_examples=300, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda t: st.lists(t) | st.dictionaries(st.text(), t)))  # fmt: skip
def test_no_value_makes_it_fail(value: Any) -> None:
    redacted, count = EVERY.redact_value(value)
    assert count > 0 or repr(redacted) == repr(value)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), texts(), st.text(st.characters(categories=["Cs", "Nd", "Po", "Ps"]))))
def test_no_text_makes_it_fail(text: str) -> None:
    redacted, count = EVERY.redact_text(text)
    assert count > 0 or redacted == text


@settings(max_examples=600, deadline=None)
@given(planted())
def test_nothing_planted_is_left_however_it_was_encoded(secret_and_text: tuple[str, str]) -> None:
    secret, text = secret_and_text
    for redacted in (EVERY.redact_text(text)[0], EVERY.redact_value({"q": [text]})[0]["q"][0]):
        *_, closest = read_closer(redacted)
        assert secret not in closest.text, text
        assert secret not in closest.text.replace("+", " "), text


@settings(max_examples=300, deadline=None)
@given(trees())
def test_what_was_given_is_left_as_it_was(value: Any) -> None:
    before = json.dumps(value)
    EVERY.redact_value(value)
    assert json.dumps(value) == before


@settings(max_examples=100, deadline=None)
@given(st.binary())
def test_any_bytes_may_be_asked_about(data: bytes) -> None:
    assert EVERY.suspects(data) in (True, False)


@pytest.mark.parametrize("detector", Detector)
@given(value=trees())
@settings(max_examples=40, deadline=None)
def test_a_detector_alone_finds_no_more_kinds_than_its_own(detector: Detector, value: Any) -> None:
    redacted, _ = _ALONE[detector].redact_value(value)
    text = json.dumps(redacted)
    before = json.dumps(value)
    for other in set(Detector) - {detector}:
        assert text.count(f"redacted:{other}]") <= before.count(f"redacted:{other}]")
