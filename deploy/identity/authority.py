"""The consortium's certification authority (CA), which signs the certificates of all sites.

::

    <consortium>/        consortium-ca.key, consortium-ca.crt
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from clients.files.durable import write_durably
from deploy.identity.certificates import (
    certificate_from,
    end_entity,
    issue,
    key_of_request,
    make_authority,
    read_certificate,
)
from deploy.identity.checks import check_dates, check_pair
from deploy.identity.keys import new_key, pem_of, read_ec_key, write_private
from deploy.identity.names import FEDERATION, VENDOR, alternative_name, check_name, internal_name
from strategies.errors import IdentityError

SITE_DAYS: Final = 825
AUTHORITY_DAYS: Final = 3650
"""How long the certificates of a site and of the CA are valid."""


@dataclass(frozen=True)
class Consortium:
    """The consortium's CA; only those who run the consortium have its ``key``."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def pem(self) -> bytes:
        """The CA's certificate, which every site installs."""
        return self.certificate.public_bytes(Encoding.PEM)


def create_consortium(folder: Path, name: str, now: datetime | None = None) -> Consortium:
    """Make a CA for the federation ``name`` in ``folder``.

    Raises :class:`IdentityError` when ``folder`` has one already;
    :class:`strategies.errors.ConfigurationError` for a name that no federation may have.
    """
    check_name(name, FEDERATION)
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

    ``addresses`` are the site's host names and IPs.  The certificate is valid for ``days``.

    Raises :class:`IdentityError` for a request that is damaged, of another vendor, or of a weak
    key, and for a CA that has expired; :class:`strategies.errors.ConfigurationError` for an address
    that is none, or would let the site pass for another.
    """
    check_name(vendor, VENDOR)
    now = now or datetime.now(UTC)
    check_dates(consortium.certificate, now, "consortium-ca.crt", "make a new consortium CA")
    key = key_of_request(csr_pem, vendor)
    # Other sites check this name; the addresses are for people and their tools.
    own = x509.DNSName(internal_name(vendor))
    names = list(dict.fromkeys([own, *map(alternative_name, addresses)]))
    builder = end_entity(vendor, key, names, client=True)
    return issue(consortium.certificate, consortium.key, builder, now, days)
