"""Look at every case of a manifest before training: errors stop it, warnings are worth knowing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from clients.data.manifest.by_header import Division
from clients.data.manifest.likeness import Reduced, fingerprint, near_pairs, reduced
from clients.data.manifest.loading import Source, prepared_case
from clients.data.manifest.rows import Row, read_manifest
from clients.data.vendor_data import SPLITS, SplitName
from clients.preparation.prepare import Prepared
from clients.tasks.settings import TaskSettings
from strategies.errors import DataError

Severity = Literal["error", "warning"]
UNUSUAL = 3.0
"""A voxel's size is unusual if it is this many times larger or smaller than the median."""


@dataclass(frozen=True)
class Finding:
    """Something about a case, or about all of them together if ``case`` is empty."""

    severity: Severity
    case: str
    text: str


@dataclass(frozen=True)
class Checked:
    """All findings, the number of cases in each split, and the memory of the prepared images."""

    findings: tuple[Finding, ...]
    cases: dict[str, int]
    megabytes: float

    @property
    def errors(self) -> int:
        """The number of findings that stop training."""
        return sum(finding.severity == "error" for finding in self.findings)


def check_manifest(
    path: Path,
    source: Source,
    batch_size: int,
    division: Division | None = None,
) -> Checked:
    """Prepare every case as training would, and return what was found.

    With a ``division``, each of its vendors must have cases enough.  Raises :class:`DataError` for
    a file that is no manifest, and for a patient in two splits.
    """
    rows, task = read_manifest(path), source.task
    found: list[Finding] = []
    alike: list[_Look] = []
    kept: list[tuple[Row, Prepared]] = []
    for row in rows:
        try:
            prepared = prepared_case(row, path.parent, source)
        except DataError as error:
            found.append(Finding("warning", row.case, f"{error.code}: {error.found}"))
            continue
        kept.append((row, prepared))
        found += (Finding(*each) for each in _about(row, prepared, task))
        alike.append(_Look(row, fingerprint(prepared.image), reduced(prepared.image)))
    cases = Counter(row.split for row, _ in kept)
    found += _about_all(rows, kept, source)
    if division is None:
        found += _too_few("", cases, batch_size)
    else:
        found += _too_few_of_vendors([row for row, _ in kept], division, batch_size)
    found += _same(alike)
    found += _nearly_same(alike)
    order = sorted(found, key=lambda finding: (finding.severity, finding.case))
    size = sum(each.image.nbytes + _bytes(each) for _, each in kept) / 1e6
    return Checked(tuple(order), {split: cases[split] for split in SPLITS}, size)


def _bytes(prepared: Prepared) -> int:
    return 0 if prepared.target is None else prepared.target.nbytes


def _about(row: Row, prepared: Prepared, task: TaskSettings) -> Iterator[tuple[Severity, str, str]]:
    image, target = prepared.image, prepared.target
    if float(image.max()) == float(image.min()):
        yield "warning", row.case, "the prepared image has one value throughout"
    if len(image) != task.channels or image.ndim != task.spatial_dims + 1:
        yield (
            "error",
            row.case,
            (
                f"shape {image.shape} (channels, space…); expected {task.channels} channel(s),"
                f" {task.spatial_dims} dimensions"
            ),
        )
    if task.target == "mask" and target is not None:
        unknown = sorted({int(label) for label in np.unique(target)} - set(range(task.outputs)))
        if unknown:
            yield "error", row.case, f"labels {unknown[:5]} that task.classes does not have"
        elif not target.any():
            yield "warning", row.case, "the mask is empty, as prepared"


def _too_few(of: str, cases: Counter[SplitName], batch_size: int) -> Iterator[Finding]:
    for split in SPLITS:
        if not cases[split]:
            yield Finding("error", "", f"{of}no case in {split}")
    if 0 < cases["train"] < batch_size:
        text = f"{of}{cases['train']} training cases for batches of {batch_size}"
        yield Finding("error", "", f"{text}; lower training.batch-size")


def _too_few_of_vendors(
    rows: Sequence[Row], division: Division, batch_size: int
) -> Iterator[Finding]:
    for vendor in division.vendors:
        cases = Counter(row.split for row in division.rows_of(rows, vendor))
        yield from _too_few(f"vendor {vendor.name}: ", cases, batch_size)
    for value, left in division.of_no_vendor(rows).items():
        text = f"{len(left)} cases of {value}, which no vendor of the roster has"
        yield Finding("warning", "", text)


@dataclass(frozen=True)
class _Look:
    """What is kept of an image to compare it with the others: all images would need memory."""

    row: Row
    whole: str
    small: Reduced | None


def _same(looks: Sequence[_Look]) -> Iterator[Finding]:
    """Find images that are the same: the index leaves out one only if stored pixels are."""
    first: dict[str, Row] = {}
    for look in looks:
        other = first.setdefault(look.whole, look.row)
        if other is look.row or look.small is None:  # images of one value have their own warning
            continue
        text = f"the prepared image is that of case {other.case}"
        if other.split == look.row.split:
            yield Finding("warning", look.row.case, text)
        else:
            where = f"{text}, which is in {other.split}, not in {look.row.split}"
            yield Finding("error", look.row.case, f"{where}; remove one of them, and index again")


def _nearly_same(looks: Sequence[_Look]) -> Iterator[Finding]:
    """Find images of different patients in different splits that differ by little."""
    pairs = [
        (looks[one], looks[other], correlation)
        for one, other, correlation in near_pairs(
            [look.small for look in looks], [look.row.split for look in looks]
        )
        if looks[one].whole != looks[other].whole
    ]
    if pairs:
        one, other, correlation = max(pairs, key=lambda pair: pair[2])
        yield Finding(
            "warning",
            one.row.case,
            f"nearly the image of case {other.row.case}, but in another split (correlation"
            f" {correlation:.4f}); of such pairs there are {len(pairs)}: is it one patient?",
        )


def _about_all(
    rows: Sequence[Row],
    kept: Sequence[tuple[Row, Prepared]],
    source: Source,
) -> Iterator[Finding]:
    bad = len(rows) - len(kept)
    if bad > source.most_unreadable * len(rows):
        share = f"{source.most_unreadable:.0%}"
        yield Finding("error", "", f"{bad} of {len(rows)} cases cannot be used; at most {share}")
    shapes = Counter(each.image.shape for _, each in kept)
    if len(shapes) > 1 and source.settings.patch is None:
        named = ", ".join(str(shape) for shape, _ in shapes.most_common(3))
        text = f"{len(shapes)} shapes, as {named}; set data.prepare.size, or patch"
        yield Finding("error", "", text)
    if kept:
        spacings = np.array([each.spacing for _, each in kept])
        ratio = spacings / np.median(spacings, axis=0)
        for (row, each), unlike in zip(kept, ratio, strict=True):
            if (unlike > UNUSUAL).any() or (unlike < 1 / UNUSUAL).any():
                sizes = " × ".join(f"{size:g}" for size in each.spacing)
                text = f"voxels of {sizes} mm, unlike the others"
                yield Finding("warning", row.case, text)
    if source.task.target == "mask":
        for label, name in enumerate(source.task.classes[1:], start=1):
            masks = (each.target for _, each in kept if each.target is not None)
            if kept and not any((mask == label).any() for mask in masks):
                yield Finding("warning", "", f"no case has a voxel of {name}")
