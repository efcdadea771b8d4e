"""A site as a service of systemd: the text of its unit, with as few rights as a site needs."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from clients.files.durable import write_durably
from clients.files.templates import templates
from deploy.edge.machines import split_address
from deploy.site.privacy_files import ledger_place
from deploy.site.settings import SiteSettings, load_site
from strategies.errors import ConfigurationError

TEMPLATE: Final = "unit.service.j2"
UNITS: Final = Path("/etc/systemd/system")
SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FIRST_FREE_PORT: Final = 1024
"""Lower ports need a right of their own."""


def unit_name(vendor: str) -> str:
    """Return the name of the unit of a vendor's site."""
    return f"srflm-{vendor}.service"


def unit_text(settings: SiteSettings, folder: Path, user: str, programs: Path) -> str:
    """Return the unit for the site in ``folder``, run as ``user``.

    ``programs`` is the folder with ``srflm``.  Raises :class:`ConfigurationError` for a path with a
    character that a unit cannot have.
    """
    _, port = split_address(settings.listen)
    found = templates(Path(__file__).parent, html=False, quoted=quoted)
    return found.get_template(TEMPLATE).render(
        vendor=settings.vendor,
        user=user,
        path=f"{programs}:{SYSTEM_PATH}",
        program=str(programs / "srflm"),
        folder=str(folder),
        writable=[str(each) for each in _written_to(settings, folder)],
        low_port=port < FIRST_FREE_PORT,
        gpu=settings.device in ("auto", "cuda"),
    )


def _written_to(settings: SiteSettings, folder: Path) -> list[Path]:
    """Return the folders that a site writes to: its own, and any that lie elsewhere."""
    places = [settings.state, settings.run, settings.logs, settings.identity]
    federation = settings.load_federation()
    if federation.privacy.private:
        places.append(ledger_place(settings, federation).path.parent)
    found = [folder.resolve()]
    # systemd can open existing folders only, so for one that is still to be made: the one above.
    there = (next(p for p in (place, *place.parents) if p.exists()) for place in places)
    for each in (place.resolve() for place in there):
        if not any(each.is_relative_to(known) for known in found):
            found.append(each)
    return found


def quoted(text: str) -> str:
    """Return ``text`` as one word of a unit (systemd.syntax(7)).

    Raises :class:`ConfigurationError` for a character that means something else there.
    """
    if re.search(r'["\\$\x00-\x1f]', text):
        raise ConfigurationError(f"the path {text!r}", 'a path without " \\ $', "rename the folder")
    return f'"{text.replace("%", "%%")}"'


def install_unit(folder: Path, units: Path = UNITS) -> Path:
    """Write the unit of the site in ``folder`` and let systemd read it; return its path.

    It runs as the owner of the folder.  Raises :class:`ConfigurationError` if the site's settings
    are wrong, its owner is root, or ``units`` cannot be written.
    """
    folder = folder.resolve()
    settings = load_site(folder)
    owner = pwd.getpwuid(folder.stat().st_uid)
    if owner.pw_uid == 0:
        raise ConfigurationError(
            f"{folder}, which belongs to root",
            "a site that belongs to a user of its own: no program of it needs more rights",
            f"sudo useradd --system srflm; sudo chown -R srflm {folder}",
        )
    text = unit_text(settings, folder, owner.pw_name, Path(sys.executable).parent)
    path = units / unit_name(settings.vendor)
    if not os.access(units, os.W_OK):
        raise ConfigurationError(
            f"{units}, where this user may not write",
            "the rights to install a service, or a folder of one's own",
            "run it with sudo, or name another folder with --units and look at the file there",
        )
    write_durably(path, text.encode())
    path.chmod(0o644)
    systemctl = shutil.which("systemctl")
    if units == UNITS and systemctl is not None:
        subprocess.run([systemctl, "daemon-reload"], check=False, capture_output=True)
    return path
