"""A site's identity: the keys that it makes for itself, and the certificates for them.

::

    <site>/identity/     signing.key                                   signs ballots and votes
                         site.key, site.csr, site.crt                  towards the other sites
                         consortium-ca.crt                             whom to trust there
                         node-<peer>.key, node-<peer>.pub              one for each SuperLink
                         loopback.key, loopback.crt, loopback-ca.crt   within the site's machine

A private key leaves this folder in the archive of ``srflm backup`` alone.  No file is overwritten,
except certificates that a renewal replaces, and keys by new ones (:mod:`.staged_keys`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from clients.files.durable import write_durably
from deploy.identity.certificates import (
    certificate_from,
    common_name_as_subject,
    end_entity,
    issue,
    key_of_request,
    make_authority,
    read_certificate,
)
from deploy.identity.checks import ANEW, LOOPBACK, RENEW, check_issuer, check_pair
from deploy.identity.keys import (
    new_key,
    pem_of,
    public_line,
    read,
    read_ec_key,
    read_signing_key,
    write_private,
)
from deploy.identity.names import VENDOR, alternative_name, check_name
from strategies.errors import IdentityError

LOOPBACK_DAYS: Final = 3650
"""Long, because nobody outside the machine ever sees this certificate."""


@dataclass(frozen=True)
class PublicIdentity:
    """The public part of a site's identity, which goes into ``federation.toml``.

    ``signing_key`` is the raw Ed25519 public key, 64 hex digits.  ``node_keys`` maps each member to
    the OpenSSH public key that this vendor's node shows to that member's SuperLink.
    """

    vendor: str
    signing_key: str
    node_keys: dict[str, str]


def make_identity(
    folder: Path, vendor: str, roster: Sequence[str], now: datetime | None = None
) -> PublicIdentity:
    """Make the keys that ``vendor`` lacks in ``folder``; return the public part of all.

    Called again with a longer roster it only adds node keys.  Raises :class:`IdentityError` when
    the folder is another vendor's, or has a file that is not of the kind that its name says;
    :class:`strategies.errors.ConfigurationError` for a name that no vendor may have.
    """
    peers = list(dict.fromkeys([*roster, vendor]))  # a site has a node at its own SuperLink, too
    for name in peers:
        check_name(name, VENDOR)
    _make_request(folder, vendor)
    if not (folder / "signing.key").exists():
        write_private(folder / "signing.key", pem_of(ed25519.Ed25519PrivateKey.generate()))
    _make_loopback(folder, now or datetime.now(UTC))
    # One for each SuperLink: Flower's signed headers name no receiver, so a peer could show to
    # another one a header that it has got.
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
    line = f"{public_line(key_file)} {vendor}-to-{peer}"
    if not public_file.exists():
        write_durably(public_file, f"{line}\n".encode("ascii"))
    return line


def _make_loopback(folder: Path, now: datetime) -> None:
    """Make a CA of this machine's own, and a certificate of it for the loopback interface."""
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
    authority = make_authority(authority_key, "loopback CA", now, LOOPBACK_DAYS)
    names = [x509.DNSName("localhost"), *map(alternative_name, ("127.0.0.1", "::1"))]
    builder = end_entity("localhost", key.public_key(), names, client=False)
    # The CA's key is not stored: nothing else will ever be signed with it.
    issuer = certificate_from(authority, "loopback-ca.crt")
    certificate = issue(issuer, authority_key, builder, now, LOOPBACK_DAYS)
    write_private(folder / "loopback.key", pem_of(key))
    write_durably(folder / "loopback-ca.crt", authority)
    write_durably(folder / "loopback.crt", certificate)


def install_certificate(folder: Path, cert_pem: bytes, ca_pem: bytes) -> None:
    """Install the certificate that the consortium has signed, or its renewal (both PEM).

    Raises :class:`IdentityError` when it is not for ``site.key``, or not signed by the CA of
    ``ca_pem``, or when another CA is installed.
    """
    certificate = certificate_from(cert_pem, "the new certificate")
    authority = certificate_from(ca_pem, "the consortium's certificate")
    check_pair(certificate, read_ec_key(folder / "site.key"), "the new certificate", RENEW)
    check_issuer(certificate, authority, "the new certificate", RENEW)
    # The CA says whom this site trusts, so a renewal must not change it unnoticed.
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
