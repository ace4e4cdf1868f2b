from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector.acceptance import Policy
from api.collector.intake_of import intake_of
from api.collector.plan_in_force import PlanInForce
from api.collector.steps import hold_to_plan
from api.collector.tracking_plan import MAX_VIOLATION_CHARS, PlanBroken, TrackingPlan
from core.refusal import RefusalReason
from tests.conftest import ROOT, a_batch, an_event
from tests.unit.accepting import LIMITS, accept, read_row

EXAMPLE = ROOT / "docs" / "examples" / "tracking-plan"
PRIVATE = "jane.doe@mail.example"

PRODUCT = {
    "type": "object",
    "required": ["price"],
    "properties": {
        "price": {"type": "number", "minimum": 0},
        "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]+$"},
        "currency": {"enum": ["CHF", "EUR"]},
        "version": {"const": 2},
        "contact": {"type": "string", "format": "email", "maxLength": 60, "minLength": 5},
        "tags": {
            "type": "array", "items": {"type": "string"}, "uniqueItems": True, "maxItems": 3,
            "contains": {"const": "a"},
        },
        "Delivery Address": {"$ref": "shared/address.json"},
        "either": {"anyOf": [{"type": "integer"}, {"const": "x"}]},
        "one": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        "never": False,
        "not_text": {"not": {"type": "string"}},
        "scores": {"propertyNames": {"pattern": "^[a-z]{1,9}$"}},
        "few": {"maxProperties": 1, "minProperties": 1},
        "times": {"multipleOf": 5, "exclusiveMinimum": 0, "exclusiveMaximum": 100},
        "both": {"dependentRequired": {"a": ["b"]}},
    },
    "additionalProperties": False,
}  # fmt: skip
ADDRESS = {
    "type": "object",
    "properties": {"zip": {"type": "string", "maxLength": 5}, "country": {"$ref": "country.json"}},
    "unevaluatedProperties": False,
}


def a_plan(folder: Path, **files: Any) -> Path:
    """A folder with these files; text as it is, anything else as JSON. `__` stands for `/`."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        path = folder / (name.replace("__", "/") + ".json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return a_plan(
        tmp_path / "plan",
        product_view=PRODUCT,
        shared__address=ADDRESS,
        shared__country={"enum": ["CH", "LI"]},
        order={"x-event-type": "Order Completed", "required": ["total"]},
    )


@pytest.fixture
def plan(folder: Path) -> TrackingPlan:
    return TrackingPlan.load(folder)


# --- what a plan says --------------------------------------------------------------------------


def test_a_file_is_a_type_of_event_by_its_name_or_as_it_says(plan: TrackingPlan) -> None:
    assert set(plan.validators) == {"product_view", "Order Completed"}


def test_what_fits_and_what_the_plan_does_not_name_is_no_violation(plan: TrackingPlan) -> None:
    assert plan.check("product_view", {"price": 1.5, "Delivery Address": {"country": "CH"}}) is None
    assert plan.check("scroll", {"price": "x"}) is None


VIOLATIONS: list[tuple[dict[str, Any] | None, str]] = [
    (None, 'properties: "price" is a required property'),
    ({}, 'properties: "price" is a required property'),
    ({"price": PRIVATE}, 'price: value is not of type "number"'),
    ({"price": -1}, "price: value is less than the minimum of 0"),
    ({"price": 1, "sku": PRIVATE}, 'sku: value does not match "^[A-Z]{3}-[0-9]+$"'),
    ({"price": 1, "currency": PRIVATE}, 'currency: value is not one of "CHF" or "EUR"'),
    ({"price": 1, "version": PRIVATE}, "version: 2 was expected"),
    ({"price": 1, "contact": "secret-text"}, 'contact: value is not a "email"'),
    ({"price": 1, "tags": ["a", "b", {"n": PRIVATE}]}, 'tags[2]: value is not of type "string"'),
    (
        {"price": 1, "Delivery Address": {"zip": PRIVATE}},
        "Delivery Address.zip: value is longer than 5 characters",
    ),
    (
        {"price": 1, "Delivery Address": {"country": PRIVATE}},
        'Delivery Address.country: value is not one of "CH" or "LI"',
    ),
    ({"price": 1, "Delivery Address": {PRIVATE: 1}}, "Delivery Address: not in the plan: *"),
    ({"price": 1, PRIVATE: 1}, "properties: not in the plan: *"),
    ({"price": 1, "Jane Doe": 1}, "properties: not in the plan: *"),
    ({"price": 1, "number_4242424242": 1}, "properties: not in the plan: *"),
    ({"price": 1, "discount": 1}, "properties: not in the plan: discount"),
    (
        {"price": 1, "scores": {PRIVATE: 1}},
        "scores: a property's name is not one that the plan allows",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("properties", "said"), VIOLATIONS)
def test_a_violation_says_where_and_what_was_expected(
    plan: TrackingPlan, properties: dict[str, Any] | None, said: str
) -> None:
    violation = plan.check("product_view", properties)
    assert str(violation) == said
    assert violation is not None
    path, _, _ = said.partition(":")
    assert violation.field == (path if path == "properties" else f"properties.{path}")


@pytest.mark.parametrize("name", sorted(PRODUCT["properties"]))  # type: ignore[arg-type]
@pytest.mark.parametrize(
    "value",
    [
        PRIVATE,
        4242424242424242,
        -42424242.42,
        [PRIVATE] * 2,
        {PRIVATE: PRIVATE, "a": PRIVATE},
        None,
    ],
)
def test_no_violation_quotes_what_stands_there(plan: TrackingPlan, name: str, value: Any) -> None:
    violation = str(plan.check("product_view", {"price": 1, name: value}))
    assert "jane" not in violation
    assert "4242" not in violation
    assert len(violation) <= MAX_VIOLATION_CHARS


@given(
    st.dictionaries(
        st.text(max_size=9) | st.sampled_from(sorted(PRODUCT["properties"])),  # type: ignore[arg-type]
        st.recursive(
            st.none() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
            ),
        ),
    )
)
def test_checking_never_raises(properties: dict[str, Any]) -> None:
    plan = TrackingPlan.load(EXAMPLE)
    for event_type in ("add_to_cart", "Order Completed"):
        violation = plan.check(event_type, properties)
        assert violation is None or str(violation)


def test_what_no_json_can_say_is_a_violation(plan: TrackingPlan) -> None:
    violation = plan.check("product_view", {"price": 1, "sku": "\ud800"})
    assert str(violation) == "properties: cannot be checked"


def test_the_deepest_event_that_can_be_sent_is_checked(tmp_path: Path) -> None:
    node = {"anyOf": [{"type": "string"}, {"allOf": [{"properties": {"x": {"$ref": "#"}}}]}]}
    plan = TrackingPlan.load(a_plan(tmp_path, a=node))
    deep: Any = "bottom"
    for _ in range(1_000):
        deep = {"x": deep}
    assert plan.check("a", deep) is None


def test_a_violation_is_cut(tmp_path: Path) -> None:
    plan = TrackingPlan.load(a_plan(tmp_path, a={"properties": {"x": {"pattern": "a" * 900}}}))
    assert len(str(plan.check("a", {"x": "b"}))) == MAX_VIOLATION_CHARS


def test_the_example_in_the_docs_is_a_plan() -> None:
    plan = TrackingPlan.load(EXAMPLE)
    product = {"sku": "ABC-1", "price": 12.5}
    assert plan.check("add_to_cart", {"product": product, "quantity": 1}) is None
    violation = plan.check("add_to_cart", {"product": product | {"price": -1}, "quantity": 1})
    assert str(violation) == "product.price: value is less than the minimum of 0"
    order = {"orderId": "CH-123456", "total": 12.5, "currency": "CHF", "products": [product]}
    assert plan.check("Order Completed", order) is None


# --- a folder that holds none -------------------------------------------------------------------

BROKEN: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "Expecting property name"),
    "no UTF-8": ('{"title":"\ud800"}', "bad.json: "),
    "no object": ([1], "a schema is an object"),
    "another draft": (
        {"$schema": "http://json-schema.org/draft-07/schema#"}, "`$schema` must be https://json",
    ),
    "no such type": ({"properties": {"a": {"type": "strin"}}}, 'properties/a/type: "strin" is not'),
    "a bad pattern": ({"pattern": "("}, "pattern: "),
    "a file that is not there": ({"$ref": "shared/nope.json"}, "it is no file of the plan"),
    "a file outside": ({"$ref": "../secret.json"}, "it is no file of the plan"),
    "an address": ({"$ref": "http://127.0.0.1:9/schema.json"}, "nothing is fetched"),
    "a file's address": ({"$ref": "file:///etc/hostname"}, "nothing is fetched"),
    "a place that is not there": ({"$ref": "product_view.json#/$defs/nope"}, "does not exist"),
    "a type that is taken": ({"x-event-type": "product_view"}, "by another file too"),
    "a type that is none": ({"x-event-type": 7}, "must be the name of a type"),
    "too large": ('{"title":"' + "x" * 1_000_000 + '"}', "larger than 1,000,000 bytes"),
    "nested beyond reason": ("[" * 100_000, "bad.json: "),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plan_names_the_file_and_the_fault(folder: Path, name: str) -> None:
    content, fault = BROKEN[name]
    raw = content if isinstance(content, str) else json.dumps(content)
    (folder / "bad.json").write_bytes(raw.encode(errors="surrogatepass"))
    with pytest.raises(PlanBroken) as broken:
        TrackingPlan.load(folder)
    (problem,) = broken.value.problems
    assert problem.startswith(("bad.json: ", "product_view.json: "))
    assert fault in problem


def test_all_that_is_wrong_is_named_at_once(folder: Path) -> None:
    a_plan(folder, bad={"type": 1}, worse={"$ref": "nope.json"})
    with pytest.raises(PlanBroken) as broken:
        TrackingPlan.load(folder)
    assert [problem.partition(":")[0] for problem in broken.value.problems] == [
        "bad.json",
        "worse.json",
    ]


def test_an_empty_folder_and_none_at_all_are_no_plan(tmp_path: Path) -> None:
    with pytest.raises(PlanBroken, match=r"holds no \*\.json"):
        TrackingPlan.load(tmp_path)
    with pytest.raises(PlanBroken, match="is not a folder"):
        TrackingPlan.load(tmp_path / "nope")


# --- in force ------------------------------------------------------------------------------------


def in_force(folder: Path, **different: Any) -> PlanInForce:
    return PlanInForce(folder, **{"mode": "observe", "unknown_types": "allow"} | different)


def test_types_that_the_plan_does_not_name_are_allowed_or_not(folder: Path) -> None:
    assert in_force(folder).check("scroll", {}) is None
    violation = in_force(folder, unknown_types="violation").check("scroll", {})
    assert violation is not None
    assert (str(violation), violation.field) == (
        "eventType: not a type of event in the tracking plan",
        "eventType",
    )


def test_a_change_of_the_folder_is_followed(folder: Path) -> None:
    plan = in_force(folder)
    assert plan.check("product_view", {"price": 1}) is None
    a_plan(folder, product_view=PRODUCT | {"required": ["sku"]})
    plan.reload()
    assert str(plan.check("product_view", {"price": 1})) == (
        'properties: "sku" is a required property'
    )
    a_plan(folder, scroll={"required": ["depth"]})
    plan.reload()
    assert plan.check("scroll", {}) is not None
    (folder / "scroll.json").unlink()
    plan.reload()
    assert plan.check("scroll", {}) is None
    a_plan(folder, shared__country={"enum": ["FR"]})
    plan.reload()
    assert plan.check("product_view", {"price": 1, "Delivery Address": {"country": "CH"}})


def test_a_folder_that_stays_as_it_is_is_not_read_again(folder: Path) -> None:
    plan = in_force(folder)
    before = plan._plan
    plan.reload()
    assert plan._plan is before


def test_a_broken_plan_leaves_the_one_before_it_in_force(folder: Path) -> None:
    plan = in_force(folder)
    a_plan(folder, product_view="{")
    plan.reload()
    assert plan.problem is not None
    assert plan.problem.startswith("product_view.json: ")
    assert str(plan.check("product_view", {"price": -1})) == VIOLATIONS[3][1]
    plan.reload()
    assert plan.problem is not None
    a_plan(folder, product_view=PRODUCT)
    plan.reload()
    assert plan.problem is None


def test_a_folder_that_vanishes_leaves_its_plan_in_force(folder: Path) -> None:
    plan = in_force(folder)
    shutil.rmtree(folder)
    plan.reload()
    assert plan.problem is not None
    assert plan.check("product_view", {"price": -1}) is not None


def test_without_any_plan_everything_is_let_through_until_there_is_one(tmp_path: Path) -> None:
    plan = in_force(tmp_path / "plan", mode="enforce", unknown_types="violation")
    assert plan.problem is not None
    assert plan.check("product_view", {}) is None
    a_plan(tmp_path / "plan", product_view={"required": ["price"]})
    plan.reload()
    assert plan.problem is None
    assert plan.check("product_view", {}) is not None


async def test_the_folder_is_looked_at_again_and_again(folder: Path) -> None:
    plan = in_force(folder)
    looking = asyncio.create_task(plan.keep_up(look_seconds=0.01))
    try:
        for content in ("{", json.dumps({"required": ["sku"]})):
            a_plan(folder, product_view=content)
            async with asyncio.timeout(20):
                while (plan.problem is not None) != (content == "{"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
    finally:
        looking.cancel()
    assert str(plan.check("product_view", {})) == 'properties: "sku" is a required property'


# --- a step of acceptance -------------------------------------------------------------------------


def test_without_a_plan_there_is_no_such_step(folder: Path) -> None:
    with_plan = Policy(limits=LIMITS, plan=in_force(folder)).steps
    assert hold_to_plan in with_plan
    assert Policy(limits=LIMITS).steps == tuple(s for s in with_plan if s is not hold_to_plan)


def test_a_violation_is_marked_on_its_event_alone(folder: Path) -> None:
    events = [
        an_event(eventType="product_view", properties={"price": price}) for price in (1, -1, 2)
    ]
    acceptance = accept(a_batch(*events), plan=in_force(folder))
    found = [read_row(event.row).payload.get("planViolation") for event in acceptance.accepted]
    assert found == [None, VIOLATIONS[3][1], None]
    assert [event.violates_plan for event in acceptance.accepted] == [False, True, False]
    assert [read_row(e.row).payload["ip"] for e in acceptance.accepted] == ["203.0.113.0"] * 3
    (count,) = intake_of([acceptance]).counts.values()
    assert (count.events, count.plan_violations) == (3, 1)


def test_an_enforced_plan_refuses_and_keeps(folder: Path) -> None:
    event = an_event(eventType="product_view", properties={"price": -1})
    acceptance = accept(event, plan=in_force(folder, mode="enforce"))
    (refused,) = acceptance.refused
    assert (refused.reason, refused.field) == (RefusalReason.PLAN_VIOLATION, "properties.price")
    (letter,) = acceptance.letters
    assert (letter.reason, letter.field) == ("plan_violation", "properties.price")
