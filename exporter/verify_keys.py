"""The keys that sign a bucket's receipts, and whether each was vouched for by the one before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from core.keys import key_statement_key, key_statements_prefix, number_of_statement
from core.signing import KeyStatement, has_valid_signature, public_key_of
from exporter.finding import UNREADABLE, Finding, read_document
from exporter.sinks.sink import Bucket


@dataclass(slots=True)
class Keys:
    """The public keys of a bucket, and from which one on they are to be believed."""

    by_id: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    unvouched: list[int] = field(default_factory=list)
    """Numbers of those that the key before them did not sign."""
    first_trusted: int = 1


def check_keys(
    bucket: Bucket, prefix: str, trusted_key: str | None, keys: Keys
) -> Iterator[Finding]:
    """Read the statements in order; a key that begins anew is believed where it is trusted."""
    signer: tuple[str, bytes] | None = None
    number = 0
    for key in bucket.list_keys(key_statements_prefix(prefix)):
        named = number_of_statement(key)
        if named is None or key != key_statement_key(prefix, named):
            yield Finding(True, f"{key}: none of ours, and left alone")
            continue
        number += 1
        try:
            body = read_document(bucket, key) or b""
            statement = msgspec.json.decode(body, type=KeyStatement)
            public = public_key_of(statement)
        except UNREADABLE as exc:
            yield Finding(False, f"{key}: no key can be read there: {exc}")
            return
        if not statement.number == number == named:
            yield Finding(False, f"{key}: key {number} is missing")
            return
        if statement.key_id in keys.by_id:
            yield Finding(False, f"{key}: the key stands there a second time")
            return
        signed_by, signing = signer or (statement.key_id, public)
        if statement.signed_by == statement.key_id:
            signed_by, signing = statement.key_id, public
            if signer is not None:
                keys.unvouched.append(number)
        if statement.signed_by != signed_by or not has_valid_signature(body, signing):
            yield Finding(False, f"{key}: not signed by the key before it")
            return
        signer = (statement.key_id, public)
        keys.by_id[statement.key_id] = (number, public)
        yield Finding(True, f"key {number}, {statement.key_id}")
    if not keys.by_id:
        yield Finding(False, f"{key_statements_prefix(prefix)}: no key stands there")
    yield from _trust(trusted_key, keys)


def _trust(trusted_key: str | None, keys: Keys) -> Iterator[Finding]:
    if trusted_key is not None:
        if trusted_key not in keys.by_id:
            yield Finding(False, f"the trusted key {trusted_key} is none of those in the bucket")
            return
        keys.first_trusted = keys.by_id[trusted_key][0]
    for number in keys.unvouched:
        what = f"key {number} was not vouched for by the key before it"
        if trusted_key is not None and number <= keys.first_trusted:
            yield Finding(True, f"{what}; it is, by the trusted key")
        else:
            what += ": the keys before it were lost, or somebody else put it there."
            what += " Ask whose it is, not in the bucket; then trust it with --key"
            yield Finding(False, what)
