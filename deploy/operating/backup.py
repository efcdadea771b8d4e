"""``srflm backup``: write all of a site that may be restored into one archive."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from clients.privacy.ledger.anchor import read_anchor
from deploy.identity.staged_keys import staged_keys
from deploy.operating.archive import (
    HASH,
    IDENTITY,
    LEDGER,
    MODELS,
    OWN,
    SIGNATURES,
    Manifest,
    PrivacyHead,
    pack,
)
from deploy.site.layout import edition_beside
from deploy.site.privacy_files import ledger_place
from deploy.site.settings import SITE_FILE
from deploy.site.site_on_disk import SiteOnDisk
from srflm_flower.site.ledger_copy import copy_ledger
from strategies.errors import SrflmError

LEFT_OUT = (
    ("votes and proposals of the open term", "the others count on the newest ones"),
    (
        "the list of what vendors have signed in the last terms",
        "the others have it too; evidence of those that contradict themselves is in the archive",
    ),
    (
        "identity/starts, and the counts of starts and votes",
        "they tell the site and the others that a state is an old one",
    ),
    (
        "state/secure, state/answered, state/updates",
        "secrets, answers and updates of an open term must not be given a second time",
    ),
    ("the approval of a new edition", "it may have been withdrawn since: give it again"),
    (
        "the privacy ledger and both privacy.anchor",
        "an older ledger would let a budget be spent twice",
    ),
    (
        "the agreed initial weights",
        "every member has the file: put it beside the federation file again",
    ),
    (
        "the message log, moving averages, logs, run",
        "nothing depends on them: they begin anew",
    ),
)
"""What an archive does not have, and why."""


def back_up(site: SiteOnDisk, out: Path) -> Manifest:
    """Write the archive ``out`` of a site that is up or down; return what it says of itself.

    Raises :class:`strategies.errors.SrflmError` for a site without a ledger, a federation file or
    keys, and when the archive cannot be written.
    """
    settings, federation = site.settings, site.federation
    _ = site.keys  # without them nothing is worth to be kept
    copy = copy_ledger(site.state.ledger)
    small = _editions(settings.federation) | {
        # Before its first term a site comes up only with the members' signatures.
        **{p.name: p for p in _siblings(settings.federation) if SIGNATURES.fullmatch(p.name)},
        # After the editions: a site that takes one up in between moves it to this place.
        "federation.toml": settings.federation,
        SITE_FILE: site.folder / SITE_FILE,
        "membership.toml": site.folder / "membership.toml",
    }
    small |= {
        f"identity/{path.relative_to(settings.identity)}": path
        # New keys too, as the edition that has them may hold by the time of a restoration.
        for folder in (settings.identity, staged_keys(settings.identity))
        for path in sorted(folder.glob("*"))
        if IDENTITY.fullmatch(path.name)
    }
    files: dict[str, bytes | Path] = {}
    for name, path in small.items():
        with suppress(FileNotFoundError):  # `membership.toml`, or an edition taken up just now
            files[name] = path.read_bytes()
    files[LEDGER] = copy.data
    files |= {name: settings.state / Path(name).name for name in OWN}
    files |= {f"{MODELS}{each}.safetensors": site.models.path(each) for each in sorted(copy.models)}
    manifest = Manifest(
        vendor=site.vendor,
        federation=federation.first_edition.federation,
        edition=federation.edition,
        edition_hash=federation.hash,
        term=copy.term,
        head=copy.head,
        made=datetime.now(UTC),
        privacy=_privacy_head(site),
        files={},
    )
    return pack(out, manifest, files)


def _editions(federation: Path) -> dict[str, Path]:
    """Return the files of further editions beside the federation file, by name in the archive."""
    found = {}
    for path in _siblings(federation):
        edition = path.stem.rpartition(".")[2]
        if HASH.fullmatch(edition) and path == edition_beside(federation, edition):
            found[f"federation.{edition}.toml"] = path
    return found


def _siblings(federation: Path) -> list[Path]:
    return sorted(federation.parent.glob("*.toml"))


def _privacy_head(site: SiteOnDisk) -> PrivacyHead | None:
    """Return the head of the privacy ledger, if there is one."""
    if not site.federation.privacy.private:
        return None
    with suppress(SrflmError):  # a ledger that cannot be used is no reason to have no backup
        anchor = read_anchor(ledger_place(site.settings, site.federation).anchor)
        if anchor is not None and anchor.rows:
            return PrivacyHead(rows=anchor.rows, head=anchor.head)
    return None
