"""Certificates and certificate requests: built, signed, and read.

Certificates carry the extensions that strict verifiers ask for: key identifiers, key usage, basic
constraints.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.identity.keys import NIST_CURVES, read
from strategies.errors import IdentityError

CLOCKS_DIFFER_BY: Final = timedelta(minutes=10)
"""Certificates are valid from so long before they are made: another site's clock may be behind."""


def make_authority(key: ec.EllipticCurvePrivateKey, name: str, now: datetime, days: int) -> bytes:
    """Return the certificate (PEM) of a self-signed CA, which may sign no further CAs."""
    start, end = now - CLOCKS_DIFFER_BY, now + timedelta(days=days)
    return authority_of(name, key.public_key(), key, start, end).public_bytes(Encoding.PEM)


def authority_of(
    name: str,
    key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    start: datetime,
    end: datetime,
) -> x509.Certificate:
    """Return the certificate of a CA with this ``key``, which names itself as its issuer."""
    subject = common_name_as_subject(name)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    return (
        x509.CertificateBuilder(subject, subject, key, x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(signer, hashes.SHA384())
    )


def issue(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    certificate: x509.CertificateBuilder,
    now: datetime,
    days: int,
) -> bytes:
    """Sign what :func:`end_entity` has begun; return the certificate (PEM).

    It is valid for ``days``, and no longer than its CA.
    """
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


def common_name_as_subject(name: str) -> x509.Name:
    """Return a subject that is a common name and nothing else."""
    # nginx compares the whole subject with the vendor's name.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def common_name(subject: x509.Name) -> str | None:
    """Return the common name of a subject that has nothing else, or None."""
    parts = list(subject)
    if len(parts) != 1 or parts[0].oid != NameOID.COMMON_NAME:
        return None
    return str(parts[0].value)


def read_certificate(path: Path) -> x509.Certificate:
    """Read one certificate (PEM); raises :class:`IdentityError`."""
    return certificate_from(read(path), str(path))


def certificate_from(pem: bytes, name: str) -> x509.Certificate:
    """Return the certificate in ``pem``; raises :class:`IdentityError`, which says ``name``."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise IdentityError(
            f"{name}: no certificate ({error})",
            "one certificate, PEM",
            "get it again from the consortium",
            IdentityError.CERTIFICATE,
        ) from error


def key_of_request(csr_pem: bytes, vendor: str) -> ec.EllipticCurvePublicKey:
    """Return the public key of ``vendor``'s certificate request (PEM).

    Raises :class:`IdentityError` for a request that is damaged, another's, or of a weak key.
    """
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


def wrong_certificate(found: str, expected: str, mend: str) -> IdentityError:
    """Return the error for a certificate that is not the one that belongs there."""
    return IdentityError(found, expected, mend, IdentityError.CERTIFICATE)


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


def _bad_request(found: str) -> IdentityError:
    expected = "the vendor's site.csr, as it was made"
    return wrong_certificate(found, expected, "ask the vendor for it again")
