"""Signatures of bank files: a bank was made by who holds a key, whoever else can write to the store and the topics.

What is signed (Ed25519) is the bank's version, the hash of its bytes, which name its view and its graph. Limits in
force are not part of it: they come with the state in `banks`.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PURPOSE = b"patchline bank "
"""In front of the version: a signature for another purpose is none for this one."""
RECORD_PURPOSE = b"patchline gate record "
"""In front of the sha256 of what the gate said of a bank."""


class BadKey(Exception):
    """A key cannot be used; the text says what to do."""


class NotSigned(Exception):
    """A bank without a signature by one of the keys; the text says which is the case."""


class BankSigner:
    """Signs banks by one private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def open(cls, path: str) -> Self:
        """The private key in a PEM file (PKCS #8, no password). Raises BadKey."""
        _require_extra()
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 -- an extra
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 -- the same

        try:
            key = load_pem_private_key(_read(path), None)
        except (ValueError, TypeError) as error:
            raise BadKey(f"{path} holds no private key without a password: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise BadKey(f"{path} holds another kind of key than Ed25519")
        return cls(key)

    def signature(self, version: str) -> bytes:
        """The signature of a bank, 64 bytes."""
        return self._key.sign(PURPOSE + version.encode())

    def record_signature(self, sha256: str) -> bytes:
        """The signature of what the gate said of a bank, 64 bytes; `sha256` is of the record without it."""
        return self._key.sign(RECORD_PURPOSE + sha256.encode())


class BankVerifier:
    """Tells banks that one of some keys signed from all others."""

    def __init__(self, keys: Sequence[Ed25519PublicKey]) -> None:
        self._keys = keys

    @classmethod
    def open(cls, paths: Sequence[str]) -> Self:
        """The public keys in PEM files. Raises BadKey."""
        _require_extra()
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 -- an extra
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 -- the same

        keys = []
        for path in paths:
            try:
                key = load_pem_public_key(_read(path))
            except ValueError as error:
                raise BadKey(f"{path} holds no public key: {error}") from error
            if not isinstance(key, Ed25519PublicKey):
                raise BadKey(f"{path} holds another kind of key than Ed25519")
            keys.append(key)
        return cls(keys)

    def check(self, version: str, signature: bytes) -> None:
        """Raises NotSigned where none of the keys made this signature of this bank."""
        if not self._signed(PURPOSE + version.encode(), signature):
            raise NotSigned("its signature is by none of the keys of inference.bank_keys, or of another bank")

    def check_record(self, sha256: str, signature: bytes) -> None:
        """Raises NotSigned where none of the keys made this signature of this record."""
        if not self._signed(RECORD_PURPOSE + sha256.encode(), signature):
            raise NotSigned("the record's signature is by none of the keys, or it was changed since")

    def _signed(self, what: bytes, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 -- an extra

        for key in self._keys:
            try:
                key.verify(signature, what)
            except InvalidSignature:
                continue
            return True
        return False


def _require_extra() -> None:
    if find_spec("cryptography") is None:
        raise BadKey("signatures need the signing extra: pip install 'patchline[signing]'")


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BadKey(f"the key {path} cannot be read: {error.strerror}") from error
