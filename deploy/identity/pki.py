"""Keys and certificates: the consortium's certification authority, and the identity of a site.

::

    <consortium>/        consortium-ca.key, consortium-ca.crt
    <site>/identity/     signing.key                                   signs ballots and votes
                         site.key, site.csr, site.crt                  towards the other sites
                         consortium-ca.crt                             whom to trust there
                         node-<peer>.key, node-<peer>.pub              one for each SuperLink
                         loopback.key, loopback.crt, loopback-ca.crt   within the site's machine

A private key never leaves the folder in which it was made, and no file is overwritten but the
certificate that a renewal replaces.  There is one node key for each pair of site and SuperLink:
Flower's signed headers name no audience, and what one peer captures must be worth nothing at
another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from clients.files.durable import write_durably
from deploy.identity.certificates import (
    certificate_from,
    check_dates,
    check_issuer,
    check_pair,
    common_name,
    common_name_as_subject,
    end_entity,
    issue,
    key_of_request,
    make_authority,
    new_key,
    pem_of,
    read,
    read_certificate,
    read_ec_key,
    read_signing_key,
    write_private,
    wrong_certificate,
)
from strategies.errors import ConfigurationError, IdentityError

INTERNAL: Final = "srflm.internal"
SITE_DAYS: Final = 825
AUTHORITY_DAYS: Final = 3650
"""Of the consortium's CA, and of the loopback certificate, which nobody else ever sees."""

VENDOR = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
FEDERATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
HOST = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,251}[a-z0-9])?")
LOOPBACK: Final = ("loopback.key", "loopback-ca.crt", "loopback.crt")
ANEW: Final = f"delete {', '.join(LOOPBACK)} and make the identity again: nobody else knows them"
RENEW: Final = "have the consortium sign site.csr again, and install the new certificate"

_NEW_LOOPBACK: Final = (
    f"srflm down, delete {', '.join(LOOPBACK)}, srflm site new with the options of the first time,"
    " then srflm up"
)
HOW_TO_RENEW: Final = {
    "site.crt": "send membership.toml to the consortium, which signs it with srflm consortium"
    " assemble; srflm down, srflm site join with its answer, then srflm up",
    "consortium-ca.crt": "ask the consortium for its new CA; all members need new certificates",
    "loopback.crt": _NEW_LOOPBACK,
    "loopback-ca.crt": _NEW_LOOPBACK,
}
"""The certificates of a site, and for each how the site gets a new one."""


@dataclass(frozen=True)
class Consortium:
    """The consortium's certification authority; ``key`` stays with whoever runs it."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def pem(self) -> bytes:
        """The CA's certificate, which every site installs."""
        return self.certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True)
class PublicIdentity:
    """What of a site's identity goes into federation.toml.

    ``signing_key`` is the raw Ed25519 public key, 64 hex digits; ``node_keys`` maps each member
    to the OpenSSH public key with which this vendor comes to that member's SuperLink.
    """

    vendor: str
    signing_key: str
    node_keys: dict[str, str]


def internal_name(vendor: str) -> str:
    """Return the DNS name that a site's certificate always carries; nobody needs to resolve it."""
    return f"{vendor}.{INTERNAL}"


# ---- the consortium ----------------------------------------------------------------------------


def create_consortium(folder: Path, name: str, now: datetime | None = None) -> Consortium:
    """Make a CA for the federation ``name`` in ``folder``.

    Raises :class:`IdentityError` when there is one, :class:`ConfigurationError` for a bad name.
    """
    _check_name(name, FEDERATION)
    if (folder / "consortium-ca.key").exists() or (folder / "consortium-ca.crt").exists():
        raise IdentityError(
            f"a consortium CA in {folder}",
            "a folder without one: a new CA makes all certificates of the old one void",
            "use the CA that is there, or choose another folder",
            IdentityError.KEY,
        )
    key = new_key()
    pem = make_authority(key, f"{name} consortium CA", now or datetime.now(UTC), AUTHORITY_DAYS)
    write_private(folder / "consortium-ca.key", pem_of(key))
    write_durably(folder / "consortium-ca.crt", pem)
    return Consortium(folder, certificate_from(pem, "consortium-ca.crt"), key)


def load_consortium(folder: Path) -> Consortium:
    """Read the CA that :func:`create_consortium` made; raises :class:`IdentityError`."""
    certificate = read_certificate(folder / "consortium-ca.crt")
    key = read_ec_key(folder / "consortium-ca.key")
    check_pair(certificate, key, folder / "consortium-ca.crt", "restore both from one backup")
    return Consortium(folder, certificate, key)


def sign_site_certificate(
    consortium: Consortium,
    csr_pem: bytes,
    vendor: str,
    addresses: Sequence[str] = (),
    days: int = SITE_DAYS,
    now: datetime | None = None,
) -> bytes:
    """Return the certificate (PEM) of ``vendor``'s site for the key in its request.

    ``addresses`` are the host names and IPs of the site; they are for tools and eyes, as an edge
    checks :func:`internal_name`.  Raises :class:`IdentityError` for a request that is damaged, of
    another vendor, or of a weak key, and for a CA that has expired; :class:`ConfigurationError`
    for an address that is none, or would let the site pass for another.
    """
    _check_name(vendor, VENDOR)
    now = now or datetime.now(UTC)
    check_dates(consortium.certificate, now, "consortium-ca.crt", "make a new consortium CA")
    key = key_of_request(csr_pem, vendor)
    own = x509.DNSName(internal_name(vendor))
    names = list(dict.fromkeys([own, *map(_alternative_name, addresses)]))
    builder = end_entity(vendor, key, names, client=True)
    return issue(consortium.certificate, consortium.key, builder, now, days)


def _alternative_name(address: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ip_address(address))
    host = address.lower().rstrip(".")
    if not HOST.fullmatch(host):
        raise ConfigurationError(
            f"the address {address!r}", "a host name or an IP, without a port", "correct it"
        )
    if host == INTERNAL or host.endswith(f".{INTERNAL}"):
        raise ConfigurationError(
            f"the address {address!r}",
            f"no name under {INTERNAL}: there, the name says which vendor it is",
            "leave it out: the vendor's own is in its certificate anyway",
        )
    return x509.DNSName(host)


# ---- a site ------------------------------------------------------------------------------------


def make_identity(
    folder: Path, vendor: str, roster: Sequence[str], now: datetime | None = None
) -> PublicIdentity:
    """Make what is missing of ``vendor``'s identity in ``folder``; return its public part.

    Called again with a longer roster it only adds node keys.  Raises :class:`IdentityError` when
    the folder is another vendor's, or holds a file that is not what its name says.
    """
    peers = list(dict.fromkeys([*roster, vendor]))
    for name in peers:
        _check_name(name, VENDOR)
    _make_request(folder, vendor)
    if not (folder / "signing.key").exists():
        write_private(folder / "signing.key", pem_of(ed25519.Ed25519PrivateKey.generate()))
    _make_loopback(folder, now or datetime.now(UTC))
    node_keys = {peer: _make_node_key(folder, vendor, peer) for peer in peers}
    signing_key = read_signing_key(folder / "signing.key").public_key().public_bytes_raw()
    return PublicIdentity(vendor, signing_key.hex(), node_keys)


def _make_request(folder: Path, vendor: str) -> None:
    key_file, request_file = folder / "site.key", folder / "site.csr"
    if request_file.exists():  # first of all: the folder may be another vendor's
        key_of_request(read(request_file), vendor)
    if not key_file.exists():
        write_private(key_file, pem_of(new_key()))
    if not request_file.exists():
        builder = x509.CertificateSigningRequestBuilder(common_name_as_subject(vendor))
        request = builder.sign(read_ec_key(key_file), hashes.SHA384())
        write_durably(request_file, request.public_bytes(Encoding.PEM))


def _make_node_key(folder: Path, vendor: str, peer: str) -> str:
    """Make the two files for ``peer`` as ``ssh-keygen`` would; return the public line."""
    key_file, public_file = folder / f"node-{peer}.key", folder / f"node-{peer}.pub"
    if not key_file.exists():
        pem = new_key().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        write_private(key_file, pem)
    line = f"{_public_line(key_file)} {vendor}-to-{peer}"
    if not public_file.exists():
        write_durably(public_file, f"{line}\n".encode("ascii"))
    return line


def _public_line(key_file: Path) -> str:
    public = read_ec_key(key_file).public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def _make_loopback(folder: Path, now: datetime) -> None:
    """Make a certificate for the machine itself; the key of its CA is never stored."""
    missing = [name for name in LOOPBACK if not (folder / name).exists()]
    if 0 < len(missing) < len(LOOPBACK):
        raise IdentityError(
            f"{folder} without {', '.join(missing)}",
            f"all of {', '.join(LOOPBACK)} or none, as they only fit each other",
            ANEW,
            IdentityError.MISSING,
        )
    if not missing:
        return
    authority_key, key = new_key(), new_key()
    authority = make_authority(authority_key, "loopback CA", now, AUTHORITY_DAYS)
    names = [x509.DNSName("localhost"), *map(_alternative_name, ("127.0.0.1", "::1"))]
    builder = end_entity("localhost", key.public_key(), names, client=False)
    issuer = certificate_from(authority, "loopback-ca.crt")
    certificate = issue(issuer, authority_key, builder, now, AUTHORITY_DAYS)
    write_private(folder / "loopback.key", pem_of(key))
    write_durably(folder / "loopback-ca.crt", authority)
    write_durably(folder / "loopback.crt", certificate)


def install_certificate(folder: Path, cert_pem: bytes, ca_pem: bytes) -> None:
    """Install the certificate that the consortium has signed, or its renewal.

    Raises :class:`IdentityError` when it is not for ``site.key``, not by that CA, or when another
    CA is installed: whom a site trusts is not changed in passing.
    """
    certificate = certificate_from(cert_pem, "the new certificate")
    authority = certificate_from(ca_pem, "the consortium's certificate")
    check_pair(certificate, read_ec_key(folder / "site.key"), "the new certificate", RENEW)
    check_issuer(certificate, authority, "the new certificate", RENEW)
    installed = folder / "consortium-ca.crt"
    if installed.exists() and read_certificate(installed) != authority:
        raise IdentityError(
            "another consortium CA than the installed one",
            "the CA that this site trusts already",
            f"ask the consortium; if it really has a new CA, delete {installed} first",
            IdentityError.CERTIFICATE,
        )
    write_durably(installed, ca_pem)
    write_durably(folder / "site.crt", cert_pem)


# ---- checks ------------------------------------------------------------------------------------


def check_identity(folder: Path, vendor: str, now: datetime, roster: Sequence[str] = ()) -> None:
    """Raise :class:`IdentityError` unless ``folder`` is all that ``vendor``'s site needs.

    The certificate must be for the key, by the consortium, in the vendor's name, and in date.
    """
    read_signing_key(folder / "signing.key")
    for peer in dict.fromkeys([vendor, *roster]):
        _check_node_key(folder / f"node-{peer}.key", folder / f"node-{peer}.pub")
    pairs = (("site", "consortium-ca.crt", RENEW), ("loopback", "loopback-ca.crt", ANEW))
    for name, issuer, mend in pairs:
        path, authority_file = folder / f"{name}.crt", folder / issuer
        certificate, authority = read_certificate(path), read_certificate(authority_file)
        check_pair(certificate, read_ec_key(folder / f"{name}.key"), path, mend)
        check_issuer(certificate, authority, path, mend)
        if name == "site":
            _check_vendor(certificate, vendor)
        check_dates(authority, now, authority_file, "ask the consortium for its new CA")
        check_dates(certificate, now, path, mend)


def expires_within(folder: Path, days: float, now: datetime) -> dict[str, datetime]:
    """Return the site's certificates, by file name, that expire in less than ``days``, and when.

    Raises :class:`IdentityError` when one cannot be read.
    """
    until = {name: read_certificate(folder / name).not_valid_after_utc for name in HOW_TO_RENEW}
    limit = now + timedelta(days=days)
    return {name: expiry for name, expiry in until.items() if expiry < limit}


def _check_name(name: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(name):
        raise ConfigurationError(f"the name {name!r}", f"one like {pattern.pattern}", "rename it")


def _check_node_key(key_file: Path, public_file: Path) -> None:
    if _public_line(key_file).split() != read(public_file).decode("ascii", "replace").split()[:2]:
        raise IdentityError(
            f"{public_file} is not the public part of {key_file.name}",
            "two files of one key",
            f"delete {public_file} and make the identity again; the private key stays",
            IdentityError.KEY,
        )


def _check_vendor(certificate: x509.Certificate, vendor: str) -> None:
    names = [each.value for each in certificate.extensions]
    alternative = [each for each in names if isinstance(each, x509.SubjectAlternativeName)]
    hosts = [host for each in alternative for host in each.get_values_for_type(x509.DNSName)]
    if common_name(certificate.subject) != vendor or internal_name(vendor) not in hosts:
        found = f"site.crt is of {certificate.subject.rfc4514_string()} ({', '.join(hosts)})"
        raise wrong_certificate(found, f"CN={vendor} ({internal_name(vendor)})", RENEW)
