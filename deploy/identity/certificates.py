"""Building blocks of :mod:`deploy.identity.pki`: keys and certificates made, read, written, and
checked.

Everything is EC P-384 and SHA-384; certificates carry what strict verifiers ask for (key
identifiers, key usage, basic constraints).
"""

from __future__ import annotations

import os
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clients.files.durable import not_writable, sync_folder
from strategies.errors import IdentityError

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
CLOCKS_DIFFER_BY: Final = timedelta(minutes=10)
NIST_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

# ---- made --------------------------------------------------------------------------------------


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new EC P-384 key."""
    return ec.generate_private_key(ec.SECP384R1())


def common_name_as_subject(name: str) -> x509.Name:
    """Return a subject that is a common name and nothing else, as nginx compares it whole."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def common_name(subject: x509.Name) -> str | None:
    """Return the name of a subject that is a common name and nothing else; else None."""
    parts = list(subject)
    if len(parts) != 1 or parts[0].oid != NameOID.COMMON_NAME:
        return None
    return str(parts[0].value)


def make_authority(key: ec.EllipticCurvePrivateKey, name: str, now: datetime, days: int) -> bytes:
    """Return a self-signed CA (PEM), which may sign certificates but no further CAs."""
    subject = common_name_as_subject(name)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER_BY)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA384())
    )
    return certificate.public_bytes(Encoding.PEM)


def issue(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    certificate: x509.CertificateBuilder,
    now: datetime,
    days: int,
) -> bytes:
    """Sign a certificate (PEM) that has its subject, key, and names; it never outlives its CA."""
    issuer = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    until = min(now + timedelta(days=days), authority.not_valid_after_utc)
    signed = (
        certificate.issuer_name(authority.subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - CLOCKS_DIFFER_BY, authority.not_valid_before_utc))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False
        )
        .sign(authority_key, hashes.SHA384())
    )
    return signed.public_bytes(Encoding.PEM)


def end_entity(
    name: str, key: ec.EllipticCurvePublicKey, names: list[x509.GeneralName], client: bool
) -> x509.CertificateBuilder:
    """Begin a server's certificate, for :func:`issue`; ``client`` lets it open connections too."""
    usages = [ExtendedKeyUsageOID.SERVER_AUTH]
    if client:
        usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    return (
        x509.CertificateBuilder()
        .subject_name(common_name_as_subject(name))
        .public_key(key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


# ---- read and written --------------------------------------------------------------------------


def pem_of(key: PrivateKey) -> bytes:
    """Return a private key as PKCS8 PEM, unencrypted: services start without anybody there."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_private(path: Path, data: bytes) -> None:
    """Write a new file durably that only its owner can read, from its first byte on.

    Makes the folder, for its owner only.  Raises :class:`IdentityError` when the file exists, and
    :class:`RunFolderError` when it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            raise IdentityError(f"{path} exists", "no such file", "keep it", IdentityError.KEY)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise not_writable(path, error, "free space or correct the folder's owner") from error


def read(path: Path) -> bytes:
    """Return a file's content; raises :class:`IdentityError` when there is none."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise IdentityError(
            f"{path} cannot be read ({error.strerror})",
            "a complete identity, readable for the user who runs the site",
            "make the identity, have its certificate signed, and install it",
            IdentityError.MISSING,
        ) from error


def read_certificate(path: Path) -> x509.Certificate:
    """Read one certificate (PEM); raises :class:`IdentityError`."""
    return certificate_from(read(path), str(path))


def certificate_from(pem: bytes, name: str) -> x509.Certificate:
    """Return the certificate in ``pem``; ``name`` says in the error which it is."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise IdentityError(
            f"{name}: no certificate ({error})",
            "one certificate, PEM",
            "get it again from the consortium",
            IdentityError.CERTIFICATE,
        ) from error


def read_key(path: Path) -> PrivateKey:
    """Read a private key that only its owner can read: PKCS8, or OpenSSH if named ``node-``.

    Raises :class:`IdentityError`.
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
        ssh = path.name.startswith("node-")
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


def key_of_request(csr_pem: bytes, vendor: str) -> ec.EllipticCurvePublicKey:
    """Return the key of ``vendor``'s certificate request; raises :class:`IdentityError`."""
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        key, signed = request.public_key(), request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _bad_request(f"no certificate request ({error})") from error
    if not signed:
        raise _bad_request("a certificate request whose signature is invalid")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, NIST_CURVES):
        raise _bad_request("a certificate request whose key is not NIST EC")
    if common_name(request.subject) != vendor:
        raise _bad_request(f"a certificate request of {request.subject.rfc4514_string()!r}")
    return key


def _bad_request(found: str) -> IdentityError:
    expected = "the vendor's site.csr, as it was made"
    return wrong_certificate(found, expected, "ask the vendor for it again")


# ---- checked -----------------------------------------------------------------------------------


def check_pair(
    certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, name: Path | str, mend: str
) -> None:
    """Raise :class:`IdentityError` unless the certificate is for this key."""
    if certificate.public_key() != key.public_key():
        found = f"{name} is not for the private key here"
        raise wrong_certificate(found, "a certificate of that key", mend)


def check_issuer(
    certificate: x509.Certificate, authority: x509.Certificate, name: Path | str, mend: str
) -> None:
    """Raise :class:`IdentityError` unless ``authority`` has signed (dates do not matter here)."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as error:
        issuer = authority.subject.rfc4514_string()
        found = f"{name} is not signed by {issuer}"
        raise wrong_certificate(found, "a certificate by that CA", mend) from error


def check_dates(certificate: x509.Certificate, now: datetime, name: Path | str, mend: str) -> None:
    """Raise :class:`IdentityError` unless ``now`` lies in the certificate's time."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < start:
        found = f"{name} is not valid before {start:%Y-%m-%d %H:%M} UTC, now is {now:%Y-%m-%d}"
        raise wrong_certificate(found, "a certificate in date", "set the clock right, or wait")
    if now >= end:
        raise wrong_certificate(f"{name} expired on {end:%Y-%m-%d}", "a certificate in date", mend)


def wrong_certificate(found: str, expected: str, mend: str) -> IdentityError:
    """Return the error for a certificate that is not the one that belongs there."""
    return IdentityError(found, expected, mend, IdentityError.CERTIFICATE)
