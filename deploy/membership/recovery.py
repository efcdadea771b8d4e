"""The file by which the members that remain go on after the roster's quorum is lost for good.

One operator begins it, the others sign it one after the other, and then each applies it at his own
site.  The new edition of the federation file follows from the old one and the file, so every site
makes it for itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from pydantic import ValidationError

from clients.files.durable import write_durably
from clients.files.locks import AlreadyLocked, locked
from deploy.membership.roster import edition_file
from deploy.processes.config import Strict
from deploy.site.layout import Layout
from deploy.site.site_on_disk import SiteOnDisk
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from srflm_flower.federation.successor import recovered_edition
from srflm_flower.site.recovering import apply_recovery, note_left_behind, promise
from strategies.errors import ConfigurationError, DeploymentError
from strategies.protocol.quorum import has_quorum
from strategies.protocol.records import Recovery
from strategies.protocol.recovery import check_recovery, sign_recovery


class RecoveryFile(Strict):
    """A recovery with the signatures so far, and the new edition's ``aggregation.min-clients``."""

    min_clients: int
    recovery: Recovery


def read_recovery(path: Path) -> RecoveryFile:
    """Read a recovery file; raises :class:`ConfigurationError`."""
    try:
        return RecoveryFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigurationError(
            f"{path}, which is no such file, or cannot be read",
            "the file of a recovery",
            "have one operator begin it: `srflm roster recover SITE FILE --head <term>:<hash>`",
        ) from error


def propose(
    site: SiteOnDisk,
    path: Path,
    head: str,
    lost: Sequence[str],
    min_clients: int | None,
    able: Collection[str],
) -> None:
    """Begin a recovery from ``head`` without the ``lost`` vendors, and sign it for this site.

    ``able`` are the vendors that could vote now.  Raises :class:`ConfigurationError`,
    :class:`strategies.errors.LedgerError`, and :class:`DeploymentError` while a quorum could.
    """
    old, (term, _, name) = load_federation(site.settings.federation), head.partition(":")
    strange = [vendor for vendor in lost if vendor not in old.roster or vendor == site.vendor]
    if not term.isdecimal() or strange or path.exists():
        raise ConfigurationError(
            f"--head {head}, --lost {','.join(lost)}, {path}",
            "`<term>:<hash>`, other members than this site, and a file that does not exist",
            "correct it; to sign a file that is there, leave out --head",
        )
    least = min_clients if min_clients is not None else old.aggregation.min_clients
    new = recovered_edition(old, lost, int(term), name, least)
    recovery = Recovery(previous=old.hash, term=int(term), head=name, edition=new.as_edition)
    _sign(site, path, RecoveryFile(min_clients=least, recovery=recovery), able)


def sign(site: SiteOnDisk, path: Path, able: Collection[str]) -> None:
    """Sign the recovery in a file for this site; raises the errors of :func:`propose`."""
    _sign(site, path, read_recovery(path), able)


def _sign(site: SiteOnDisk, path: Path, file: RecoveryFile, able: Collection[str]) -> None:
    old, recovery = load_federation(site.settings.federation), file.recovery
    _new_edition(site, old, file)
    check_recovery(recovery, old.as_edition, site.keys, complete=False)
    if has_quorum(able, old.roster, old.protocol.quorum):
        raise DeploymentError(
            f"{', '.join(able)}, a quorum that can vote",
            "a roster whose quorum is lost for good",
            "nothing: the federation can go on; to let members leave: `srflm roster approve`",
            DeploymentError.NOT_LOST,
        )
    # On disk before the signature leaves: the others rely on it.
    promise(site.state.ledger, recovery)
    signed = sign_recovery(recovery, site.vendor, site.keys)
    plain = file.model_copy(update={"recovery": signed})
    write_durably(path, plain.model_dump_json(indent=2).encode())


def apply_file(site: SiteOnDisk, path: Path) -> Recovery:
    """Let a recovery that all have signed hold at this site, which is down.

    Ledger, privacy ledger and models stay.  At the site of a vendor that is lost, note only
    that the others go on.  Raises :class:`ConfigurationError`,
    :class:`strategies.errors.LedgerError`, :class:`strategies.errors.MessageRefused` for
    signatures that are missing or false, and :class:`DeploymentError` for a site that is up.
    """
    file, old = read_recovery(path), load_federation(site.settings.federation)
    recovery, new = file.recovery, _new_edition(site, old, file)
    check_recovery(recovery, old.as_edition, site.keys)
    try:
        with locked(Layout.of(site.settings).lock):
            if site.vendor not in new.roster:
                note_left_behind(site.state.ledger, recovery)
                return recovery
            # First, as `srflm up` takes it up from there once the recovery holds.
            write_durably(edition_file(site, new.hash), new.to_toml().encode())
            apply_recovery(site.state.ledger, recovery)
    except AlreadyLocked as error:
        raise DeploymentError(
            f"the site of {site.vendor} is up (process {error.holder})",
            "a site that is down",
            f"`srflm down {site.folder}`, then again",
            DeploymentError.UP,
        ) from error
    return recovery


def _new_edition(site: SiteOnDisk, old: Federation, file: RecoveryFile) -> Federation:
    """Return the edition of a recovery file; raises :class:`ConfigurationError` for another one."""
    recovery = file.recovery
    lost = [vendor for vendor in old.roster if vendor not in recovery.edition.roster]
    new = recovered_edition(old, lost, recovery.term, recovery.head, file.min_clients)
    if site.standing().editions.last.federation != old.hash or new.as_edition != recovery.edition:
        raise ConfigurationError(
            f"a recovery that leads to the edition {recovery.edition.federation[:12]}…",
            f"the one that follows from this site's federation file, {new.hash[:12]}…",
            "compare the federation files of the remaining sites",
        )
    return new
