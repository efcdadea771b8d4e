"""A site replaces its keys: it asks with the old ones, and switches once the edition holds."""

from __future__ import annotations

from pathlib import Path

from clients.files.durable import write_durably
from deploy.identity.keys import read_signing_key
from deploy.identity.staged_keys import identity_with, stage_keys, staged_keys, switch_keys
from deploy.membership.confirming import note_confirmed
from deploy.membership.member_request import ask, require_in_force
from deploy.membership.request import request_for
from deploy.processes.private import private_files
from deploy.site.layout import edition_beside
from deploy.site.site_on_disk import SiteOnDisk
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from srflm_flower.site.edition_standing import approval_of
from strategies.protocol.signatures import VendorKeys


def ask_for_new_keys(site: SiteOnDisk) -> Path:
    """Make new keys beside those in force; return the request for them, signed by the old key.

    Called again it keeps the new keys.  Raises the errors of
    :func:`deploy.membership.member_request.ask`, and :class:`strategies.errors.IdentityError`.
    """
    require_in_force(site, "rotate-keys")
    identity = site.settings.identity
    with private_files():
        public = stage_keys(identity, site.vendor)
    address = site.federation.member(site.vendor).address or ""
    return ask(site, "new-keys", request_for(staged_keys(identity), public, address))


def identity_for(site: SiteOnDisk, federation: Federation) -> Path:
    """Return the folder with the site's keys for an edition: those in force, or the new ones."""
    member = federation.member(site.vendor)
    return identity_with(site.settings.identity, member.signing_key or "")


def keys_for(site: SiteOnDisk, federation: Federation) -> VendorKeys:
    """Return the keys with which the site signs as a member of an edition."""
    return VendorKeys(read_signing_key(identity_for(site, federation) / "signing.key"), {})


def take_up(site: SiteOnDisk, file: Path) -> None:
    """Replace the site's federation file by ``file``, and its keys by the new ones in it.

    The site must be down.  Raises :class:`strategies.errors.SrflmError`; then the switch is made at
    the next start.
    """
    if identity_for(site, load_federation(file)) != site.settings.identity:
        # First, as a site with the new file and the old keys would not know that it must switch.
        switch_keys(site.settings.identity)
    write_durably(site.settings.federation, file.read_bytes())
    file.unlink()


def awaited_edition(site: SiteOnDisk) -> Federation | None:
    """Return the edition with new keys of this site that it has approved, and that may hold by now.

    None if there is none, or if the site would see it from its ledger at the latest when it has
    caught up: an edition in which the other sites still know its old keys.
    """
    held, standing = approval_of(site.state.ledger), site.standing()
    if held is None or held.previous != standing.editions.last.federation:
        return None
    file = edition_beside(site.settings.federation, held.edition.federation)
    if standing.place(site.vendor) != "member" or not file.exists():
        return None
    new = load_federation(file)
    if site.vendor not in new.roster or new.member(site.vendor).site_key is None:
        return None
    return new if identity_for(site, new) != site.settings.identity else None


def take_up_ahead(site: SiteOnDisk, new: Federation) -> None:
    """Take up an edition by which other members are known to go; the ledger follows.

    The site must be down.  Raises the errors of :func:`take_up`.
    """
    file = edition_beside(site.settings.federation, new.hash)
    # Its own operator has approved the file, and a quorum knows its new keys.
    note_confirmed(site, new.hash)
    take_up(site, file)
