"""Join a consortium: what a site sends to it, and what it gets back.

A site makes its own keys and sends only public parts (``membership.toml``).  The consortium signs
the certificate request of each, and hands every site the same ``federation.toml``, the CA's
certificate, and its own certificate.  No private key ever travels.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import tomli_w
from pydantic import ValidationError

from deploy.consortium import deployed_federation
from deploy.pki import (
    PublicIdentity,
    create_consortium,
    install_certificate,
    load_consortium,
    make_identity,
    sign_site_certificate,
)
from deploy.supernodes_config import Strict
from srflm_flower.durable import write_durably
from srflm_flower.errors import ConfigurationError
from srflm_flower.federation import Federation, load_federation
from srflm_flower.site_settings import SITE_FILE, load_site

MEMBERSHIP = "membership.toml"


class Membership(Strict):
    """What a site sends to the consortium: public parts only."""

    vendor: str
    address: str
    signing_key: str
    node_keys: dict[str, str]
    certificate_request: str


def new_site(folder: Path, vendor: str, roster: Sequence[str], listen: str, address: str) -> Path:
    """Make a site's ``site.toml`` and identity; return its ``membership.toml`` for the consortium.

    Called again with a longer roster it adds node keys; an existing ``site.toml`` stays.
    """
    if vendor not in roster:
        raise ConfigurationError(
            f"the vendor {vendor!r}, which is not in the roster {', '.join(roster)}",
            "a roster with all members, this one too",
            "name all of them with --roster",
        )
    if not (folder / SITE_FILE).exists():
        settings = {"vendor": vendor, "listen": listen}
        write_durably(folder / SITE_FILE, tomli_w.dumps(settings).encode())
    identity = load_site(folder).identity
    public = make_identity(identity, vendor, roster)
    membership = Membership(
        vendor=vendor,
        address=address,
        signing_key=public.signing_key,
        node_keys=public.node_keys,
        certificate_request=(identity / "site.csr").read_text(encoding="ascii"),
    )
    path = folder / MEMBERSHIP
    write_durably(path, tomli_w.dumps(membership.model_dump()).encode())
    return path


def assemble(folder: Path, base: Federation, files: Sequence[Path]) -> dict[str, Path]:
    """Sign the members' certificates; return by vendor the folder with what it gets back.

    ``base`` is the federation without addresses and keys; its roster decides who must be there.
    The CA is made in ``folder`` at the first call.  Raises :class:`ConfigurationError`.
    """
    memberships = {each.vendor: each for each in map(read_membership, files)}
    missing = [vendor for vendor in base.roster if vendor not in memberships]
    strange = [vendor for vendor in memberships if vendor not in base.roster]
    if missing or strange or len(memberships) != len(files):
        raise ConfigurationError(
            f"memberships of {', '.join(sorted(memberships))} in {len(files)} files",
            f"one each of {', '.join(base.roster)}",
            "collect the missing ones, or change [[vendors]] in the federation file",
        )
    exists = (folder / "consortium-ca.key").exists()
    consortium = load_consortium(folder) if exists else create_consortium(folder, base.name)
    identities = {
        vendor: PublicIdentity(vendor, each.signing_key, each.node_keys)
        for vendor, each in memberships.items()
    }
    addresses = {vendor: each.address for vendor, each in memberships.items()}
    agreed = deployed_federation(base, identities, addresses).to_toml().encode()
    answers = {}
    for vendor, each in memberships.items():
        answers[vendor] = folder / "members" / vendor
        host = each.address.rsplit(":", 1)[0].strip("[]")
        request = each.certificate_request.encode("ascii")
        certificate = sign_site_certificate(consortium, request, vendor, [host])
        write_durably(answers[vendor] / "site.crt", certificate)
        write_durably(answers[vendor] / "consortium-ca.crt", consortium.pem)
        write_durably(answers[vendor] / "federation.toml", agreed)
    return answers


def join(folder: Path, answer: Path) -> Federation:
    """Install what the consortium has sent back: certificates and the federation file.

    Raises :class:`srflm_flower.errors.SrflmError` when it is not for this site.
    """
    settings = load_site(folder)
    try:
        certificate = (answer / "site.crt").read_bytes()
        authority = (answer / "consortium-ca.crt").read_bytes()
        agreed = (answer / "federation.toml").read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{answer}, which cannot be read as a consortium's answer ({error.strerror})",
            "a folder with site.crt, consortium-ca.crt, and federation.toml",
            "ask the consortium for it (`srflm consortium assemble` makes it)",
        ) from error
    federation = load_federation(answer / "federation.toml")
    federation.member(settings.vendor)
    install_certificate(settings.identity, certificate, authority)
    write_durably(settings.federation, agreed)
    return federation


def read_membership(path: Path) -> Membership:
    """Read a ``membership.toml``; raises :class:`ConfigurationError`."""
    try:
        return Membership.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise ConfigurationError(
            f"{path}: {error}", "a site's membership.toml", "have the site run `srflm site new`"
        ) from error
