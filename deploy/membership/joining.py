"""Join a consortium: what a site sends to it, and what it gets back.

A site makes its own keys and sends only public parts (``membership.toml``).  The consortium signs
the certificate request of each, and hands every site the same ``federation.toml``, the CA's
certificate, and its own certificate.  No private key ever travels.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import tomlkit
from pydantic import ValidationError

from clients.files.durable import write_durably
from deploy.identity.pki import (
    PublicIdentity,
    create_consortium,
    install_certificate,
    load_consortium,
    make_identity,
    sign_site_certificate,
)
from deploy.membership.consortium import deployed_federation
from deploy.processes.config import Strict
from deploy.site.settings import SITE_FILE, load_site
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from srflm_flower.federation.member import Member
from srflm_flower.federation.successor import successor
from strategies.errors import ConfigurationError

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
        write_durably(folder / SITE_FILE, tomlkit.dumps(settings).encode())
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
    write_durably(path, tomlkit.dumps(membership.model_dump()).encode())
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
    identities = {
        vendor: PublicIdentity(vendor, each.signing_key, each.node_keys)
        for vendor, each in memberships.items()
    }
    addresses = {vendor: each.address for vendor, each in memberships.items()}
    return _hand_out(folder, deployed_federation(base, identities, addresses), memberships)


def assemble_change(
    folder: Path,
    old: Federation,
    files: Sequence[Path],
    leaves: Sequence[str] = (),
    base: Federation | None = None,
) -> dict[str, Path]:
    """Make the edition after ``old``: without those that leave, with the memberships in ``files``.

    A member without a new membership stays as it is.  ``base`` is asked for what newcomers' tables
    have besides, and for ``aggregation.min-clients``.  Returns by vendor the folder with what it
    gets; the file itself lies in ``folder``, too.  Raises :class:`ConfigurationError`.
    """
    memberships = {each.vendor: each for each in map(read_membership, files)}
    strange = [vendor for vendor in leaves if vendor not in old.roster or vendor in memberships]
    if strange or len(memberships) != len(files):
        raise ConfigurationError(
            f"{', '.join(strange) or 'two memberships of one vendor'}",
            f"members that leave out of {', '.join(old.roster)}, one membership a vendor",
            "correct --leaves, or leave files out",
        )
    stay = [member for member in old.vendors if member.name not in leaves]
    known = {vendor.name: vendor for vendor in base.vendors} if base is not None else {}
    newcomers = [
        known.get(name, Member(name=name)) for name in memberships if name not in old.roster
    ]
    roster = [member.name for member in (*stay, *newcomers)]
    members = [_renewed(each, memberships.get(each.name), roster) for each in (*stay, *newcomers)]
    chosen = base.aggregation.min_clients if base is not None else None
    new = successor(old, members, chosen)
    write_durably(folder / "federation.toml", new.to_toml().encode())
    return _hand_out(folder, new, memberships)


def _renewed(member: Member, membership: Membership | None, roster: Sequence[str]) -> Member:
    """Return a member with its site's keys for this roster, new ones if it has sent them."""
    keys = (membership.node_keys if membership is not None else member.node_keys) or {}
    changes: dict[str, object] = {"node_keys": {p: keys[p] for p in roster if p in keys}}
    if membership is not None:
        changes |= {"address": membership.address, "signing_key": membership.signing_key}
    return member.model_copy(update=changes)


def _hand_out(
    folder: Path, federation: Federation, memberships: Mapping[str, Membership]
) -> dict[str, Path]:
    """Write the file for every member, and certificates for those who have asked for one."""
    agreed = federation.to_toml().encode()
    answers = {vendor: folder / "members" / vendor for vendor in federation.roster}
    for answer in answers.values():
        write_durably(answer / "federation.toml", agreed)
    if not memberships:
        return answers
    exists = (folder / "consortium-ca.key").exists()
    consortium = load_consortium(folder) if exists else create_consortium(folder, federation.name)
    for vendor, each in memberships.items():
        host = each.address.rsplit(":", 1)[0].strip("[]")
        request = each.certificate_request.encode("ascii")
        certificate = sign_site_certificate(consortium, request, vendor, [host])
        write_durably(answers[vendor] / "site.crt", certificate)
        write_durably(answers[vendor] / "consortium-ca.crt", consortium.pem)
    return answers


def join(folder: Path, answer: Path) -> Federation:
    """Install what the consortium has sent back: certificates and the federation file.

    Raises :class:`strategies.errors.SrflmError` when it is not for this site.
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
