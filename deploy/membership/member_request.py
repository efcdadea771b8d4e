"""A member's request to the consortium, to leave or to have its keys replaced, signed by its key.

The file is safe to send by e-mail.  It names the edition that is in force at the site, so it is
good for the edition after that one, and for no later one.  Its signature shows whose key has made
it; that no thief of the key has, shows its fingerprint, twelve words over the telephone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import tomlkit
from pydantic import Field

from clients.files.durable import write_durably
from deploy.membership.request import Request, Signed, check_request
from deploy.membership.toml_file import read_toml
from deploy.site.site_on_disk import SiteOnDisk
from srflm_flower.federation.federation import Federation
from strategies.errors import ConfigurationError, DeploymentError
from strategies.protocol.signatures import VendorKeys

Wish = Literal["leave", "new-keys"]
ENDINGS: Final[dict[Wish, str]] = {"leave": ".leave.toml", "new-keys": ".new-keys.toml"}
COMMANDS: Final[dict[Wish, str]] = {"leave": "leave", "new-keys": "rotate-keys"}
"""What a member may ask for, with the end of the file's name, and the command that makes it."""
HEADER: Final = """\
# A member's request to the consortium, for the next edition: public parts only, safe to e-mail.
# Whoever gets it compares its fingerprint, twelve words, with the site's operator by telephone.
"""


class MemberRequest(Signed):
    """What a member asks for, with its signature (Ed25519, hexadecimal) over all the rest.

    ``federation`` is the federation's name and ``first`` the hash of its first edition; ``edition``
    and ``edition_hash`` are of the one in force at the site.  ``signing_key`` is the key that signs
    this.  ``keys`` are the new ones, in a request of their own that is signed with the new key.
    """

    says = "member-request"

    schema_version: Literal[1]
    asks: Wish
    vendor: str
    federation: str
    first: str
    edition: int
    edition_hash: str
    signing_key: str = Field(pattern=r"^[0-9a-f]{64}$")
    signature: str = ""
    keys: Request | None = None


def ask(site: SiteOnDisk, asks: Wish, keys: Request | None = None) -> Path:
    """Write a site's signed request into its folder; return the file, to be sent.

    Raises :class:`ConfigurationError` for a site that waits for another edition;
    :class:`DeploymentError` for one that has left.
    """
    require_in_force(site, COMMANDS[asks])
    federation = site.federation
    request = MemberRequest(
        schema_version=1,
        asks=asks,
        vendor=site.vendor,
        federation=federation.name,
        first=federation.first_edition.federation,
        edition=federation.edition,
        edition_hash=federation.hash,
        signing_key=federation.member(site.vendor).signing_key or "",
        keys=keys,
    )
    signed = request.model_copy(update={"signature": site.keys.sign(request.statement)})
    # With the user's own umask, as it is sent to others.
    path = site.folder / f"{site.vendor}{ENDINGS[asks]}"
    write_member_request(path, signed)
    return path


def require_in_force(site: SiteOnDisk, command: str) -> None:
    """Check that the site's federation file is the one that decides its next term.

    Raises :class:`ConfigurationError`; :class:`DeploymentError` for a site that has left.
    """
    standing = site.standing()
    place = standing.place(site.vendor)
    if place == "left":
        raise DeploymentError(
            f"{site.vendor}, no longer a member since term {standing.editions.last_change}",
            "a member",
            "nothing: it has left already",
            DeploymentError.LEFT,
        )
    if place == "between":
        raise ConfigurationError(
            f"a site with edition {site.federation.edition}, which is not the one that decides",
            "the edition in force",
            "bring the site up, and wait until `srflm status` says no more that it catches up or"
            f" needs a file; then `srflm site {command}` again",
        )


def write_member_request(path: Path, request: MemberRequest) -> None:
    """Write a request as a TOML file; raises :class:`strategies.errors.RunFolderError`."""
    text = HEADER + tomlkit.dumps(request.model_dump(mode="json", exclude_none=True))
    write_durably(path, text.encode())


def is_member_request(path: Path) -> bool:
    """Return whether a file looks like a member's request, and not like one of a new site."""
    # Not by the comment above it, which a person may have edited.
    return path.is_file() and re.search(rb"^asks\s*=", path.read_bytes(), re.MULTILINE) is not None


def read_member_request(path: Path) -> MemberRequest:
    """Read a request, and check that it is as somebody has signed it.

    Raises :class:`ConfigurationError` for another file, and for a request that was edited or does
    not fit itself; the errors of :func:`deploy.membership.request.check_request` for its keys.
    """
    again = "have the site send it again; if it comes changed again, ask who is on the way"
    mend = "have the site run `srflm site leave` or `srflm site rotate-keys`, and send its file"
    request = read_toml(MemberRequest, path, "a member's request", mend)
    keys = VendorKeys(None, {request.vendor: request.signing_key})
    if not keys.verify(request.vendor, request.statement, request.signature):
        found = f"{path}, which is not as {request.vendor} has signed it"
        raise ConfigurationError(found, "a request as the site has made it", again)
    new = request.keys
    if (request.asks == "new-keys") != (new is not None):
        found = f"{path}, which asks for {request.asks!r}"
        raise ConfigurationError(found, "new keys if it asks for them, and no others", mend)
    if new is not None:
        check_request(new, path)
        if new.vendor != request.vendor or new.signing_key == request.signing_key:
            raise ConfigurationError(
                f"{path}, with keys of {new.vendor}, signed by"
                f" {'the same key' if new.vendor == request.vendor else request.vendor}",
                f"new keys of {request.vendor}, signed by its old one",
                mend,
            )
    return request


def check_against(request: MemberRequest, editions: Sequence[Federation]) -> None:
    """Check that a present member of the last edition has made a request, for the next one.

    Raises :class:`ConfigurationError`.
    """
    last, vendor = editions[-1], request.vendor
    again = f"have {vendor} run `srflm site {COMMANDS[request.asks]}` again, and send the new file"
    if request.first != last.first_edition.federation:
        raise ConfigurationError(
            f"a request for the federation {request.federation} ({request.first[:12]}…)",
            f"one for {last.name} ({last.first_edition.federation[:12]}…)",
            "admit it in the folder of that federation",
        )
    if vendor not in last.roster:
        raise ConfigurationError(
            f"a request of {vendor}, which is no member in edition {last.edition}",
            f"one of {', '.join(last.roster)}",
            "nothing, if it has left already; else ask who has sent this",
        )
    if request.edition_hash != last.hash:
        raise ConfigurationError(
            f"a request for the edition after {request.edition} ({request.edition_hash[:12]}…)",
            f"one for the edition after {last.edition} ({last.hash[:12]}…), the last one here",
            f"wait until edition {last.edition} holds at {vendor}; then {again}",
        )
    if request.signing_key != last.member(vendor).signing_key:
        raise ConfigurationError(
            f"a request in the name of {vendor}, signed by another key than that of {vendor} in"
            f" edition {last.edition}",
            f"the key {(last.member(vendor).signing_key or '')[:12]}…",
            f"do not admit it: ask {vendor} by telephone; if it has lost its key, see docs/how-to/"
            "joins-and-leaves.md, A key was stolen",
        )
