"""Keys that tests sign banks with, as `openssl genpkey -algorithm ed25519` makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

if TYPE_CHECKING:
    from pathlib import Path


class KeyFiles(NamedTuple):
    """The two halves of a key."""

    private: str
    public: str


def key_files(folder: Path, name: str = "key") -> KeyFiles:
    """A new key in two PEM files."""
    key, files = Ed25519PrivateKey.generate(), KeyFiles(str(folder / f"{name}.pem"), str(folder / f"{name}.pub.pem"))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}.pem").write_bytes(private)
    (folder / f"{name}.pub.pem").write_bytes(public)
    return files
