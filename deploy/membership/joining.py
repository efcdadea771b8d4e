"""A site joins a consortium: it makes its keys, asks for membership, and installs the answer.

Only public parts leave the site (``membership.toml``).  The consortium's side is in
:mod:`deploy.membership.consortium`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import tomlkit

from clients.files.durable import write_durably
from deploy.edge.addresses import check_own_address, listen_for
from deploy.identity.identity import PublicIdentity, install_certificate, make_identity
from deploy.identity.keys import public_line, read_signing_key
from deploy.membership.confirming import take_over
from deploy.membership.toml_file import read_toml
from deploy.membership.weights_beside import copy_weights
from deploy.processes.config import Strict
from deploy.processes.private import private_files
from deploy.site.settings import SITE_FILE, load_site
from deploy.site.site_file import site_toml
from deploy.site.site_on_disk import SiteOnDisk
from deploy.site.starts import found_ledger
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from srflm_flower.federation.member import Member
from strategies.errors import ConfigurationError

MEMBERSHIP = "membership.toml"


class Membership(Strict):
    """A site's request to belong to the federation: public parts only."""

    vendor: str
    address: str
    signing_key: str
    node_keys: dict[str, str]
    certificate_request: str


def new_site(
    folder: Path,
    vendor: str,
    roster: Sequence[str],
    listen: str | None,
    address: str,
    **settings: object,
) -> Path:
    """Make a site's ``site.toml`` and identity; return its ``membership.toml`` for the consortium.

    ``listen`` is the site's own ``ip:port``; ``address`` the ``host:port`` at which others reach
    it.  Further ``settings`` go into ``site.toml`` as they are.  Called again with a longer roster
    it adds node keys; an existing ``site.toml`` stays.

    Raises :class:`ConfigurationError` for a vendor that is not in the roster, and for an invalid
    ``site.toml``; :class:`strategies.errors.IdentityError` for keys that are another vendor's.
    """
    if vendor not in roster:
        raise ConfigurationError(
            f"the vendor {vendor!r}, which is not in the roster {', '.join(roster)}",
            "a roster with all members, this one too",
            "name all of them with --roster",
        )
    own = {"listen": listen_for(address, listen), **settings}
    identity, public = begin_site(folder, own, vendor, roster)
    membership = Membership(
        vendor=vendor,
        address=address,
        signing_key=public.signing_key,
        node_keys=public.node_keys,
        certificate_request=(identity / "site.csr").read_text(encoding="ascii"),
    )
    # With the user's own umask: it holds public parts only and is sent to the consortium, whose
    # people must be able to read a copy that keeps its mode.
    path = folder / MEMBERSHIP
    write_durably(path, tomlkit.dumps(membership.model_dump()).encode())
    return path


@private_files()
def begin_site(
    folder: Path, settings: Mapping[str, object], vendor: str, roster: Sequence[str]
) -> tuple[Path, PublicIdentity]:
    """Make a site's ``site.toml`` and keys, as far as they are missing.

    Return the folder of its keys, and their public parts.
    """
    if not (folder / SITE_FILE).exists():
        write_durably(folder / SITE_FILE, site_toml({"vendor": vendor, **settings}).encode())
    identity = load_site(folder).identity
    return identity, make_identity(identity, vendor, roster)


def read_membership(path: Path) -> Membership:
    """Read a ``membership.toml``; raises :class:`ConfigurationError`."""
    found = read_toml(
        Membership, path, "a site's membership.toml", "have the site run `srflm site new`"
    )
    # Here, as the file may have been edited, or written by a version that did not look.
    check_own_address(found.address, f"{path} with address")
    return found


def check_own_keys(identity: Path, member: Member) -> None:
    """Check that the keys of this site in a federation file are those in its ``identity``.

    Raises :class:`ConfigurationError` with the names of those that are not;
    :class:`strategies.errors.IdentityError` for a key that the site lacks.
    """
    signing = read_signing_key(identity / "signing.key").public_key().public_bytes_raw().hex()
    wrong = ["signing-key"] if member.signing_key != signing else []
    listed = {
        f"node-keys.{peer}": (key, f"node-{peer}.key")
        for peer, key in (member.node_keys or {}).items()
    }
    if member.site_key is not None:
        listed["site-key"] = member.site_key, "site.key"
    # Without the comments at the ends of the lines, which anybody may change.
    wrong += [
        name
        for name, (line, file) in listed.items()
        if line.split()[:2] != public_line(identity / file).split()
    ]
    if wrong:
        raise ConfigurationError(
            f"a federation file with keys of {member.name} that are not this site's:"
            f" {', '.join(wrong)}",
            "those in its request or membership.toml",
            "ask the consortium by telephone who changed them; if nobody did, send it the"
            " membership.toml that `srflm site new` writes with this roster",
        )


@private_files()
def join(folder: Path, answer: Path) -> Federation:
    """Install the consortium's ``answer``, a folder; return the federation as all agreed on it.

    Raises :class:`ConfigurationError` for a folder that is no answer, or a federation without this
    vendor, with other keys for it or with a member's false signature;
    :class:`strategies.errors.IdentityError` for a certificate that is not this site's.
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
    # First, as all three may refuse: then the federation file stays as it is.
    check_own_keys(settings.identity, federation.member(settings.vendor))
    take_over(settings.federation, federation, answer)
    install_certificate(settings.identity, certificate, authority)
    copy_weights(federation, settings.federation.parent)
    write_durably(settings.federation, agreed)
    found_ledger(SiteOnDisk(folder, settings))
    return federation
