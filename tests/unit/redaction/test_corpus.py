"""Recall and false positives, on the committed corpus and on its held-out part; both printed."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from api.collector.redaction import Detector, Redactor
from tests.unit.redaction.corpus import Sample, read

MIN_RECALL = 0.99
MAX_FALSE_POSITIVES = 0.001

EVERY = Redactor(frozenset(Detector))


def redact(sample: Sample) -> tuple[Any, int]:
    return EVERY.redact_text(sample.value) if sample.is_text else EVERY.redact_value(sample.value)


def is_found(sample: Sample) -> bool:
    """Whether nothing is left of it, and the right mark stands there; an IP address is cut."""
    redacted, count = redact(sample)
    left = redacted if sample.is_text else json.dumps(redacted, ensure_ascii=False)
    is_gone = not any(g in left or json.dumps(g)[1:-1] in left for g in sample.gone)
    is_marked = sample.label == "ip" or f"redacted:{sample.label}" in left
    return count > 0 and is_gone and is_marked


@pytest.mark.parametrize(("name", "at_least"), [("positives", 500), ("heldout_positives", 500)])
def test_recall(name: str, at_least: int, capsys: pytest.CaptureFixture[str]) -> None:
    samples = read(name)
    totals = Counter(sample.label for sample in samples)
    missed = [sample for sample in samples if not is_found(sample)]
    missed_by_label = Counter(sample.label for sample in missed)
    recall = 1 - len(missed) / len(samples)
    with capsys.disabled():
        print(f"\n{name}: recall {recall:.4f} ({len(missed)} of {len(samples)} missed)")
        for label, total in sorted(totals.items()):
            print(f"  {label:<7} {1 - missed_by_label[label] / total:.4f} of {total}")
    assert len(samples) >= at_least
    assert recall >= MIN_RECALL, missed[:5]
    for label, total in totals.items():
        assert 1 - missed_by_label[label] / total >= MIN_RECALL, label


@pytest.mark.parametrize(
    ("name", "at_least"), [("lookalikes", 2_000), ("heldout_lookalikes", 2_000)]
)
def test_false_positives(name: str, at_least: int, capsys: pytest.CaptureFixture[str]) -> None:
    samples = read(name)
    wrong = [s for s in samples if redact(s) != (s.value, 0)]
    rate = len(wrong) / len(samples)
    with capsys.disabled():
        print(f"\n{name}: false positives {rate:.4%} ({len(wrong)} of {len(samples)})")
    assert len(samples) >= at_least
    assert rate <= MAX_FALSE_POSITIVES, wrong[:5]


@pytest.mark.parametrize("name", ["positives", "heldout_positives"])
def test_the_prefilter_lets_no_positive_through(name: str) -> None:
    for sample in read(name):
        for ensure_ascii in (True, False):
            assert EVERY.suspects(json.dumps(sample.value, ensure_ascii=ensure_ascii).encode())


def test_the_corpus_has_every_kind_in_many_shapes() -> None:
    samples = read("positives")
    assert {sample.label for sample in samples} == {str(detector) for detector in Detector}
    assert len({sample.shape for sample in samples}) >= 100
    assert len({sample.shape for sample in read("lookalikes")}) >= 100
