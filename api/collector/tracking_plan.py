"""A client's tracking plan: what the properties of each type of event have to be like.

A folder of JSON Schemas (draft 2020-12), one for a type of event. Nothing but that folder is ever
read: a `$ref` that leads out of it makes the plan broken, and is not followed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from urllib.parse import quote

from jsonschema_rs import Draft202012Validator, ValidationError, ValidationErrorKind, meta

MAX_FILES: Final = 2_000
MAX_FILE_BYTES: Final = 1_000_000
MAX_VIOLATION_CHARS: Final = 500

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_BASE: Final = "plan:///"
_TYPE_NAME: Final = "x-event-type"
# What may be shown of a name that stands in no plan: it may be a person's name or number.
_PLAIN_NAME: Final = re.compile(r"(?!.*\d{6})[^\W\d][\w$-]{0,63}")


class PlanBroken(Exception):
    """The folder holds no plan that could be followed; the message names each file and fault."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class Violation(NamedTuple):
    """What of an event contradicts the plan; never what stands there instead."""

    path: str
    """Below `properties`; "" for the properties as a whole."""
    message: str
    field: str
    """The path as an answer names a field."""

    def __str__(self) -> str:
        return f"{self.path or self.field}: {self.message}"[:MAX_VIOLATION_CHARS]


@dataclass(frozen=True, slots=True)
class TrackingPlan:
    """The compiled schemas, by type of event."""

    validators: Mapping[str, Draft202012Validator]
    names: frozenset[str] = frozenset()
    """Of the properties that the plan knows: what may be shown of an event."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read and compile every schema; raises PlanBroken naming all that is wrong.

        `*.json` in the folder are types of events, each called as its file or as its
        `x-event-type`; what lies in folders below is there to be referred to.
        """
        documents = _read_documents(folder)
        validators: dict[str, Draft202012Validator] = {}
        problems = []
        names = sorted(name for name in documents if "/" not in name)
        if not names:
            raise PlanBroken([f"{folder} holds no *.json"])
        for name in names:
            try:
                event_type = _event_type(name, documents[name])
                if event_type in validators:
                    raise ValueError(f"{event_type!r} is described by another file too")
                validators[event_type] = _compile(name, documents)
            except ValidationError as exc:
                at = "/".join(map(str, exc.instance_path))
                problems.append(f"{name}: {at}{': ' * bool(at)}{exc.message[:MAX_VIOLATION_CHARS]}")
            except ValueError as exc:
                problems.append(f"{name}: {exc}")
        if problems:
            raise PlanBroken(problems)
        return cls(validators, frozenset(_property_names(documents)))

    def check(self, event_type: str, properties: dict[str, Any] | None) -> Violation | None:
        """The first violation; None for what fits, and for a type that the plan does not name."""
        validator = self.validators.get(event_type)
        if validator is None:
            return None
        try:
            validator.validate(properties or {})
        except ValidationError as exc:
            return self._violation(exc)
        except ValueError:
            # What no JSON can say, and so no event that was sent.
            return Violation("", "cannot be checked", "properties")
        return None

    def _violation(self, error: ValidationError) -> Violation:
        path = "".join(
            f"[{step}]" if isinstance(step, int) else f".{self._shown(step)}"
            for step in error.instance_path
        ).removeprefix(".")
        field = f"properties.{path}" if path else "properties"
        return Violation(path, self._message(error)[:MAX_VIOLATION_CHARS], field)

    def _message(self, error: ValidationError) -> str:
        """The validator's own words, which show the plan's values and mask the event's.

        But names of properties are the client's too, and may be anything.
        """
        if "propertyNames" in error.schema_path:
            return "a property's name is not one that the plan allows"
        match error.kind:
            case (
                ValidationErrorKind.AdditionalProperties(unexpected=names)
                | ValidationErrorKind.UnevaluatedProperties(unexpected=names)
            ):
                shown = ", ".join(map(self._shown, names[:5]))
                return f"not in the plan: {shown}" + (" …" if len(names) > 5 else "")
            case _:
                return error.message

    def _shown(self, name: str) -> str:
        return name if name in self.names or _PLAIN_NAME.fullmatch(name) else "*"


def _read_documents(folder: Path) -> dict[str, Any]:
    """Every JSON file below the folder, by its path from there."""
    if not folder.is_dir():
        raise PlanBroken([f"{folder} is not a folder"])
    documents: dict[str, Any] = {}
    problems = []
    for path in plan_files(folder):
        name = path.relative_to(folder).as_posix()
        try:
            documents[name] = _read_document(path)
        except (OSError, ValueError, RecursionError) as exc:
            problems.append(f"{name}: {exc}")
    if problems:
        raise PlanBroken(problems)
    return documents


def plan_files(folder: Path) -> list[Path]:
    """The files of a plan, sorted; raises PlanBroken when there are too many to be one."""
    files = sorted(folder.rglob("*.json"))
    if len(files) > MAX_FILES:
        raise PlanBroken([f"{len(files):,} files; a plan has {MAX_FILES:,} at most"])
    return files


def _read_document(path: Path) -> Any:
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES:,} bytes")
    document = json.loads(content)
    if not isinstance(document, dict):
        raise ValueError("a schema is an object")  # noqa: TRY004 - one kind for all that is wrong
    draft = document.get("$schema", _DRAFT)
    if not isinstance(draft, str) or draft.rstrip("#") != _DRAFT:
        raise ValueError(f"`$schema` must be {_DRAFT}, or left out")
    return document


def _event_type(name: str, document: dict[str, Any]) -> str:
    event_type = document.get(_TYPE_NAME, name.removesuffix(".json"))
    if not isinstance(event_type, str) or not event_type:
        raise ValueError(f"`{_TYPE_NAME}` must be the name of a type of event")
    return event_type


def _compile(name: str, documents: Mapping[str, Any]) -> Draft202012Validator:
    meta.validate(documents[name])  # first, since what the compiler says is masked
    by_uri = {_uri(other): document for other, document in documents.items()}
    by_uri |= {d["$id"]: d for d in documents.values() if isinstance(d.get("$id"), str)}

    def find(uri: str) -> Any:
        if uri not in by_uri:
            raise LookupError("it is no file of the plan, and nothing is fetched")
        return by_uri[uri]

    return Draft202012Validator(
        documents[name],
        base_uri=_uri(name),
        retriever=find,
        validate_formats=True,
        mask="value",
    )


def _uri(name: str) -> str:
    return _BASE + quote(name)


def _property_names(node: Any) -> Iterator[str]:
    """The names in every `properties` of some schemas."""
    pending = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            described = node.get("properties")
            if isinstance(described, dict):
                yield from described
            pending += node.values()
        elif isinstance(node, list):
            pending += node
