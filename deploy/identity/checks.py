"""Checks of a site's keys and certificates: each raises an error that tells how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from deploy.identity.certificates import common_name, read_certificate, wrong_certificate
from deploy.identity.keys import public_line, read, read_ec_key, read_signing_key
from deploy.identity.names import internal_name
from strategies.errors import IdentityError

LOOPBACK: Final = ("loopback.key", "loopback-ca.crt", "loopback.crt")
ANEW: Final = f"delete {', '.join(LOOPBACK)} and make the identity again: nobody else knows them"
RENEW: Final = "have the consortium sign site.csr again, and install the new certificate"

_NEW_LOOPBACK: Final = (
    f"srflm down, delete {', '.join(LOOPBACK)}, srflm site new with the options of the first time,"
    " then srflm up"
)
WARNING_DAYS: Final = 60
ERROR_DAYS: Final = 14
"""So long before a certificate expires the operator is warned, and warned in earnest."""
HOW_TO_RENEW: Final = {
    "site.crt": "have the consortium run srflm federation publish (or consortium assemble with your"
    " membership.toml); srflm site join with its answer, srflm down, then srflm up",
    "consortium-ca.crt": "ask the consortium for its new CA; all members need new certificates",
    "loopback.crt": _NEW_LOOPBACK,
    "loopback-ca.crt": _NEW_LOOPBACK,
}
"""The certificates of a site, and for each how the site gets a new one."""


def check_identity(folder: Path, vendor: str, now: datetime, roster: Sequence[str] = ()) -> None:
    """Raise :class:`IdentityError` unless ``folder`` has all keys that ``vendor``'s site needs.

    Its certificates must be for their keys, signed by their CA, and in date at ``now``; the one of
    the site must be in the vendor's name.
    """
    read_signing_key(folder / "signing.key")
    for peer in dict.fromkeys([vendor, *roster]):
        check_node_key(folder / f"node-{peer}.key", folder / f"node-{peer}.pub")
    pairs = (("site", "consortium-ca.crt", RENEW), ("loopback", "loopback-ca.crt", ANEW))
    for name, issuer, mend in pairs:
        path, authority_file = folder / f"{name}.crt", folder / issuer
        certificate, authority = read_certificate(path), read_certificate(authority_file)
        check_pair(certificate, read_ec_key(folder / f"{name}.key"), path, mend)
        check_issuer(certificate, authority, path, mend)
        if name == "site":
            check_vendor(certificate, vendor)
        check_dates(authority, now, authority_file, "ask the consortium for its new CA")
        check_dates(certificate, now, path, mend)


def expires_within(folder: Path, days: float, now: datetime) -> dict[str, datetime]:
    """Return which certificates in ``folder`` expire in less than ``days``: file name → expiry.

    Raises :class:`IdentityError` for a certificate that cannot be read.
    """
    until = {name: read_certificate(folder / name).not_valid_after_utc for name in HOW_TO_RENEW}
    limit = now + timedelta(days=days)
    return {name: expiry for name, expiry in until.items() if expiry < limit}


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
    """Raise :class:`IdentityError` unless ``authority`` has signed; dates are not looked at."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as error:
        issuer = authority.subject.rfc4514_string()
        found = f"{name} is not signed by {issuer}"
        raise wrong_certificate(found, "a certificate by that CA", mend) from error


def check_dates(certificate: x509.Certificate, now: datetime, name: Path | str, mend: str) -> None:
    """Raise :class:`IdentityError` unless the certificate is valid at ``now``."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < start:
        found = f"{name} is not valid before {start:%Y-%m-%d %H:%M} UTC, now is {now:%Y-%m-%d}"
        raise wrong_certificate(found, "a certificate in date", "set the clock right, or wait")
    if now >= end:
        raise wrong_certificate(f"{name} expired on {end:%Y-%m-%d}", "a certificate in date", mend)


def check_node_key(key_file: Path, public_file: Path) -> None:
    """Raise :class:`IdentityError` unless the public file is of the private key."""
    # Without the comment at the end of the line, which anybody may change.
    if public_line(key_file).split() != read(public_file).decode("ascii", "replace").split()[:2]:
        raise IdentityError(
            f"{public_file} is not the public part of {key_file.name}",
            "two files of one key",
            f"delete {public_file} and make the identity again; the private key stays",
            IdentityError.KEY,
        )


def check_vendor(certificate: x509.Certificate, vendor: str) -> None:
    """Raise :class:`IdentityError` unless ``site.crt`` is in the vendor's name."""
    names = [each.value for each in certificate.extensions]
    alternative = [each for each in names if isinstance(each, x509.SubjectAlternativeName)]
    hosts = [host for each in alternative for host in each.get_values_for_type(x509.DNSName)]
    if common_name(certificate.subject) != vendor or internal_name(vendor) not in hosts:
        found = f"site.crt is of {certificate.subject.rfc4514_string()} ({', '.join(hosts)})"
        raise wrong_certificate(found, f"CN={vendor} ({internal_name(vendor)})", RENEW)
