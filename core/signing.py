"""Ed25519 signatures on JSON documents, and the keys that make them.

A stack's keys stand in a folder, numbered; the last one signs. Each is announced by a statement
that the key before it signed, the first by one of its own: who trusts the first key, or any later
one, can follow from there. Where keys were lost for ever the next one is announced by itself, in
the open: nobody can follow from those before it, and who reads has to be told to trust it. Of the
lost ones the statements are kept.

A signature is over the document's bytes with the signature's own text left out, so that anybody can
check it without knowing the document's fields.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from msgspec import Struct, structs

from core.manifest import Aware, encode_json

KEY_FORMAT: Final = "sluice-key/1"
_SIGNATURE: Final = re.compile(rb'("signature": ")([A-Za-z0-9+/=]*)(")')
_KEY_FILE: Final = re.compile(r"(\d{4})\.pem")
_ID_CHARS: Final = 16

Signed = TypeVar("Signed", bound=Struct)


class SigningKeyError(Exception):
    """The keys cannot be used; the message says what to do."""


class KeyStatement(Struct, frozen=True, kw_only=True):
    """Announces a public key."""

    format: Literal["sluice-key/1"] = KEY_FORMAT
    number: int
    """1 for a stack's first key."""
    key_id: str
    """The first 16 hexadecimal digits of the public key's SHA-256."""
    public_key: str
    """Its 32 bytes in base64."""
    made_at: Aware
    signed_by: str
    """Id of the key before it; its own for the first, and for one that replaces lost ones."""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One of a stack's keys."""

    number: int
    public: bytes
    private: Ed25519PrivateKey | None
    """None of one that is lost, and was replaced."""
    statement: bytes
    """As it stands in the bucket."""

    @property
    def key_id(self) -> str:
        """What a signature names it by."""
        return key_id_of(self.public)

    def sign(self, document: Signed) -> bytes:
        """A document with a field `signature`, as readable JSON, signed. Raises SigningKeyError."""
        if self.private is None:
            raise SigningKeyError(f"Key {self.number} is lost: it cannot sign.")
        return _sign(document, self.private)

    def __repr__(self) -> str:
        return f"<SigningKey {self.number} {self.key_id}>"


def has_valid_signature(body: bytes, public_key: bytes) -> bool:
    """Whether the holder of a key signed these very bytes."""
    found = list(_SIGNATURE.finditer(body))
    if not found:
        return False
    last = found[-1]  # the field is the last one of its document
    unsigned = body[: last.start(2)] + body[last.end(2) :]
    try:
        signature = b64decode(last[2], validate=True)
        if b64encode(signature) != last[2]:
            return False  # the same bits, spelled otherwise: the document's digest would differ
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, unsigned)
    except (InvalidSignature, ValueError):
        return False
    return True


def key_id_of(public_key: bytes) -> str:
    """What a public key of 32 bytes is called."""
    return sha256(public_key).hexdigest()[:_ID_CHARS]


def public_key_of(statement: KeyStatement) -> bytes:
    """The key that a statement announces; raises ValueError when it is none, or another's."""
    public = b64decode(statement.public_key, validate=True)
    if len(public) != 32 or key_id_of(public) != statement.key_id:
        raise ValueError("the key is not the one that its id names")
    return public


def read_keys(folder: Path) -> list[SigningKey]:
    """A stack's keys, oldest first; none where there is no folder. Raises SigningKeyError."""
    numbers = _numbers_in(folder)
    newest = max(numbers, default=0)
    keys = [_read_key(folder, n, is_lost=n not in numbers) for n in range(1, newest + 1)]
    begun = max((k.number for k in keys if _begins(k)), default=1)
    missing = [key.number for key in keys[begun - 1 :] if key.private is None]
    if missing:
        raise SigningKeyError(
            f"{folder} holds the keys {sorted(numbers)}: one is missing. Put it back from its"
            " backup."
        )
    return keys


def make_key(folder: Path, *, now: datetime) -> SigningKey:
    """Make a stack's next key, which signs from then on. Raises SigningKeyError."""
    known = read_keys(folder)
    return _make(folder, len(known) + 1, signer=known[-1] if known else None, now=now)


def replace_lost_keys(folder: Path, announced: Sequence[bytes], *, now: datetime) -> SigningKey:
    """Go on without the keys that a bucket knows by these statements: the next vouches for itself.

    In order: keys that the bucket does not know are set aside, the statements of those that it
    knows are kept, the new key is made. Whatever a crash leaves, it can be done again. Raises
    SigningKeyError, also when the newest key is here.
    """
    public = []
    for number, body in enumerate(announced, start=1):
        try:
            statement = msgspec.json.decode(body, type=KeyStatement)
            public.append(public_key_of(statement))
        except (msgspec.MsgspecError, ValueError) as exc:
            raise SigningKeyError(f"The bucket's key {number} cannot be read: {exc}") from exc
        if statement.number != number:
            raise SigningKeyError(f"The bucket's key {number} is missing.")
    if not public:
        raise SigningKeyError("The bucket knows no key: none is lost. Start the exporter.")
    try:
        here = {n: _raw(_read_private(folder, n).public_key()) for n in sorted(_numbers_in(folder))}
        if public[-1] in here.values():
            raise SigningKeyError("The bucket's newest key is here: none is lost. Use --new.")
        for number, found in ((number, key_id_of(raw)) for number, raw in here.items()):
            if number > len(public) or found != key_id_of(public[number - 1]):
                path = folder / f"{number:04d}.pem"
                path.rename(path.with_suffix(f".{found}.unused"))
        for number, body in enumerate(announced, start=1):
            path = folder / f"{number:04d}.json"
            path.unlink(missing_ok=True)
            _make_folder(folder)
            _write(path, body, mode=0o644)
    except OSError as exc:
        raise SigningKeyError(f"{folder} cannot hold keys: {exc.strerror}.") from exc
    return _make(folder, len(public) + 1, signer=None, now=now)


def _make(folder: Path, number: int, *, signer: SigningKey | None, now: datetime) -> SigningKey:
    private = Ed25519PrivateKey.generate()
    public = _raw(private.public_key())
    statement = KeyStatement(
        number=number,
        key_id=key_id_of(public),
        public_key=b64encode(public).decode(),
        made_at=now,
        signed_by=signer.key_id if signer else key_id_of(public),
    )
    body = signer.sign(statement) if signer else _sign(statement, private)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        _make_folder(folder)
        # A statement without its key is made anew the next time; a key has one always.
        (folder / f"{number:04d}.json").unlink(missing_ok=True)
        _write(folder / f"{number:04d}.json", body, mode=0o644)
        _write(folder / f"{number:04d}.pem", pem, mode=0o600)
    except OSError as exc:
        raise SigningKeyError(f"{folder} cannot hold keys: {exc.strerror}.") from exc
    return SigningKey(number, public, private, body)


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _numbers_in(folder: Path) -> set[int]:
    found = (_KEY_FILE.fullmatch(path.name) for path in folder.glob("*.pem"))
    return {int(match[1]) for match in found if match}


def _begins(key: SigningKey) -> bool:
    """Whether a key vouches for itself."""
    return msgspec.json.decode(key.statement, type=KeyStatement).signed_by == key.key_id


def _read_key(folder: Path, number: int, *, is_lost: bool) -> SigningKey:
    private = None if is_lost else _read_private(folder, number)
    try:
        body = (folder / f"{number:04d}.json").read_bytes()
        statement = msgspec.json.decode(body, type=KeyStatement)
        public = public_key_of(statement)
    except FileNotFoundError as exc:
        what = f"{folder}: key {number} is missing. Put it back from its backup."
        raise SigningKeyError(what) from exc
    except (OSError, ValueError, msgspec.MsgspecError) as exc:
        raise SigningKeyError(f"{folder}: key {number} cannot be read: {exc}") from exc
    if private is not None and public != _raw(private.public_key()):
        raise SigningKeyError(f"{folder}: {number:04d}.json is another key's statement.")
    return SigningKey(number, public, private, body)


def _read_private(folder: Path, number: int) -> Ed25519PrivateKey:
    try:
        private = load_pem_private_key((folder / f"{number:04d}.pem").read_bytes(), password=None)
    except (OSError, ValueError) as exc:
        raise SigningKeyError(f"{folder}: key {number} cannot be read: {exc}") from exc
    if not isinstance(private, Ed25519PrivateKey):
        raise SigningKeyError(f"{folder}: key {number} is no Ed25519 key.")
    return private


def _sign(document: Signed, private: Ed25519PrivateKey) -> bytes:
    unsigned = encode_json(structs.replace(document, signature=""))
    signature = b64encode(private.sign(unsigned)).decode()
    return encode_json(structs.replace(document, signature=signature))


def _raw(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _write(path: Path, body: bytes, *, mode: int) -> None:
    """The whole of it under its name, on the disk, or nothing; raises FileExistsError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(body)
            stream.flush()
            os.fsync(descriptor)
        os.link(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    for folder in (path.parent, path.parent.parent):
        entry = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)
