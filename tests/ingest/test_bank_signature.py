"""Signatures of banks, and keys that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ingest.bank_signature import BadKey, BankSigner, BankVerifier, NotSigned
from tests.ingest.bank_keys import key_files

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "ab" * 32


def test_a_signature_is_of_one_bank_by_one_key(tmp_path: Path) -> None:
    """Any of the keys will do; another bank, another key, and a changed signature will not."""
    ours, others = key_files(tmp_path, "ours"), key_files(tmp_path, "others")
    signature = BankSigner.open(ours.private).signature(VERSION)
    BankVerifier.open([others.public, ours.public]).check(VERSION, signature)
    for verifier, version, signed in (
        (BankVerifier.open([others.public]), VERSION, signature),
        (BankVerifier.open([ours.public]), "cd" * 32, signature),
        (BankVerifier.open([ours.public]), VERSION, signature[:-1] + bytes([signature[-1] ^ 1])),
        (BankVerifier.open([ours.public]), VERSION, b""),
    ):
        with pytest.raises(NotSigned):
            verifier.check(version, signed)


def test_what_is_signed_is_the_version_for_this_purpose(tmp_path: Path) -> None:
    """As docs/security.md says, so that others can check it."""
    files = key_files(tmp_path)
    key = load_pem_public_key((tmp_path / "key.pub.pem").read_bytes())
    assert isinstance(key, Ed25519PublicKey)
    key.verify(BankSigner.open(files.private).signature(VERSION), b"patchline bank " + VERSION.encode())


def test_a_key_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    """A file that is not there, that holds no key, or the other half of one."""
    files, no_key = key_files(tmp_path), tmp_path / "no-key"
    no_key.write_text("no key")
    for path in (str(tmp_path / "none"), str(no_key), files.public):
        with pytest.raises(BadKey, match=path):
            BankSigner.open(path)
    for path in (str(tmp_path / "none"), str(no_key), files.private):
        with pytest.raises(BadKey, match=path):
            BankVerifier.open([path])
