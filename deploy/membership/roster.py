"""A site approves a new edition of its federation file, and takes it up once it holds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from clients.files.durable import write_durably
from deploy.identity.checks import check_identity
from deploy.membership.confirming import sign_file
from deploy.membership.joining import check_own_keys
from deploy.membership.rotating import identity_for, keys_for, take_up
from deploy.site.layout import edition_beside
from deploy.site.site_on_disk import SiteOnDisk
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from srflm_flower.federation.successor import Difference, check_successor, difference
from srflm_flower.site.edition_standing import Standing, approval_of, keep_approval
from srflm_flower.site.recovering import left_behind
from strategies.errors import ConfigurationError, DeploymentError
from strategies.protocol.records import liars_withstood, quorum_size
from strategies.protocol.roster_change import sign_approval


def approve(site: SiteOnDisk, file: Path) -> Difference:
    """Approve the edition in ``file`` for this site, and keep the file; return what it changes.

    Raises :class:`ConfigurationError` for a file that is not the next edition, or when another one
    is approved; :class:`strategies.errors.IdentityError` when the site lacks keys for it.
    """
    new, standing = load_federation(file), site.standing()
    # Once the federation has decided there is nothing to approve: the site only lacked the file.
    decided = standing.editions.last.federation == new.hash
    if not decided or new.edition <= site.federation.edition + 1:
        check_successor(site.federation, new)
    held = approval_of(site.state.ledger)
    open_still = held is not None and held.previous == standing.editions.last.federation
    if open_still and held is not None and held.edition.federation != new.hash and not decided:
        raise ConfigurationError(
            f"a second edition {new.edition}: this site has approved another one"
            f" ({held.edition.federation[:12]}…)",
            "one approval at a time",
            f"withdraw the other one first: `srflm roster withdraw {site.folder}`",
        )
    if site.vendor in new.roster:
        _check_own_keys(site, new)
    # Before the approval: an edition that comes into force must be at hand.
    write_durably(edition_file(site, new.hash), file.read_bytes())
    if not decided:
        approval = sign_approval(site.vendor, site.federation.hash, new.as_edition, site.keys)
        keep_approval(site.state.ledger, approval)
    if site.vendor in new.roster:
        sign_file(
            site, new, keys_for(site, new)
        )  # newcomers come up with it only if members have signed it
    return difference(site.federation, new)


def withdraw(site: SiteOnDisk) -> bool:
    """Withdraw this site's approval; return whether an edition was open that it had approved."""
    held = approval_of(site.state.ledger)
    keep_approval(site.state.ledger, None)
    return held is not None and held.previous == site.standing().editions.last.federation


def edition_file(site: SiteOnDisk, federation: str) -> Path:
    """Return where the site keeps the file of the edition with the hash ``federation``."""
    return edition_beside(site.settings.federation, federation)


def describe_roster(site: SiteOnDisk) -> str:
    """Return one line: the members, and the change of the roster that is under way."""
    standing, held = site.standing(), approval_of(site.state.ledger)
    gone_on = left_behind(site.state.ledger)
    if gone_on is not None:
        others = ", ".join(gone_on.edition.roster)
        return f"no longer a member: {others} went on without it from term {gone_on.term}"
    deciding, since = standing.editions.last, standing.editions.last_change
    place, names = standing.place(site.vendor), ", ".join(deciding.roster)
    if place == "left":
        return f"no longer a member since term {since}"
    if place == "between" and standing.editions.find(site.federation.hash) is None:
        return f"{', '.join(site.federation.roster)}; catching up"
    if place == "between":
        has_file = edition_file(site, deciding.federation).exists()
        what = "starting anew" if has_file else "give this site the new federation file"
        return f"{names} since term {since}; {what}"
    if held is not None and held.previous == deciding.federation:
        new = ", ".join(held.edition.roster)
        waits = "waiting for a term in which a quorum has approved it"
        # Nothing is decided without a term, and no term comes without an order.
        waits += "" if site.state.ledger.open_order() is not None else ": order one (`srflm run`)"
        return f"{names}; approved here: {new}; {waits}"
    vendors, liars = len(deciding.roster), liars_withstood(len(deciding.roster), deciding.quorum)
    if liars:
        needed = quorum_size(vendors, deciding.quorum)
        return f"{names}; byzantine: {needed} of {vendors} decide, f = {liars} may lie"
    return names


def take_up_edition(site: SiteOnDisk) -> bool:
    """Replace the site's federation file by that of the edition in force, if it has that file.

    New keys that the edition has take the place of the old ones.  Return whether the federation
    file is another one now; ``site`` itself keeps the old file and keys.  Raises
    :class:`DeploymentError` for a site that is no longer a member.
    """
    standing = site.standing()
    place = standing.place(site.vendor)
    if place == "left":
        raise left(site, standing)
    file = edition_file(site, standing.editions.last.federation)
    if place == "member" or not file.exists():
        return False
    take_up(site, file)
    return True


def left(site: SiteOnDisk, standing: Standing) -> DeploymentError:
    """Return the error for a site whose vendor has left."""
    return DeploymentError(
        f"{site.vendor}, no longer a member since term {standing.editions.last_change}",
        f"one of {', '.join(standing.editions.last.roster)}",
        "nothing: ledger and models stay; to come back, join by a new edition",
        DeploymentError.LEFT,
    )


def _check_own_keys(site: SiteOnDisk, new: Federation) -> None:
    """Raise :class:`ConfigurationError` unless the keys in the new file are those of this site."""
    identity, member = identity_for(site, new), new.member(site.vendor)
    check_identity(identity, site.vendor, datetime.now(UTC), new.roster)
    check_own_keys(identity, member)
