"""The pixel: one event in a query string, for mails and pages without script.

`GET /pixel.gif` always answers with the same transparent picture, since a broken one would be
seen. So the picture is no acknowledgement; the header `Sluice-Result` says what became of the
event. `POST` takes the parameters from a form or a link's `ping` too, and leaves the page alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from api.collector.answer import encode_failure
from api.collector.decode import COLUMN_BY_NAME, event_from_fields
from api.collector.dialects.dialect import DecodedBody, Headers, IntakeRequest, Reply
from api.collector.json_text import load_json
from core.event import COLUMNS, MAX_URL_CHARS, ColumnType
from core.refusal import RefusalReason, Refused

if TYPE_CHECKING:
    from api.collector.acceptance import Acceptance, Limits

PIXEL: Final = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
"""A transparent GIF, 1×1, 43 bytes."""

DEFAULT_EVENT_TYPE: Final = "pixel_view"
"""Not `page_view`: all that a pixel knows is that it was shown, in a mail as on a page."""

SHORT_NAMES: Final = {
    "e": "event_type",
    "id": "event_id",
    "s": "site_id",
    "u": "url",
    "r": "referrer",
    "t": "title",
    "v": "visitor_id",
    "sid": "session_id",
    "uid": "user_id",
    "ts": "occurred_at",
    "p": "properties",
}
"""Parameters that keep a pixel's address short, beside every name of the contract."""

_MAX_PARAMETERS: Final = 200
_MAX_QUERY_BYTES: Final = 65_536
_COLUMN_BY_PARAMETER: Final = COLUMN_BY_NAME | SHORT_NAMES
_INTEGERS: Final = frozenset(c.name for c in COLUMNS if c.type is ColumnType.INT32)
_TIMES: Final = frozenset(c.name for c in COLUMNS if c.type is ColumnType.TIMESTAMP)
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")

_FORM: Final = b"application/x-www-form-urlencoded"
_HEADERS: Final = ((b"cross-origin-resource-policy", b"cross-origin"),)

_QUERY: Final[list[dict[str, Any]]] = [
    {"name": name, "in": "query", "description": f"`{column}`", "schema": {"type": "string"}}
    for name, column in SHORT_NAMES.items()
]
_PICTURE: Final = {
    "200": {
        "description": "The picture, whatever became of the event: see `Sluice-Result`.",
        "content": {"image/gif": {}},
    }
}


def _operation(summary: str, **more: Any) -> dict[str, Any]:
    return {"tags": ["pixel"], "summary": summary, "parameters": _QUERY} | more


_OPENAPI: Final = {
    "/pixel.gif": {
        "get": _operation("Take in one event from a query string", responses=_PICTURE),
        "head": _operation("The same, without the picture", responses=_PICTURE),
        "post": _operation(
            "Take in one event from a form or a link's ping",
            requestBody={"content": {_FORM.decode(): {"schema": {"type": "object"}}}},
            responses={"204": {"description": "The page stays as it is."}},
        ),
    }
}


class PixelDialect:
    """`/pixel.gif`."""

    name = "pixel"
    routes: Mapping[str, frozenset[str]] = {"/pixel.gif": frozenset({"GET", "HEAD", "POST"})}
    # Where there is no script, nobody keeps a visitor's id.
    cookieless = True
    openapi: Mapping[str, Any] = _OPENAPI

    def decode(self, request: IntakeRequest, *, limits: Limits) -> DecodedBody | Refused:  # noqa: ARG002
        """One event from the parameters; what the contract does not know becomes a property."""
        try:
            parameters = _read_parameters(request)
        except ValueError:
            return Refused(
                RefusalReason.TOO_LARGE,
                f"more than {_MAX_PARAMETERS} parameters, or {_MAX_QUERY_BYTES:,} bytes of them",
            )
        fields = _fields_of(parameters)
        if isinstance(fields, Refused):
            return DecodedBody([fields])
        fields.setdefault("event_type", DEFAULT_EVENT_TYPE)
        if "url" not in fields and (page := _referring_page(request.headers)):
            fields["url"] = page
        return DecodedBody([event_from_fields(fields)])

    def reply(self, request: IntakeRequest, acceptance: Acceptance) -> Reply:
        """The picture, and in a header what became of the event."""
        if not acceptance.refused:
            return _answer(request, b"accepted")
        refused = acceptance.refused[0]
        result = f"refused; reason={refused.reason}"
        if refused.field and _is_token(refused.field):
            result += f"; field={refused.field}"
        return _answer(request, result.encode())

    def fail(self, request: IntakeRequest, status: int, reason: str, message: str) -> Reply:
        """The picture too, unless it was asked for in a way that no picture is."""
        if status == 405:
            return Reply(status, encode_failure(reason, message))
        return _answer(request, b"not stored; reason=" + reason.encode())


def _answer(request: IntakeRequest, result: bytes) -> Reply:
    headers = ((b"sluice-result", result), *_HEADERS)
    if request.method == "POST":
        return Reply(204, b"", headers=headers)  # after a form, a browser stays where it is
    return Reply(200, PIXEL, b"image/gif", headers)


def _is_token(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def _read_parameters(request: IntakeRequest) -> list[tuple[str, str]]:
    """Of the query, and of a form's body; raises ValueError when there are too many.

    What is not UTF-8 is replaced, a broken percent-encoding stays as it is.
    """
    query = request.query
    if request.method == "POST" and request.headers.get(b"content-type", b"").startswith(_FORM):
        query = b"&".join(part for part in (query, request.body.strip()) if part)
    if len(query) > _MAX_QUERY_BYTES:
        raise ValueError
    return parse_qsl(
        query.decode(errors="replace"),
        keep_blank_values=True,
        errors="replace",
        max_num_fields=_MAX_PARAMETERS,
    )


def _fields_of(parameters: Iterable[tuple[str, str]]) -> dict[str, Any] | Refused:
    """Fields by column; the first that is not empty counts, as in a mail's unfilled template."""
    fields: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    for written, text in parameters:
        name = written.removeprefix("amp;")  # escaped once too often, as in many a mail
        column = _COLUMN_BY_PARAMETER.get(name)
        if column is None:
            _add_property(properties, name, text)
        elif column == "properties" and text:
            try:
                value = load_json(text.encode())
            except (ValueError, RecursionError):
                value = None
            if not isinstance(value, dict):
                return Refused(
                    RefusalReason.INVALID_JSON, "expected an object as JSON", field="properties"
                )
            fields["properties"] = value | fields.get("properties", {})
        elif text:
            fields.setdefault(column, _parse(column, text))
    if properties:
        fields["properties"] = properties | fields.get("properties", {})
    return fields


def _add_property(properties: dict[str, Any], name: str, text: str) -> None:
    """Once it is a text, repeated a list of them."""
    if name not in properties:
        properties[name] = text
    elif isinstance(properties[name], list):
        properties[name].append(text)
    else:
        properties[name] = [properties[name], text]


def _parse(column: str, text: str) -> str | int | float:
    """What the text means in its column; as it is when it means nothing, to be refused there."""
    if column in _INTEGERS:
        return int(text) if _INTEGER.fullmatch(text) else text
    if column in _TIMES:
        if _NUMBER.fullmatch(text):
            return float(text) if "." in text else int(text)
        # In a query an offset's plus sign means a space.
        clock, space, offset = text.rpartition(" ")
        return f"{clock}+{offset}" if space and ":" in clock else text
    return text


def _referring_page(headers: Headers) -> str | None:
    """The page that shows the picture, where the browser tells; cut it would be another page."""
    page = headers.get(b"referer", b"").decode("latin-1")
    return page if page.startswith(("http://", "https://")) and len(page) <= MAX_URL_CHARS else None
