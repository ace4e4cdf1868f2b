"""The API description says what the dialects do: every route is in it, mutated requests agree."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import schemathesis
from hypothesis.strategies import SearchStrategy
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import DIALECTS, create_app
from api.collector.contract import describe_dialects
from api.collector.recording_endpoint import METHODS, PATH
from api.settings import ApiSettings
from core.settings import read_settings
from tests.system.running_collector import running_collector

ROUTES = {path: methods for d in DIALECTS for path, methods in d.routes.items()}
DESCRIBED = ROUTES | {PATH: METHODS}
EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "5"))
"""For each operation, well-formed and mutated."""
MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def the_document() -> dict[str, Any]:
    settings = read_settings(ApiSettings, {"DATABASE_URL": "postgresql://nowhere/sluice"})
    return create_app(settings).management.openapi()


def test_every_route_of_every_dialect_is_described() -> None:
    document = the_document()
    validate(document)
    for path, methods in DESCRIBED.items():
        described = document["paths"][path]
        assert set(described) == {method.lower() for method in methods} | {"options"}
        for operation in described.values():
            assert operation["tags"] and operation["summary"] and operation["responses"]


def test_a_dialect_that_does_not_describe_itself_is_described_by_its_routes() -> None:
    plain = SimpleNamespace(
        name="plain", routes={"/a": frozenset({"GET", "POST"}), "/b": frozenset({"POST"})}
    )
    described = describe_dialects([plain])  # type: ignore[list-item]
    document = the_document()
    validate(document | {"paths": described})
    assert {path: set(item) for path, item in described.items()} == {
        "/a": {"get", "post", "options"},
        "/b": {"post", "options"},
    }
    assert described["/b"]["post"]["tags"] == described["/b"]["options"]["tags"] == ["plain"]


def test_mutated_requests_are_answered_as_described(database_url: str, tmp_path: Path) -> None:
    schema = schemathesis.openapi.from_dict(the_document())
    tried = set()
    with running_collector(database_url, tmp_path) as collector:
        schema.config.update(base_url=collector.url)
        for result in schema.get_all_operations():
            operation = result.ok()
            if operation.path not in DESCRIBED:
                continue
            tried.add(operation.path)
            for mode in MODES if operation.method == "post" else MODES[:1]:
                _check(operation.as_strategy(generation_mode=mode))
        (counted,) = collector.query(
            "SELECT sum(events) FILTER (WHERE outcome = 'accepted')::int AS accepted,"
            " coalesce(sum(events) FILTER (WHERE outcome = 'duplicate'), 0)::int AS repeats,"
            " sum(events) FILTER (WHERE outcome NOT IN ('accepted', 'duplicate'))::int AS refused"
            " FROM ledger"
        )
        assert counted["accepted"] - counted["repeats"] == len(collector.rows()) > 0
        assert counted["refused"] > 0
    assert tried == set(DESCRIBED)


def _check(cases: SearchStrategy[schemathesis.Case]) -> None:
    @hypothesis.settings(max_examples=EXAMPLES, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(case=cases)
    def is_answered_as_described(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    is_answered_as_described()
