from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.signing import (
    KeyStatement,
    SigningKeyError,
    has_valid_signature,
    make_key,
    public_key_of,
    read_keys,
    replace_lost_keys,
)
from tests.conftest import NOON


class Note(msgspec.Struct):
    text: str
    signature: str = ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys") / "keys"
    make_key(folder, now=NOON)
    return folder


def public(statement: bytes) -> bytes:
    return public_key_of(msgspec.json.decode(statement, type=KeyStatement))


@given(text=st.text(), at=st.integers(0), change=st.integers(1, 255))
def test_a_signature_holds_for_the_very_bytes_and_no_others(
    folder: Path, text: str, at: int, change: int
) -> None:
    (key,) = read_keys(folder)
    body = key.sign(Note(text))
    assert msgspec.json.decode(body)["text"] == text
    assert has_valid_signature(body, public(key.statement))
    changed = bytearray(body)
    changed[at % len(body)] ^= change
    assert not has_valid_signature(bytes(changed), public(key.statement))


def test_a_text_that_looks_like_a_signature_is_none(folder: Path) -> None:
    (key,) = read_keys(folder)
    body = key.sign(Note('"signature": "AAAA"'))
    assert has_valid_signature(body, public(key.statement))
    assert not has_valid_signature(b"{}", public(key.statement))


def test_the_same_document_has_the_same_signature(folder: Path) -> None:
    (key,) = read_keys(folder)
    assert key.sign(Note("a")) == key.sign(Note("a"))


def test_each_key_is_announced_by_the_one_before_it(tmp_path: Path) -> None:
    first = make_key(tmp_path / "k", now=NOON)
    second = make_key(tmp_path / "k", now=NOON)
    assert [key.key_id for key in read_keys(tmp_path / "k")] == [first.key_id, second.key_id]
    assert has_valid_signature(first.statement, public(first.statement))
    assert has_valid_signature(second.statement, public(first.statement))
    assert not has_valid_signature(second.statement, public(second.statement))
    assert (tmp_path / "k" / "0001.pem").stat().st_mode & 0o077 == 0


def test_a_missing_or_broken_key_is_told(tmp_path: Path) -> None:
    assert read_keys(tmp_path / "none") == []
    make_key(tmp_path, now=NOON)
    make_key(tmp_path, now=NOON)
    (tmp_path / "0001.json").write_bytes((tmp_path / "0002.json").read_bytes())
    with pytest.raises(SigningKeyError, match="another key's"):
        read_keys(tmp_path)
    (tmp_path / "0001.pem").unlink()
    with pytest.raises(SigningKeyError, match="one is missing"):
        read_keys(tmp_path)
    (tmp_path / "0002.pem").write_text("nonsense")
    with pytest.raises(SigningKeyError, match="key 2 cannot be read"):
        read_keys(tmp_path)
    with pytest.raises(SigningKeyError, match="cannot hold keys"):
        make_key(tmp_path / "0002.pem" / "below", now=NOON)


def test_openssl_says_so_too(folder: Path, tmp_path: Path) -> None:
    (key,) = read_keys(folder)
    body = key.sign(Note("anybody can check it"))
    signature = msgspec.json.decode(body)["signature"]
    (tmp_path / "unsigned").write_bytes(body.replace(signature.encode(), b""))
    (tmp_path / "signature").write_bytes(base64.b64decode(signature))
    # The fixed head of an Ed25519 key in DER (RFC 8410), then its 32 bytes.
    der = bytes.fromhex("302a300506032b6570032100") + public(key.statement)
    (tmp_path / "key.der").write_bytes(der)
    done = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.der", "-keyform", "DER",
         "-rawin", "-in", "unsigned", "-sigfile", "signature"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_folder_with_the_newest_key_is_left_as_it_is(tmp_path: Path) -> None:
    announced = [make_key(tmp_path / "k", now=NOON).statement for _ in range(2)]
    make_key(tmp_path / "other", now=NOON)
    (tmp_path / "other" / "0001.pem").replace(tmp_path / "k" / "0001.pem")
    before = sorted(path.name for path in (tmp_path / "k").iterdir())
    with pytest.raises(SigningKeyError, match="none is lost"):
        replace_lost_keys(tmp_path / "k", announced, now=NOON)
    assert sorted(path.name for path in (tmp_path / "k").iterdir()) == before


def test_the_keys_that_the_settings_name_are_shown(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "exporter.keys"], env=os.environ | {"SIGNING_KEY_DIR": str(folder)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"1  {read_keys(folder)[0].key_id}\n"
