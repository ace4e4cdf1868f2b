"""The examples beside the contract, posted to a running stack: answers, and rows in the bucket."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.running_stack import ROOT, RunningStack

EXAMPLES = ROOT / "core" / "contract" / "examples"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(tmp_path_factory.mktemp("examples") / "data")
    running.start()
    yield running
    running.stop()


def test_every_example_is_answered_as_it_says_and_every_accepted_event_arrives(
    stack: RunningStack,
) -> None:
    accepted = rejected = 0
    for path in sorted(EXAMPLES.glob("*/*.json")):
        example = json.loads(path.read_text())
        expect = example["expect"]
        status, answer = _post(stack, example)
        assert status == expect.get("status", 200), path.name
        assert answer["accepted"] == expect["accepted"], path.name
        assert answer["rejected"] == expect["rejected"], path.name
        if error := expect.get("error"):
            assert error.items() <= answer["errors"][0].items(), path.name
        accepted += expect["accepted"]
        rejected += expect["rejected"]

    law = stack.wait_until_delivered()["conservation"]

    assert (law["accepted"], law["rejected"]) == (accepted, rejected)
    assert law["holds"]
    delivered = stack.delivered_ids("client")
    assert delivered.total() == accepted - law["duplicates"] == stack.listed_rows("client")
    assert max(delivered.values()) == 1


def _post(stack: RunningStack, example: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    body = example["text"] if "text" in example else json.dumps(example["body"])
    request = urllib.request.Request(
        stack.url + "/collect", data=body.encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def test_the_examples_are_found() -> None:
    assert len(list(Path(EXAMPLES).glob("*/*.json"))) >= 26
