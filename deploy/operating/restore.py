"""``srflm restore``: put a site's archive back; it asks a quorum before it votes again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from clients.files.durable import write_durably
from deploy.operating.archive import LEDGER, MODELS, SIGNATURES, Manifest, no_archive, unpack
from deploy.operating.restored_privacy import check_ledger, hold
from deploy.operating.running import kept_down
from deploy.processes.private import private_files
from deploy.site.layout import Layout, edition_beside
from deploy.site.privacy_files import ledger_place
from deploy.site.settings import SITE_FILE, SiteSettings, load_site, site_settings
from deploy.site.site_on_disk import SiteOnDisk
from deploy.site.verification import verify_history
from srflm_flower.site.ledger_copy import copy_ledger
from strategies.errors import ConfigurationError, DeploymentError

WRITTEN_TO = ("federation", "identity", "state", "run", "logs")
"""The settings that name places of a site's own files."""


@dataclass(frozen=True)
class Restored:
    """What was restored: the archive's ``manifest``, and paths.

    ``written`` were missing; ``kept`` were there with other content, and stay.  With
    ``spending_unknown`` the site does not train with privacy for now.
    """

    manifest: Manifest
    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    spending_unknown: bool


@private_files()
def restore(archive: Path, folder: Path, ledger_kept: bool | None = None) -> Restored:
    """Add what is missing in the site's ``folder`` from an archive; nothing there is replaced.

    ``ledger_kept`` is the operator's word for :func:`check_ledger`.  The ledger comes last, so a
    call that was broken off can be repeated.

    Raises :class:`strategies.errors.SrflmError`, and restores nothing, for an archive that is
    damaged or does not fit, a site that is up, and a folder with a ledger or with other keys.
    """
    folder = folder.resolve()
    with _scratch_in(folder) as scratch:
        manifest = unpack(archive, scratch)
        settings = _settings(folder, scratch)
        with kept_down(settings.vendor, Layout.of(settings), folder):
            _require_room(settings, scratch)
            staged = _checked(archive, manifest, settings, scratch)
            private = staged.federation.privacy.private
            place = ledger_place(settings, staged.federation) if private else None
            anchor = check_ledger(place, manifest.privacy, ledger_kept) if place else None
            targets = {name: _target(name, settings, folder) for name in manifest.files}
            # From here on only the disk can refuse.
            written, kept = _add_missing(targets, scratch)
            # Before the ledger: a site with a ledger may be started.
            if place is not None and anchor is not None:
                hold(place, anchor)
            # Copied once more: whatever the archive has in its ledger, this one knows no vote.
            copy = copy_ledger(staged.state.ledger)
            write_durably(targets[LEDGER], copy.data, private=True)
    return Restored(manifest, (*written, targets[LEDGER]), kept, private and not ledger_kept)


def _add_missing(
    targets: Mapping[str, Path], scratch: Path
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Write all files but the ledger that are not there; return these, and those that differ."""
    written, differing = list[Path](), list[Path]()
    for name, target in targets.items():
        if name == LEDGER:
            continue
        data = (scratch / name).read_bytes()
        if not target.exists():
            write_durably(target, data, private=True)
            written.append(target)
        elif target.read_bytes() != data:
            differing.append(target)
    return tuple(written), tuple(differing)


def _settings(folder: Path, scratch: Path) -> SiteSettings:
    """Return the settings of the site in ``folder``, or those of the archive for it.

    Raises :class:`ConfigurationError` for an archive that would write outside of the folder.
    """
    if (folder / SITE_FILE).exists():
        return load_site(folder)
    if not (scratch / SITE_FILE).exists():
        raise _misfit(f"no {SITE_FILE} in the archive or the folder", "one of them")
    settings = site_settings((scratch / SITE_FILE).read_bytes(), folder / SITE_FILE)
    for name in WRITTEN_TO:
        path = Path(os.path.normpath(getattr(settings, name)))
        # Only the operator may name other places: an archive may be another one than he thinks.
        if not path.is_relative_to(folder):
            raise ConfigurationError(
                f"{name} = {str(path)!r} in the archive's {SITE_FILE}, outside of {folder}",
                "paths within the site's folder, or a site.toml that is in the folder already",
                f"if the path is right: `tar -xf ARCHIVE -C {folder} {SITE_FILE}`, read the file,"
                " and restore again",
            )
    return settings


def _target(name: str, settings: SiteSettings, folder: Path) -> Path:
    """Return where a file of an archive belongs."""
    top, _, rest = name.partition("/")
    if rest:
        return {"identity": settings.identity, "state": settings.state}[top] / rest
    if name == "federation.toml":
        return settings.federation
    if name.startswith("federation."):
        return edition_beside(settings.federation, name.split(".")[1])
    if SIGNATURES.fullmatch(name):
        return settings.federation.with_name(name)
    return folder / name


def _require_room(settings: SiteSettings, scratch: Path) -> None:
    """Raise :class:`DeploymentError` for a site with a ledger, or with keys of another one."""
    ledgers = sorted(settings.state.glob("ledger.sqlite*"))  # a journal alone would be replayed
    if ledgers:
        raise DeploymentError(
            f"{ledgers[0]}: it may hold votes, which are newer than any archive",
            "a site without a ledger",
            "use the one that is there: `srflm up` learns all else from the others; only if it is"
            " damaged: move the folder of the state away, and restore again",
            DeploymentError.NOT_EMPTY,
        )
    own, new = settings.identity / "signing.key", scratch / "identity" / "signing.key"
    if own.exists() and new.exists() and own.read_bytes() != new.read_bytes():
        raise DeploymentError(
            f"{own}, which is another key than the archive's",
            "a folder of the same site, or an empty one",
            "name the site's own folder, or a new one (--site)",
            DeploymentError.NOT_EMPTY,
        )


def _checked(
    archive: Path, manifest: Manifest, settings: SiteSettings, scratch: Path
) -> SiteOnDisk:
    """Return the site that was unpacked into ``scratch``, once all in it fits.

    Raises :class:`ConfigurationError` for one of another site, :class:`DeploymentError` for one
    that contradicts itself, and the errors of :func:`verify_history`.
    """
    if settings.vendor != manifest.vendor:
        raise _misfit(f"an archive of {manifest.vendor}", f"one of {settings.vendor}")
    if LEDGER not in manifest.files:
        raise no_archive(archive, "no ledger")
    for name, digest in manifest.files.items():
        if name.startswith(MODELS) and name != f"{MODELS}{digest}.safetensors":
            raise no_archive(archive, f"another model than {name}")
    # The federation file in the folder may be of a later edition.
    federation = settings.federation
    if not federation.exists():
        federation = scratch / "federation.toml"
    staged = {"identity": scratch / "identity", "state": scratch / "state"}
    site = SiteOnDisk(scratch, settings.model_copy(update={"federation": federation, **staged}))
    first = site.federation.first_edition.federation
    if first != manifest.federation:
        raise _misfit(
            f"an archive of the federation {manifest.federation[:12]}…",
            f"one of {first[:12]}…, of which {federation.name} is",
        )
    hashes = verify_history(site).hashes
    if (len(hashes), "".join(hashes[-1:])) != (manifest.term, manifest.head):
        raise no_archive(archive, "another last record than its manifest says")
    return site


def _misfit(found: str, expected: str) -> ConfigurationError:
    return ConfigurationError(found, expected, "name the right archive and the right folder")


@contextmanager
def _scratch_in(folder: Path) -> Iterator[Path]:
    """Give an empty folder in ``folder``, which is made, and is gone again if it stays empty."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=folder) as scratch:
            yield Path(scratch)
    finally:
        with suppress(OSError):  # it is a site's by now
            folder.rmdir()
