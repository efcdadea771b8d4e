"""Make a consortium: identities, certificates, and one ``federation.toml`` for all members.

In a real federation every site makes its own identity and the consortium only signs.  For a proof
of concept on one machine, :func:`make_local_sites` does both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import tomlkit

from clients.files.durable import write_durably
from deploy.flower.bundle import installed_bundle
from deploy.identity.pki import (
    PublicIdentity,
    create_consortium,
    install_certificate,
    make_identity,
    sign_site_certificate,
)
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes


def deployed_federation(
    federation: Federation, identities: Mapping[str, PublicIdentity], addresses: Mapping[str, str]
) -> Federation:
    """Return ``federation`` with every member's address and public keys, and the bundle's hash."""
    with TemporaryDirectory(prefix="srflm-") as folder:
        bundle = installed_bundle(Path(folder))
    members = [
        member.model_dump(mode="python")
        | {
            "address": addresses[member.name],
            "signing_key": identities[member.name].signing_key,
            "node_keys": identities[member.name].node_keys,
        }
        for member in federation.vendors
    ]
    return with_changes(federation, vendors=members, bundle=bundle)


def make_local_sites(
    folder: Path, federation: Federation, addresses: Mapping[str, str], **settings: object
) -> dict[str, Path]:
    """Make a site for every vendor under ``folder``, with a throw-away CA; return their folders.

    ``settings`` go into every ``site.toml``.  The CA's private key is deleted afterwards: nobody
    can join later.
    """
    roster = federation.roster
    sites = {vendor: folder / "sites" / vendor for vendor in roster}
    consortium = create_consortium(folder / "consortium", federation.name)
    identities = {}
    for vendor, site in sites.items():
        identity = site / "identity"
        identities[vendor] = make_identity(identity, vendor, roster)
        host = addresses[vendor].rsplit(":", 1)[0]
        request = (identity / "site.csr").read_bytes()
        certificate = sign_site_certificate(consortium, request, vendor, [host])
        install_certificate(identity, certificate, consortium.pem)
    (consortium.folder / "consortium-ca.key").unlink()
    agreed = deployed_federation(federation, identities, addresses).to_toml().encode()
    for vendor, site in sites.items():
        write_durably(site / "federation.toml", agreed)
        own = {"vendor": vendor, "listen": addresses[vendor], **settings}
        write_durably(site / "site.toml", tomlkit.dumps(own).encode())
    return sites
