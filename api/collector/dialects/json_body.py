"""A JSON body of one event, of many, or of many in a wrapper, under whatever names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api.collector.decode import Rename, decode_body
from api.collector.dialects.dialect import DecodedBody, Headers, IntakeRequest
from api.collector.write_keys import find_write_key
from core.refusal import RefusalReason, Refused

if TYPE_CHECKING:
    from api.collector.acceptance import Limits

# A beacon made of a string is text/plain, and `curl --data` says it sends a form.
_READ_TYPES: Final = frozenset(
    {b"", b"application/json", b"text/plain", b"application/x-www-form-urlencoded"}
)


def decode_json(
    request: IntakeRequest, *, limits: Limits, rename: Rename | None = None
) -> DecodedBody | Refused:
    """The events of a JSON body, whatever it is called; never raises.

    `rename` gives the wrapper's fields and each event's the names of the contract; without it
    they have those, or their aliases, already.
    """
    if not _is_read(request.headers):
        return Refused(
            RefusalReason.UNSUPPORTED_TYPE,
            "send JSON as application/json or text/plain",
            field="Content-Type",
        )
    decoded = decode_body(
        request.body,
        max_events=limits.max_batch_events,
        max_shared_bytes=limits.max_event_bytes,
        rename=rename,
    )
    if isinstance(decoded, Refused):
        return decoded
    return DecodedBody(decoded, write_key=find_write_key(request.headers, request.query))


def _is_read(headers: Headers) -> bool:
    content_type = headers.get(b"content-type", b"")
    return (
        content_type in _READ_TYPES
        or content_type.partition(b";")[0].strip().lower() in _READ_TYPES
    )


def has_type(fields: dict[str, Any]) -> bool:
    """Whether an event says what it is, by the contract's name or its column's."""
    return fields.get("eventType") is not None or fields.get("event_type") is not None
