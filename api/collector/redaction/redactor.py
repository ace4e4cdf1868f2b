"""The redactor: what a process builds once from its settings, and asks for every request."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from api.collector.redaction.allow import AllowList
from api.collector.redaction.detector import Detector
from api.collector.redaction.phones import load_numbering_plans
from api.collector.redaction.prefilter import make_prefilter
from api.collector.redaction.text import encode_text, is_plain, redact_suspect
from api.collector.redaction.tree import TreeRules, redact_tree
from core.event import Event

# An id that is changed joins nothing any more, and makes two events one; a site is whom to bill.
_UNTOUCHED: Final = frozenset({"event_id", "site_id", "consent"})
_IDS: Final = frozenset({"session_id", "visitor_id"})
_ONLY_EMAIL: Final = frozenset({Detector.EMAIL})
_TEXT_FIELDS: Final = tuple(
    (field.name, frozenset({field.name, field.encode_name}))
    for field in msgspec.structs.fields(Event)
    if field.name not in _UNTOUCHED | {"properties", "occurred_at", "sent_at"}
)
"""Fields that may be texts, with the names that an allow-list may call them by."""

_NOTHING: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})
_MAX_NESTING: Final = 5
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class Redactor:
    """Replaces personal and secret values by typed marks; holds no state between calls."""

    def __init__(
        self, detectors: frozenset[Detector], *, allow: Mapping[str, frozenset[str]] = _NOTHING
    ) -> None:
        """`allow`: field names or dotted paths, by site pattern, whose values are left alone."""
        self._detectors = detectors
        self._allow = AllowList(allow)
        self._suspects = make_prefilter(detectors)
        if Detector.PHONE in detectors:
            load_numbering_plans()

    def suspects(self, data: bytes) -> bool:
        """Whether JSON, or any text, may hold something; False means that nothing is found."""
        return self._suspects(data)

    def redact_event(self, event: Event, *, site_id: str) -> int:
        """Redact an event in place; returns how many values were replaced.

        `event_id`, `site_id` and `consent` are never touched; `session_id` and `visitor_id` lose
        an e-mail address, and keep everything else.
        """
        if not self._event_is_suspect(event):
            return 0
        rules = self._rules(site_id)
        count = 0
        for name, text in self._suspect_fields(event, rules.allowed):
            redacted, found = self._redact_field(name, text, rules)
            if found:
                setattr(event, name, redacted)
                count += found
        if event.properties:
            event.properties, found = redact_tree(event.properties, rules, name="properties")
            count += found
        return count

    def redact_value(self, value: Any, *, site_id: str = "") -> tuple[Any, int]:
        """A JSON tree with what was found replaced, and how many values were."""
        return redact_tree(value, self._rules(site_id))

    def redact_text(self, text: str) -> tuple[str, int]:
        """Redact text that may be JSON, a query string, broken JSON or anything else."""
        return self._redact_string(text, self._rules(""), nesting=0)

    def _event_is_suspect(self, event: Event) -> bool:
        try:
            return self.suspects(_encode(event))
        except (UnicodeEncodeError, RecursionError):
            return True

    def _suspect_fields(self, event: Event, allowed: frozenset[str]) -> list[tuple[str, str]]:
        """The event's texts that may hold something; none of them, when all together do not."""
        texts = [
            (name, text)
            for name, names in _TEXT_FIELDS
            if isinstance(text := getattr(event, name), str)
            and not is_plain(text)
            and allowed.isdisjoint(names)
        ]
        together = "\n".join(text for _, text in texts)
        return texts if self.suspects(encode_text(together)) else []

    def _rules(self, site_id: str) -> TreeRules:
        rules = TreeRules(
            self._detectors,
            self._allow.for_site(site_id),
            lambda text, nesting: self._redact_string(text, rules, nesting=nesting),
        )
        return rules

    def _redact_field(self, name: str, text: str, rules: TreeRules) -> tuple[str, int]:
        if name not in _IDS:
            return self._redact_string(text, rules, nesting=0)
        if not self.suspects(encode_text(text)):
            return text, 0
        return redact_suspect(text, self._detectors & _ONLY_EMAIL, suspects=self.suspects)

    def _redact_string(self, text: str, rules: TreeRules, *, nesting: int) -> tuple[str, int]:
        if is_plain(text) or not self.suspects(encode_text(text)):
            return text, 0
        count = 0
        if nesting < _MAX_NESTING and _may_be_json(text):
            try:
                value = _decode(text)
            except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
                pass  # cut or broken: read as text
            else:
                value, count = redact_tree(value, rules, nesting=nesting + 1)
                text = _encode(value).decode() if count else text
                if rules.allowed:
                    return text, count  # as text, it would not know which fields are allowed
        text, found = redact_suspect(text, self._detectors, suspects=self.suspects)
        return text, count + found


def _may_be_json(text: str) -> bool:
    return (text[0] in '{["' or text[0].isspace()) and (text[-1] in '}]"' or text[-1].isspace())
