"""What a Segment call says and the contract has no field for: kept among its properties."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from api.collector.dialects.segment_context import says_something

_READ: Final = frozenset(
    {
        *("type", "messageId", "anonymousId", "userId", "groupId", "sentAt"),
        *("channel", "context", "properties", "integrations"),
        "writeKey",  # a credential
        "_metadata",  # of the SDK's delivery: its retries, which destinations it bundles
    }
)
_EVERYWHERE: Final = {"All": True}


def keep_rest(
    message: dict[str, Any],
    kind: str,
    own_time: str,
    *,
    context: dict[str, Any],
    integrations: object,
    into: dict[str, Any],
) -> None:
    """Put what stands at the call's top, and what is left of its context, among its properties."""
    if kind == "identify":
        _gather_traits(message, context, into)
    placed = _placed(kind, own_time)
    for name, value in message.items():
        if name not in placed and says_something(value):
            _put(into, name, value)
    if integrations and integrations != _EVERYWHERE:
        _put(into, "integrations", integrations)
    if context:
        _put(into, "context", context)


@cache
def _placed(kind: str, own_time: str) -> frozenset[str]:
    """What of a call has found its place by the time the rest is kept."""
    return _READ | {own_time} | ({"event"} if kind == "track" else set())


def _put(properties: dict[str, Any], name: str, value: object) -> None:
    """Keep a value under its name; the application's own property of that name stays."""
    while name in properties:
        if _same(properties[name], value):
            return
        name = "_" + name
    properties[name] = value


def _gather_traits(
    message: dict[str, Any], context: dict[str, Any], properties: dict[str, Any]
) -> None:
    """RudderStack's SDKs tell an identify call's traits in its context, some in both places."""
    traits = message.get("traits")
    if "traits" in context and (not traits or _same(traits, context["traits"])):
        _put(properties, "traits", context.pop("traits"))


def _same(one: object, other: object) -> bool:
    """Whether both say the same; what is nested too deep to be compared is refused later."""
    try:
        return one == other
    except RecursionError:
        return False
