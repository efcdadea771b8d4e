"""A site takes up an answer: a newcomer joins by it, a present member approves what it changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from deploy.identity.certificates import read_certificate
from deploy.identity.checks import RENEW, check_dates
from deploy.identity.identity import install_certificate
from deploy.identity.keys import read_signing_key
from deploy.identity.spare_keys import claim_spare_keys
from deploy.membership.answer import unpacked
from deploy.membership.confirming import take_over_files
from deploy.membership.joining import join
from deploy.membership.roster import approve
from deploy.membership.rotating import identity_for
from deploy.processes.private import private_files
from deploy.site.settings import load_site
from deploy.site.site_on_disk import SiteOnDisk, site_on_disk
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from srflm_flower.federation.successor import Difference
from strategies.errors import ConfigurationError


@private_files()
def join_by_answer(folder: Path, answer: Path, signed: Sequence[Path] = ()) -> Federation:
    """Join by an answer; ``signed`` are files of signatures that members have sent.

    Called again with the same edition it installs a renewed certificate, and adds signatures.

    Raises the errors of :func:`deploy.membership.joining.join`, and :class:`ConfigurationError` at
    a site that has committed terms under another edition: there an operator approves.
    """
    settings = load_site(folder)
    with unpacked(answer, settings.vendor) as unpacked_folder:
        federation = load_federation(unpacked_folder / "federation.toml")
        _require_member(federation, settings.vendor)
        before = load_federation(settings.federation) if settings.federation.exists() else None
        if before is not None and before.hash != federation.hash:
            _require_no_terms(site_on_disk(folder), federation, answer)
        _require_in_date(unpacked_folder)
        member = federation.member(settings.vendor)
        claim_spare_keys(settings.identity, settings.vendor, member.node_keys or {})
        joined = join(folder, unpacked_folder)
    take_over_files(settings.federation, joined, signed)
    return joined


@private_files()
def approve_answer(site: SiteOnDisk, answer: Path) -> tuple[Difference, Federation]:
    """Approve the edition in an answer, and install a renewed certificate; return what changes.

    Raises the errors of :func:`deploy.membership.roster.approve`.
    """
    identity = site.settings.identity
    with unpacked(answer, site.vendor) as folder:
        new = load_federation(folder / "federation.toml")
        if site.vendor not in new.roster:
            return approve(site, folder / "federation.toml"), new
        keys, own = new.member(site.vendor).node_keys or {}, identity_for(site, new)
        if own == identity:
            claim_spare_keys(identity, site.vendor, keys, site.federation.roster)
            changes = approve(site, folder / "federation.toml")
            _install_certificate(identity, folder)
        else:
            # Nothing of new keys is in use yet; without their certificate they are not whole.
            claim_spare_keys(own, site.vendor, keys)
            _install_certificate(own, folder)
            changes = approve(site, folder / "federation.toml")
    return changes, new


def _install_certificate(identity: Path, folder: Path) -> None:
    """Install the certificate in an unpacked answer, if it has one for this site."""
    if (folder / "site.crt").exists():
        _require_in_date(folder)
        sent = (folder / "site.crt").read_bytes(), (folder / "consortium-ca.crt").read_bytes()
        install_certificate(identity, *sent)


def _require_member(federation: Federation, vendor: str) -> None:
    if vendor not in federation.roster:
        raise ConfigurationError(
            f"an answer for {', '.join(federation.roster)}",
            f"one with {vendor}",
            "send your request to the consortium (`srflm federation admit`), or ask why it is not"
            " in",
        )


def _require_in_date(folder: Path) -> None:
    file = folder / "site.crt"
    if file.exists():
        check_dates(read_certificate(file), datetime.now(UTC), "the new certificate", RENEW)


def _require_no_terms(site: SiteOnDisk, new: Federation, answer: Path) -> None:
    """Raise :class:`ConfigurationError` for a present member: it approves, and does not join."""
    has_terms = len(site.state.ledger) > 0 and site.standing().place(site.vendor) != "left"
    # A member whose keys were stolen has none of its edition's, and comes back like a newcomer.
    is_member = has_terms and _has_keys_of(site, site.federation)
    if is_member or identity_for(site, new) != site.settings.identity:
        raise ConfigurationError(
            f"edition {new.edition} at a member by edition {site.federation.edition}",
            "a new member, or the edition that this site has",
            f"approve it: `srflm roster approve {site.folder} {answer}`",
        )


def _has_keys_of(site: SiteOnDisk, federation: Federation) -> bool:
    """Return whether the key with which the site signs is its vendor's in a federation file."""
    own = read_signing_key(site.settings.identity / "signing.key").public_key()
    return own.public_bytes_raw().hex() == federation.member(site.vendor).signing_key
