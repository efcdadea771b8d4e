"""Make a model package of a site's export: collect its files, sign their hashes, write both forms.

A package is handed on.  So it has the released model only, never the vendor's own one, and no
figure or number that no noise covers.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from clients.models.model_file import ModelFile
from deploy.site.deployed_site import DeployedSite
from deploy.site.package_files import write_folder, write_zip
from srflm_flower import __version__
from srflm_flower.federation.federation import Federation
from srflm_flower.package.about import AboutSettings
from srflm_flower.package.bag import MANIFEST, PAYLOAD, SIGNATURE, TAGS, tag_files, tag_manifest
from srflm_flower.package.card import Made, ModelCard, OwnTest, Weighed, model_card
from srflm_flower.package.card_text import card_text
from srflm_flower.package.crate import (
    CARD,
    CARD_DATA,
    FEDERATION,
    LEDGER,
    METADATA,
    MODEL,
    REPORT,
    WORKFLOW,
    crate,
    workflow_crate,
)
from srflm_flower.package.federation_file import without_places
from srflm_flower.package.manifest import Listed, Manifest, Signature, package_statement
from srflm_flower.results.release import Release
from strategies.protocol.records import Committed, canonical_json
from strategies.weights import hash_weights

PACKAGES = ("torch", "monai", "flwr", "numpy", "opacus", "safetensors")
"""The libraries whose versions decide about a model's numbers."""
FOLDER = "package"


class Material(NamedTuple):
    """What goes into a package: the model file, the ledger, the page, and the own figures.

    ``federation`` has the rounds that were ordered.  ``own_test`` is None where the site may not
    hand them on.
    """

    federation: Federation
    model: ModelFile
    release: Release
    committed: list[Committed]
    report: bytes
    own_test: OwnTest | None


class Package(NamedTuple):
    """A package that was written: its folder, its .zip file, and its card."""

    folder: Path
    archive: Path
    card: ModelCard


def write_package(
    site: DeployedSite, folder: Path, material: Material, about: AboutSettings
) -> Package:
    """Write ``package/`` and ``<federation>-<vendor>.zip`` into ``folder``.

    Raises :class:`strategies.errors.RunFolderError` when they cannot be written, and
    :class:`strategies.errors.PackageError` if something else is in their place.
    """
    made = Made(vendor=site.vendor, day=today(os.environ), versions=versions(site.federation))
    federation = without_places(material.federation)
    records = [each.record for each in material.committed]
    card = model_card(
        federation,
        records,
        material.release,
        _weighed(site, material),
        made,
        about,
        material.own_test,
    )
    payload = _payload(federation, card, material, about)
    tags = tag_files(payload, made.day, site.vendor)
    files = {**tags, **{f"{PAYLOAD}{name}": content for name, content in payload.items()}}
    manifest = Manifest(
        vendor=site.vendor,
        federation=federation.hash,
        key=site.federation.member(site.vendor).signing_key or "",
        files={name: Listed.of(files[name]) for name in sorted(files)},
    ).content
    statement = package_statement(site.vendor, federation.hash, manifest)
    signed = Signature(
        vendor=site.vendor, manifest=Listed.of(manifest).sha256, signature=site.keys.sign(statement)
    )
    tags |= {MANIFEST: manifest, SIGNATURE: (signed.model_dump_json(indent=2) + "\n").encode()}
    files |= {**tags, TAGS: tag_manifest(tags)}
    archive = folder / f"{federation.name}-{site.vendor}.zip"
    write_folder(folder / FOLDER, files)
    write_zip(archive, archive.stem, files)
    return Package(folder / FOLDER, archive, card)


def today(environment: Mapping[str, str]) -> str:
    """Return the day (UTC), or that of SOURCE_DATE_EPOCH, so that a package can be made again."""
    told = environment.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(told), UTC) if told.isdigit() else datetime.now(UTC)
    return moment.date().isoformat()


def versions(federation: Federation) -> dict[str, str]:
    """Return the versions that decide about a model's numbers, and the hash of the agreed code."""
    found = {"srflm-flower": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # another installation of it
            found[name] = "unknown"
    if federation.bundles:
        found["agreed code (SHA-256)"] = " or ".join(federation.bundles)
    return found


def _weighed(site: DeployedSite, material: Material) -> Weighed:
    weights = material.model.weights
    return Weighed(
        # By this hash the ledger names it: of what all sites share.
        hash=hash_weights({n: w for n, w in weights.items() if n not in site.first.at_home}),
        parameters=sum(int(array.size) for array in weights.values()),
        kept_at_home=tuple(sorted(site.first.at_home)),
    )


def _payload(
    federation: Federation, card: ModelCard, material: Material, about: AboutSettings
) -> dict[str, bytes]:
    lines = [canonical_json(each.model_dump(mode="json")) for each in material.committed]
    agreed = federation.to_toml().encode()
    payload = {
        MODEL: material.model.content,
        CARD: card_text(card).encode(),
        CARD_DATA: (card.model_dump_json(indent=2) + "\n").encode(),
        LEDGER: b"".join(line + b"\n" for line in lines),
        REPORT: material.report,
        FEDERATION: agreed,
        f"{WORKFLOW}{METADATA}": workflow_crate(card, Listed.of(agreed)),
    }
    listed = {name: Listed.of(content) for name, content in payload.items()}
    return {**payload, METADATA: crate(card, about, listed)}
