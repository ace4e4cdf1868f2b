from __future__ import annotations

import json
import logging
import sys

import pytest

from core.telemetry import JsonLines


def fail(text: str) -> None:
    try:
        raise KeyError(text)
    except KeyError as exc:
        raise ValueError(f"not {text}") from exc


def test_a_trace_says_where_and_what_and_quotes_nobody() -> None:
    with pytest.raises(ValueError, match="anna"):
        fail("anna@mail.example")
    try:
        fail("anna@mail.example")
    except ValueError:
        record = logging.LogRecord("sluice", 40, "p", 1, "it failed", None, sys.exc_info())
    line = json.loads(JsonLines().format(record))
    assert line["message"] == "it failed"
    first, second = line["exception"].split("\n\n")
    assert first.endswith("KeyError")
    assert second.endswith("ValueError")
    assert "in fail" in first
    assert "anna@mail" not in line["exception"].replace('fail("anna@mail.example")', "")
