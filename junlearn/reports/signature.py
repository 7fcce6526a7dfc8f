"""Signatures of a report (Ed25519): that a file is as the holder of a key wrote it.

The signature is 64 bytes in Base64, in a file beside the report. It says nothing of when it was made, and it is worth
as much as the way on which the public key came.
"""

import base64
import binascii
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from junlearn.errors import ConfigError, DamagedError
from junlearn.files import replace

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

__all__ = ["ENDING", "beside", "fingerprint", "private_key", "public_key", "sign", "verify"]

ENDING = ".sig"
MAKE = "openssl genpkey -algorithm ed25519 -out key.pem"


def beside(path: Path) -> Path:
    """Where the signature of a file is."""
    return path.with_name(path.name + ENDING)


def private_key(path: Path) -> "Ed25519PrivateKey":
    """The key in a PEM file. Raises ConfigError where it is none, or is locked by a password."""
    serialization, ed25519 = _library()
    content = _content("--sign", path)
    try:
        key = serialization.load_pem_private_key(content, None)
    except TypeError:
        raise ConfigError(
            f"--sign {path}: the key is locked by a password, and none can be given"
        ) from None
    except ValueError:
        raise ConfigError(f"--sign {path}: no private key in PEM; {MAKE} makes one") from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ConfigError(f"--sign {path}: the key is not of the kind Ed25519; {MAKE} makes one")
    return key


def public_key(path: Path) -> "Ed25519PublicKey":
    """The public key in a PEM file. Raises ConfigError where it is none."""
    serialization, ed25519 = _library()
    content = _content("--key", path)
    try:
        key = serialization.load_pem_public_key(content)
    except ValueError:
        private = b"PRIVATE KEY" in content
        remedy = f"openssl pkey -in {path} -pubout gives the public one" if private else MAKE
        said = "a private key, and the public one is wanted" if private else "no public key in PEM"
        raise ConfigError(f"--key {path}: {said}; {remedy}") from None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise ConfigError(f"--key {path}: the key is not of the kind Ed25519")
    return key


def fingerprint(key: "Ed25519PublicKey") -> str:
    """The SHA-256 of a public key's 32 bytes, in hexadecimal digits."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def sign(path: Path, key: "Ed25519PrivateKey") -> Path:
    """Write the signature of a file beside it, and return where."""
    signed = base64.b64encode(key.sign(path.read_bytes())).decode()
    replace(beside(path), f"{signed}\n")
    return beside(path)


def verify(path: Path, key: "Ed25519PublicKey", signature: Path | None = None) -> None:
    """Raise DamagedError unless a file is as the holder of the key signed it; ConfigError where one is not there."""
    from cryptography.exceptions import InvalidSignature

    place = beside(path) if signature is None else signature
    content, signed = _content("report", path), _content("signature", place)
    try:
        key.verify(base64.b64decode(signed, validate=False), content)
    except (InvalidSignature, binascii.Error, ValueError):
        raise DamagedError(
            f"{path} is not what was signed: the signature {place} of it with the key {fingerprint(key)} does not hold"
        ) from None


def _content(what: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{what} {path}: {error.strerror}") from error


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise ConfigError(
            "signatures need cryptography: python -m pip install 'junlearn[sign]'"
        ) from None
    return serialization, ed25519
