"""Look at the site's keys and certificates, each by itself: one fault does not hide the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from deploy.doctor.facts import CertificateFacts
from deploy.identity.certificates import read_certificate
from deploy.identity.checks import (
    ANEW,
    HOW_TO_RENEW,
    RENEW,
    check_issuer,
    check_node_key,
    check_pair,
    check_vendor,
)
from deploy.identity.keys import read_ec_key, read_signing_key
from strategies.errors import IdentityError

ISSUERS = {
    "site.crt": "consortium-ca.crt",
    "loopback.crt": "loopback-ca.crt",
}


def key_faults(
    identity: Path, vendor: str, roster: tuple[str, ...]
) -> Iterator[tuple[str, IdentityError]]:
    """Yield the names of the private keys that cannot be used, each with its fault."""
    for name in ("signing.key", "site.key", "loopback.key"):
        read = read_signing_key if name == "signing.key" else read_ec_key
        try:
            read(identity / name)
        except IdentityError as fault:
            yield name, fault
    for peer in dict.fromkeys([vendor, *roster]):
        name = f"node-{peer}.key"
        try:
            check_node_key(identity / name, (identity / name).with_suffix(".pub"))
        except IdentityError as fault:
            yield name, fault


def certificate_facts(identity: Path, vendor: str) -> Iterator[CertificateFacts]:
    """Yield the facts about each certificate of the site."""
    for name, renewal in HOW_TO_RENEW.items():
        try:
            certificate = read_certificate(identity / name)
        except IdentityError as fault:
            yield CertificateFacts(name, fault=fault)
            continue
        yield CertificateFacts(
            name,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            _fault(identity, name, certificate, vendor),
            renewal,
            _hosts(certificate),
        )


def _fault(
    identity: Path, name: str, certificate: x509.Certificate, vendor: str
) -> IdentityError | None:
    issuer, mend = ISSUERS.get(name), RENEW if name == "site.crt" else ANEW
    if issuer is None:
        return None
    try:
        check_pair(certificate, read_ec_key((identity / name).with_suffix(".key")), name, mend)
        check_issuer(certificate, read_certificate(identity / issuer), name, mend)
        if name == "site.crt":
            check_vendor(certificate, vendor)
    except IdentityError as fault:
        return fault
    return None


def _hosts(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    hosts = names.get_values_for_type(x509.DNSName)
    return (*hosts, *map(str, names.get_values_for_type(x509.IPAddress)))
