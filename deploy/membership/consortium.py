"""The consortium's side of a membership: it signs certificates and writes the federation file.

Each member gets a folder with the same ``federation.toml`` and, if it has sent a membership, its
certificate and that of the consortium's CA.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from clients.files.durable import write_durably
from deploy.edge.machines import host_of
from deploy.flower.bundle import installed_hash
from deploy.identity.authority import create_consortium, load_consortium, sign_site_certificate
from deploy.identity.certificates import key_of_request
from deploy.identity.keys import openssh_line
from deploy.membership.joining import Membership, read_membership
from deploy.membership.weights_beside import beside, copy_weights
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.federation.member import Member
from srflm_flower.federation.successor import successor
from strategies.errors import ConfigurationError


def assemble(folder: Path, base: Federation, files: Sequence[Path]) -> dict[str, Path]:
    """Sign the members' certificates; return by vendor the folder with what it gets back.

    ``base`` is the federation without addresses and keys.  ``files`` has one membership for each
    vendor of its roster.  The CA is made in ``folder`` at the first call.

    Raises :class:`ConfigurationError` for another set of members;
    :class:`strategies.errors.IdentityError` for a request that cannot be signed.
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
    return _hand_out(folder, first_edition(base, memberships), memberships)


def assemble_change(
    folder: Path,
    old: Federation,
    files: Sequence[Path],
    leaves: Sequence[str] = (),
    base: Federation | None = None,
) -> dict[str, Path]:
    """Make the edition after ``old``; return by vendor the folder with what it gets.

    The vendors in ``leaves`` leave; those with a membership in ``files`` join, or get new keys; all
    others stay as they are.  ``base`` gives the newcomers' ``[[vendors]]`` tables and
    ``aggregation.min-clients``.  The new file lies in ``folder``, too.

    Raises :class:`ConfigurationError`; :class:`strategies.errors.IdentityError` for a request that
    cannot be signed.
    """
    memberships = {each.vendor: each for each in map(read_membership, files)}
    if len(memberships) != len(files):
        raise ConfigurationError(
            "two memberships of one vendor", "one membership a vendor", "leave files out"
        )
    new = next_edition(old, memberships, leaves, base)
    write_durably(folder / "federation.toml", beside(new).to_toml().encode())
    copy_weights(new, folder)
    return _hand_out(folder, new, memberships)


def next_edition(
    old: Federation,
    memberships: Mapping[str, Membership],
    leaves: Sequence[str] = (),
    base: Federation | None = None,
) -> Federation:
    """Return the edition after ``old``; the arguments and errors are :func:`assemble_change`'s."""
    strange = [vendor for vendor in leaves if vendor not in old.roster or vendor in memberships]
    if strange:
        raise ConfigurationError(
            f"{', '.join(strange)}, to leave",
            f"members that leave out of {', '.join(old.roster)}",
            "correct --leaves, or leave files out",
        )
    stay = [member for member in old.vendors if member.name not in leaves]
    known = {vendor.name: vendor for vendor in base.vendors} if base is not None else {}
    newcomers = [
        known.get(name, Member(name=name)) for name in memberships if name not in old.roster
    ]
    roster = [member.name for member in (*stay, *newcomers)]
    # Not in a federation that began without them: a site that is still at the old edition would
    # expect, and show, another certificate.
    pinned = all(member.site_key is not None for member in old.vendors)
    members = [
        _renewed(each, memberships.get(each.name), roster, pinned) for each in (*stay, *newcomers)
    ]
    chosen = base.aggregation.min_clients if base is not None else None
    return successor(old, members, chosen)


def _renewed(
    member: Member, membership: Membership | None, roster: Sequence[str], pinned: bool
) -> Member:
    """Return a member with its site's keys for this roster, new ones if it has sent them."""
    keys = (membership.node_keys if membership is not None else member.node_keys) or {}
    # Keys for a vendor that leaves go with it.
    changes: dict[str, object] = {"node_keys": {p: keys[p] for p in roster if p in keys}}
    if membership is not None:
        changes |= {"address": membership.address, "signing_key": membership.signing_key}
        if pinned:
            changes["site_key"] = _site_key(membership)
    return member.model_copy(update=changes)


def _site_key(membership: Membership) -> str:
    """Return the key of a member's certificate; raises IdentityError for an invalid request."""
    request = membership.certificate_request.encode("ascii")
    return openssh_line(key_of_request(request, membership.vendor))


def _hand_out(
    folder: Path, federation: Federation, memberships: Mapping[str, Membership]
) -> dict[str, Path]:
    """Write ``federation.toml`` for every member, and the certificates of ``memberships``."""
    agreed = beside(federation).to_toml().encode()
    answers = {vendor: folder / "members" / vendor for vendor in federation.roster}
    for answer in answers.values():
        write_durably(answer / "federation.toml", agreed)
        copy_weights(federation, answer)
    if not memberships:  # members only leave: nothing to sign, and the CA's key may stay offline
        return answers
    exists = (folder / "consortium-ca.key").exists()
    consortium = load_consortium(folder) if exists else create_consortium(folder, federation.name)
    for vendor, each in memberships.items():
        request = each.certificate_request.encode("ascii")
        certificate = sign_site_certificate(consortium, request, vendor, [host_of(each.address)])
        write_durably(answers[vendor] / "site.crt", certificate)
        write_durably(answers[vendor] / "consortium-ca.crt", consortium.pem)
    return answers


def first_edition(base: Federation, memberships: Mapping[str, Membership]) -> Federation:
    """Return ``base`` with every member's address and public keys, and the bundle's hash."""
    sent = {"address", "signing_key", "node_keys"}
    members = [
        member.model_dump(mode="python")
        | memberships[member.name].model_dump(include=sent)
        | {"site_key": _site_key(memberships[member.name])}
        for member in base.vendors
    ]
    return with_changes(base, vendors=members, bundle=installed_hash())
