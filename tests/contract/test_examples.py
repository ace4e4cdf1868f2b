"""The examples beside the contract: valid ones come out as they say, invalid ones are refused so.

The JavaScript tests read the same files. `body` is the request's body (`text`, where it is no
JSON); the clock stands at 2026-11-21T10:15:31.204Z and the sender's page is on fallback.example.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from msgspec import structs

from api.collector.answer import encode_answer
from core.event import Event, wire_fields
from core.refusal import POLICY_REASONS, RefusalReason
from tests.conftest import ROOT
from tests.unit.accepting import FACTS, accept, read_row

EXAMPLES = ROOT / "core" / "contract" / "examples"
VALID = sorted((EXAMPLES / "valid").glob("*.json"))
INVALID = sorted((EXAMPLES / "invalid").glob("*.json"))
SCHEMA = msgspec.json.schema(Event)
FACTS_WITHOUT_IP = structs.replace(FACTS, ip=None)


def read(path: Path) -> dict[str, Any]:
    example: dict[str, Any] = json.loads(path.read_text())
    return example


def body_of(example: dict[str, Any]) -> bytes:
    return example["text"].encode() if "text" in example else json.dumps(example["body"]).encode()


def named(paths: list[Path]) -> Any:
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


def with_instants(event: dict[str, Any]) -> dict[str, Any]:
    """The event with its times as times: there is more than one way to write the same."""
    times = {n: datetime.fromisoformat(event[n]) for n in ("occurredAt", "sentAt") if n in event}
    return event | times


def test_there_are_enough_of_them() -> None:
    assert len(VALID) >= 12
    assert len(INVALID) >= 14


@named(VALID)
def test_a_valid_example_comes_out_as_it_says(path: Path) -> None:
    example = read(path)
    expect = example["expect"]
    acceptance = accept(body_of(example), facts=FACTS_WITHOUT_IP)
    assert json.loads(encode_answer(acceptance)) == {"accepted": expect["accepted"], "rejected": 0}
    assert acceptance.status == 200
    rows = [read_row(event.row) for event in acceptance.accepted]
    for row, event in zip(rows, expect["events"], strict=True):
        made = {} if "eventId" in event else {"eventId": str(row.event_id)}
        assert with_instants(row.payload) == with_instants(event | made)
        if made:
            assert row.event_id.version == 7
    for row, columns in zip(rows, expect.get("columns", []), strict=False):
        if "event_id" in columns:
            assert str(row.event_id) == columns["event_id"]
        if "occurred_at" in columns:
            assert row.occurred_at == datetime.fromisoformat(columns["occurred_at"])


@named(INVALID)
def test_an_invalid_example_is_refused_as_it_says(path: Path) -> None:
    example = read(path)
    expect = example["expect"]
    acceptance = accept(body_of(example))
    answer = json.loads(encode_answer(acceptance))
    assert (answer["accepted"], answer["rejected"]) == (expect["accepted"], expect["rejected"])
    (error,) = answer["errors"]
    assert {name: error.get(name) for name in expect["error"]} == expect["error"]
    assert error.get("field") == expect["error"].get("field")
    assert error["message"]
    assert acceptance.status == expect["status"]


@named([path for path in VALID if read(path)["canonical"]])
def test_a_canonical_example_fits_the_json_schema(path: Path) -> None:
    body = read(path)["body"]
    validator = jsonschema.Draft202012Validator(SCHEMA)
    shared = {name: value for name, value in body.items() if name != "events"}
    for event in [shared, *body.get("events", [])]:
        validator.validate(event)


@named([path for path in VALID if not read(path)["canonical"]])
def test_what_is_stored_of_the_others_fits_it_too(path: Path) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for event in read(path)["expect"]["events"]:
        validator.validate(event)


def test_the_examples_cover_every_field() -> None:
    used = {name for path in VALID for event in read(path)["expect"]["events"] for name in event}
    assert used >= set(wire_fields().values()) - {"eventId"}


def test_the_examples_cover_every_reason_that_a_body_can_give() -> None:
    reasons = {read(path)["expect"]["error"]["reason"] for path in INVALID}
    # Type and encoding are a header's matter, lateness is the network's, only PostgreSQL finds a
    # row unstorable, a known mistake of ours would be mended, and the others are what a stack's own
    # settings refuse.
    rest = {
        RefusalReason.UNSUPPORTED_TYPE,
        RefusalReason.INVALID_ENCODING,
        RefusalReason.TIMEOUT,
        RefusalReason.UNSTORABLE,
        RefusalReason.COLLECTOR_ERROR,
        RefusalReason.SITE_QUARANTINED,
        RefusalReason.PLAN_VIOLATION,
        RefusalReason.STRING_TOO_LONG,
        *POLICY_REASONS,
    }
    assert reasons == {str(reason) for reason in set(RefusalReason) - rest}
