"""New keys of a site that wait for their edition, in a folder within that of the keys in force.

::

    <site>/identity/next/     a whole identity: signing.key, site.key, node-<peer>.key, …

The site works with the keys in force until the edition holds that has the new ones.  Only then the
new ones take their place, and the old ones are deleted.  A switch that was broken off is repeated
as a whole: the folder stays complete until nothing of it is needed any more.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

from clients.files.durable import write_durably
from deploy.identity.identity import PublicIdentity, make_identity
from deploy.identity.keys import read, read_signing_key

STAGED: Final = "next"
SPENT: Final = "next.spent"
OWN_NODES: Final = re.compile(r"(node-.+\.(key|pub))|(spare-\d{3}\.key)")
"""Names of the keys of which a new identity may have fewer than the old one."""


def staged_keys(identity: Path) -> Path:
    """Return the folder of a site's new keys, even if it has none."""
    return identity / STAGED


def stage_keys(identity: Path, vendor: str) -> PublicIdentity:
    """Make new keys beside those in force, as far as they are missing; return the public parts.

    Raises :class:`strategies.errors.IdentityError` for a folder that has no keys in force.
    """
    folder = staged_keys(identity)
    # The CA that this site trusts: with other keys it trusts no other one.
    authority = read(identity / "consortium-ca.crt")
    public = make_identity(folder, vendor, (vendor,))
    write_durably(folder / "consortium-ca.crt", authority)
    return public


def identity_with(identity: Path, signing_key: str) -> Path:
    """Return the folder with the keys of which ``signing_key`` is the public one.

    This is the folder of the new keys if it is theirs, else that of the keys in force.  Raises
    :class:`strategies.errors.IdentityError` for new keys that cannot be read.
    """
    folder = staged_keys(identity)
    return folder if _public(folder) == signing_key else identity


def _public(folder: Path) -> str | None:
    key = folder / "signing.key"
    return read_signing_key(key).public_key().public_bytes_raw().hex() if key.exists() else None


def switch_keys(identity: Path) -> None:
    """Put the new keys in the place of those in force, which are deleted.

    Raises :class:`strategies.errors.RunFolderError` when a file cannot be written; then it is to be
    called again.
    """
    folder = staged_keys(identity)
    new = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    for name, path in new.items():
        write_durably(identity / name, path.read_bytes(), private=name.endswith(".key"))
    for path in identity.iterdir():
        if OWN_NODES.fullmatch(path.name) and path.name not in new:
            path.unlink()
    # At once, so that no part of the folder passes for all of it.
    shutil.rmtree(identity / SPENT, ignore_errors=True)
    folder.rename(identity / SPENT)
    shutil.rmtree(identity / SPENT, ignore_errors=True)
