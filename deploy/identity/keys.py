"""Private keys in files that only their owner can read: EC for TLS and nodes, Ed25519 to sign."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from clients.files.durable import write_durably
from strategies.errors import IdentityError

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
NIST_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
"""The curves that a key may have; new keys have P-384."""


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new EC P-384 key."""
    return ec.generate_private_key(ec.SECP384R1())


def pem_of(key: PrivateKey) -> bytes:
    """Return a private key as PKCS8 PEM, unencrypted."""
    # A site starts with nobody there who could type a password.
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_line(key_file: Path) -> str:
    """Return the OpenSSH line of the public part of an EC key; raises :class:`IdentityError`."""
    return openssh_line(read_ec_key(key_file).public_key())


def openssh_line(key: ec.EllipticCurvePublicKey) -> str:
    """Return the OpenSSH line of a public key, without a comment."""
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def write_private(path: Path, data: bytes) -> None:
    """Write a new file durably, in a folder that is made if need be; only its owner can read both.

    Raises :class:`IdentityError` when the file exists, and
    :class:`strategies.errors.RunFolderError` when it cannot be written.
    """
    with suppress(OSError):  # then writing fails too, and says why
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        raise IdentityError(f"{path} exists", "no such file", "keep it", IdentityError.KEY)
    mend = "free space or correct the folder's owner"
    write_durably(path, data, private=True, mend=mend)


def read(path: Path) -> bytes:
    """Return a file's content; raises :class:`IdentityError` when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise IdentityError(
            f"{path} cannot be read ({error.strerror})",
            "a complete identity, readable for the user who runs the site",
            "make the identity, have its certificate signed, and install it",
            IdentityError.MISSING,
        ) from error


def read_key(path: Path) -> PrivateKey:
    """Read a private key: OpenSSH in a file named ``node-…`` or ``spare-…``, else PKCS8.

    Raises :class:`IdentityError` for a key that others can read, or of a kind that is not used.
    """
    data = read(path)
    if path.stat().st_mode & 0o077:
        raise IdentityError(
            f"{path} can be read by others than its owner",
            "mode 0600",
            f"chmod 600 {path}; if others use this machine, make new keys",
            IdentityError.KEY,
        )
    try:
        ssh = path.name.startswith(("node-", "spare-"))
        key = load_ssh_private_key(data, None) if ssh else load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _not_a_key(path, str(error)) from error
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, NIST_CURVES):
        return key
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    raise _not_a_key(path, type(key).__name__)


def read_ec_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a private key that must be NIST EC; raises :class:`IdentityError`."""
    key = read_key(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _not_a_key(path, "Ed25519")
    return key


def read_signing_key(path: Path) -> ed25519.Ed25519PrivateKey:
    """Read a private key that must be Ed25519; raises :class:`IdentityError`."""
    key = read_key(path)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise _not_a_key(path, "NIST EC")
    return key


def _not_a_key(path: Path, found: str) -> IdentityError:
    return IdentityError(
        f"{path}: not a usable private key ({found})",
        "unencrypted: Ed25519 for signing.key, else NIST EC (P-384)",
        "restore it from a backup, or delete it and make it anew: its public part is then another",
        IdentityError.KEY,
    )
