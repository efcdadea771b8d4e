"""Members sign the hash of their federation file, each after a comparison by telephone.

A new site comes up only with a file that its members have signed.  A signature shows that the
holder of the key in the file has confirmed that very file.  That the key is the member's own only
the comparison shows, as the consortium writes the keys into the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tomlkit

from clients.files.durable import write_durably
from deploy.identity.words import are_words_of, words_of
from deploy.membership.toml_file import read_toml
from deploy.processes.config import Strict
from deploy.site.site_on_disk import SiteOnDisk
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from strategies.errors import ConfigurationError
from strategies.protocol.quorum import has_quorum
from strategies.protocol.signatures import Keys, VendorKeys, federation_statement

HEARD_DIGITS = 32
"""The fewest digits of the hash to compare: nobody can make two files that begin with the same."""


class Confirmations(Strict):
    """The signatures of members (by name) under the hash of a federation file."""

    federation: str
    signatures: dict[str, str]


def confirmations_beside(federation: Path, hash_: str) -> Path:
    """Return where the signatures under a federation file with this hash lie beside it."""
    return federation.with_name(f"signatures.{hash_[:12]}.toml")


def read_confirmations(path: Path) -> Confirmations:
    """Read a file of signatures; raises :class:`ConfigurationError`."""
    mend = "have the member run `srflm site confirm`"
    return read_toml(Confirmations, path, "a file of signatures", mend)


def confirm(site: SiteOnDisk, heard: str) -> Path:
    """Sign the site's federation file; return the file of signatures, to send to the consortium.

    ``heard`` is what another member has read out: the twelve words of the hash, or the hash or the
    beginning of it.  Raises :class:`ConfigurationError` if that is another hash, or too short.
    """
    found = site.federation
    digits = "".join(heard.split()).lower()
    enough = len(digits) >= HEARD_DIGITS and found.hash.startswith(digits)
    if not enough and not are_words_of(heard, found.hash):
        raise ConfigurationError(
            f"{heard!r}, where {site.settings.federation} has the hash {found.hash}, in words"
            f" {words_of(found.hash)!r}",
            f"the same twelve words at all members, or at least {HEARD_DIGITS} digits of the hash",
            "if another member has read out others, do not come up: ask the consortium why it"
            " has sent out two files",
        )
    return sign_file(site, found)


def sign_file(site: SiteOnDisk, federation: Federation, keys: Keys | None = None) -> Path:
    """Sign a federation file for this site's vendor; return the file of signatures.

    ``keys`` are those of the vendor in that file; left out, the keys in force.
    """
    path = confirmations_beside(site.settings.federation, federation.hash)
    signature = (keys or site.keys).sign(federation_statement(site.vendor, federation.hash))
    _add(path, Confirmations(federation=federation.hash, signatures={site.vendor: signature}))
    return path


def collect(folder: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """Put members' signatures into their folders under the consortium's; return who is missing.

    Raises :class:`ConfigurationError` for signatures under another file than the one sent out, or
    under several, and for one that is not the member's.
    """
    told = {path: read_confirmations(path) for path in files}
    signed = {each.federation for each in told.values()}
    sent_out = {file: load_federation(file) for file in folder.glob("members/*/federation.toml")}
    agreed = {file: found for file, found in sent_out.items() if {found.hash} == signed}
    if not agreed:
        hashes = (f"{path}: {each.federation[:12]}…" for path, each in told.items())
        raise ConfigurationError(
            f"signatures under another federation file than the one sent out ({'; '.join(hashes)})",
            f"those under the file in {folder / 'members'}, which all members have got",
            "compare the files by telephone: somebody has another one",
        )
    federation = next(iter(agreed.values()))
    for file in agreed:
        take_over_files(file, federation, files)
    return unsigned(file, federation)


def take_over(file: Path, federation: Federation, answer: Path) -> None:
    """Add the signatures in the consortium's ``answer`` to those beside a site's federation file.

    Raises :class:`ConfigurationError` for a signature that is false.
    """
    sent = confirmations_beside(answer / "federation.toml", federation.hash)
    if sent.exists():
        told = read_confirmations(sent)
        check_signatures(sent, told, federation)
        _add(confirmations_beside(file, federation.hash), told)


def take_over_files(file: Path, federation: Federation, files: Sequence[Path]) -> None:
    """Add members' files of signatures to those beside a federation file.

    Raises :class:`ConfigurationError` for a signature that is false, or under another hash.
    """
    told = {path: read_confirmations(path) for path in files}
    for path, each in told.items():
        check_signatures(path, each, federation)
    for each in told.values():
        _add(confirmations_beside(file, federation.hash), each)


def unsigned(file: Path, federation: Federation) -> tuple[str, ...]:
    """Return the members whose valid signatures do not lie beside ``file``, a federation file.

    Raises :class:`ConfigurationError` for a signature that is false.
    """
    path = confirmations_beside(file, federation.hash)
    if not path.exists():
        return federation.roster
    told = read_confirmations(path)
    check_signatures(path, told, federation)
    return tuple(vendor for vendor in federation.roster if vendor not in told.signatures)


def require_confirmed(site: SiteOnDisk) -> None:
    """Check before a start that the members have signed the site's federation file.

    A file that is in force by the site's ledger, or with which this site has come up before, is
    confirmed.  Raises :class:`ConfigurationError`.
    """
    if _has_come_up_with(site):
        return
    check_confirmed(site)
    note_confirmed(site, site.federation.hash)


def note_confirmed(site: SiteOnDisk, federation: str) -> None:
    """Note that the federation file with this hash is confirmed at this site."""
    # Beside the keys: the ledger may be lost.
    write_durably(_known(site), federation.encode())


def check_confirmed(site: SiteOnDisk) -> None:
    """Check the same, and write nothing; raises :class:`ConfigurationError`."""
    if _has_come_up_with(site):
        return
    # By a record in the ledger a quorum goes by this file, or by the first edition, which leads
    # to it.  Older versions have come to that without signatures.
    editions = site.standing().editions
    in_force = len(site.state.ledger) > 0 and editions.find(site.federation.hash) is not None
    if not in_force:
        _require_signed(site)


def _known(site: SiteOnDisk) -> Path:
    return site.settings.identity / "federation"


def _has_come_up_with(site: SiteOnDisk) -> bool:
    known = _known(site)
    return known.exists() and known.read_text().strip() == site.federation.hash


def may_come_up(vendor: str, file: Path, federation: Federation) -> bool:
    """Return whether so many members have signed ``file`` that a new site comes up with it.

    Raises :class:`ConfigurationError` for a signature that is false.
    """
    missing = unsigned(file, federation)
    signed = [each for each in federation.roster if each not in missing]
    # A quorum decides on every later edition, so a member that is away must not keep others out.
    later = federation.edition > 1
    enough = later and has_quorum(signed, federation.roster, federation.protocol.quorum)
    return vendor not in missing and (not missing or enough)


def _require_signed(site: SiteOnDisk) -> None:
    federation, later = site.federation, site.federation.edition > 1
    if not may_come_up(site.vendor, site.settings.federation, federation):
        missing = unsigned(site.settings.federation, federation)
        raise ConfigurationError(
            f"a federation file ({federation.hash[:12]}…) that {', '.join(missing)} did not sign",
            "the signatures of "
            + ("as many members as decide, this one too" if later else "all its members"),
            "compare the hash by telephone; each member signs by `srflm site confirm`, or `srflm"
            " roster approve`, and sends its file of signatures; then `srflm site join"
            f" {site.folder} ANSWER SIGNATURES …`",
        )


def check_signatures(path: Path, told: Confirmations, federation: Federation) -> None:
    """Raise :class:`ConfigurationError` unless members have signed this file."""
    public = {m.name: m.signing_key for m in federation.vendors if m.signing_key}
    keys = VendorKeys(None, public)
    false = [
        vendor
        for vendor, signature in told.signatures.items()
        if not keys.verify(vendor, federation_statement(vendor, federation.hash), signature)
    ]
    if told.federation != federation.hash or false:
        raise ConfigurationError(
            f"{path}, with signatures of {', '.join(false) or 'another file'} that do not fit",
            f"signatures under the hash {federation.hash}, by the keys in the file",
            "ask these members by telephone which hash they have, and for their files",
        )


def _add(path: Path, told: Confirmations) -> None:
    """Add signatures to a file of signatures under the same hash."""
    held = read_confirmations(path).signatures if path.exists() else {}
    plain = told.model_copy(update={"signatures": {**held, **told.signatures}})
    write_durably(path, tomlkit.dumps(plain.model_dump()).encode())
