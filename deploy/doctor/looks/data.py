"""Look at this site's own data, as training would read them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from clients.data.manifest.checking import check_manifest
from clients.data.manifest.rows import MANIFEST
from clients.data.sources import forget_cached_data, load_vendor_data, manifest_source
from clients.data.vendor_data import SPLITS, VendorData
from clients.networks.shapes import Size
from clients.settings import FileData, NpzData, PhantomData
from clients.tasks.settings import TaskSettings
from deploy.doctor.facts import DataFacts
from deploy.site.settings import SITE_FILE, SiteSettings
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.left_over import division_of_folder
from srflm_flower.federation.network_trial import size_of
from srflm_flower.federation.preflight import count_by_class
from strategies.errors import SrflmError

QUICK_BYTES: Final = 256 * 2**20
"""So much data a quick examination reads; more would keep a site from starting for long."""


def data_facts(
    settings: SiteSettings, federation: Federation, quick: bool
) -> tuple[DataFacts, Size | None]:
    """Return the facts about this site's data, and the size of their images where they were read.

    ``federation`` is the federation as the site sees it.
    """
    source = federation.data.source
    if isinstance(federation.data, PhantomData):
        return DataFacts(source), federation.image_shape
    path = own_path(settings.vendor, federation)
    if path is None:
        return DataFacts(source), federation.image_shape
    found = DataFacts(
        source,
        SITE_FILE if settings.data is not None else settings.federation.name,
        str(path),
        path.exists(),
        path.exists() and _readable(path),
    )
    if not found.readable:
        return found, federation.image_shape
    found = replace(found, size=_size(path, QUICK_BYTES))
    if quick and found.size > QUICK_BYTES:
        return found, federation.image_shape
    found, size = _read(found, settings.vendor, federation)
    if not quick and found.problem is None:
        found = replace(found, findings=_findings(path, federation))
    return found, size


def own_path(vendor: str, federation: Federation) -> Path | None:
    """Return where a vendor's data lie, or None where nothing says it."""
    own = federation.member(vendor).path
    shared = federation.data.path if isinstance(federation.data, NpzData | FileData) else None
    return own if own is not None else shared


def _read(found: DataFacts, vendor: str, federation: Federation) -> tuple[DataFacts, Size | None]:
    try:
        data = load_vendor_data(federation.data_plan(), vendor)
    except SrflmError as problem:
        return replace(found, problem=problem), federation.image_shape
    finally:
        forget_cached_data()
    counts = {name: len(data.split(name)) for name in SPLITS}
    classes = _classes(data, federation.task)
    return replace(found, was_read=True, counts=counts, classes=classes), size_of(data)


def _classes(data: VendorData, task: TaskSettings) -> Mapping[str, int]:
    """Return training records by the name of a class; nothing for a task without classes."""
    if task.target == "image":
        return {}
    counted = count_by_class(data.train, task)
    return {str(name): count for name, count in zip(task.classes, counted, strict=True)}


def _findings(path: Path, federation: Federation) -> Mapping[str, int]:
    """Return how many findings of each severity an indexed folder has; nothing for other data."""
    manifest = path / MANIFEST if path.is_dir() else path
    if not isinstance(federation.data, FileData) or manifest.suffix != ".csv":
        return {}
    if not manifest.exists():
        return {}
    source = manifest_source(federation.data, federation.task, federation.seed)
    checked = check_manifest(
        manifest,
        source,
        federation.training.batch_size,
        division_of_folder(federation, manifest.parent),
    )
    counted = Counter(finding.severity for finding in checked.findings)
    return {"error": counted["error"], "warning": counted["warning"]}


def _readable(path: Path) -> bool:
    return os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK)


def _size(path: Path, enough: int) -> int:
    """Return the bytes of a file or folder; of a large one, something over ``enough``."""
    if path.is_file():
        return path.stat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += (Path(folder) / name).stat().st_size
            except OSError:
                continue
            if total > enough:
                return total
    return total
