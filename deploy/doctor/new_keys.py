"""Ask the other members whether they know this site's new keys already, before it comes up.

A site that was away while the edition with its new keys came into force cannot learn that from the
others: they refuse its old keys.  So at a start it shows them the new ones.  A member that knows
these goes by the edition, as no site takes one up before it holds.
"""

from __future__ import annotations

from pathlib import Path

from deploy.doctor.looks.contact import call_all, caller
from deploy.identity.staged_keys import staged_keys
from deploy.membership.rotating import awaited_edition, identity_for, take_up_ahead
from deploy.operating.running import kept_down
from deploy.processes.private import private_files
from deploy.site.deployed_site import site_anew
from deploy.site.layout import Layout
from deploy.site.site_on_disk import SiteOnDisk, site_on_disk
from srflm_flower.federation.federation import Federation
from strategies.protocol.quorum import has_quorum


@private_files()
def switch_if_known(folder: Path) -> bool:
    """Switch the site in ``folder`` to its new keys if a quorum knows them; return whether it has.

    The site itself is counted.  Raises :class:`strategies.errors.SrflmError`; in particular
    :class:`strategies.errors.DeploymentError` for a site that is up and waits for new keys.
    """
    site = site_on_disk(folder.resolve())
    # First, so that whatever else is wrong with a site is the doctor's to find.
    if not staged_keys(site.settings.identity).exists():
        return False
    new = awaited_edition(site)
    if new is None:
        return False
    with kept_down(site.vendor, Layout.of(site.settings), folder):
        knowing = [site.vendor, *known_by(site, new)]
        if not has_quorum(knowing, new.roster, new.protocol.quorum):
            return False
        take_up_ahead(site, new)
    site_anew(site.folder)  # whoever has loaded it in this process has the old file and keys
    return True


def known_by(site: SiteOnDisk, new: Federation) -> list[str]:
    """Return the peers that take this site for the member that it is in the edition ``new``."""
    with caller(site.vendor, new, identity_for(site, new)) as calling:
        return [each.peer for each in call_all(calling) if each.stage == "done"]
