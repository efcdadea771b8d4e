"""Which target belongs to which image, by the folders and names in which they lie.

Classes: ``<class>/<image>`` or ``<class>/<patient>/<image>``, anywhere below the indexed folder.
Masks: ``images/<name>`` and ``masks/<name>``.  Pairs of images: ``images/<name>`` and
``targets/<name>``.  Names are compared without their suffixes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from clients.tasks.shared_settings import TargetKind

IMAGES = ("images", "imagestr", "image", "inputs")
TARGETS: Mapping[TargetKind, tuple[str, ...]] = {
    "mask": ("masks", "labels", "labelstr", "mask", "segmentations"),
    "image": ("targets", "target", "outputs"),
}
"""Names of folders, lower case."""

NO_CLASS = "not in a folder of a class"
NO_TARGET = "image without a target"
NO_IMAGE = "target without an image"
TWICE = "two files of one name"
ELSEWHERE = "neither in a folder of images nor of targets"
_SUFFIXES = (
    *(".nii.gz", ".nii", ".npy", ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"),
    *(".dcm", ".dicom", ".ima"),
)
_CHANNEL = "_0000"  # nnU-Net writes it after the names of images


@dataclass(frozen=True)
class Pair:
    """An image and its target, a path or a class; ``patient`` is the folder's name, or "".

    Where ``told``, the site's people have said who the patient is, in a table.
    """

    image: str
    target: str
    patient: str
    told: bool = False


@dataclass(frozen=True)
class LeftOut:
    """A file that is no part of the data, and the reason in a few words, the same for many.

    ``why`` says more about this file, for the eyes of the site's own people.
    """

    path: str
    reason: str
    why: str = ""


def pairs_in(
    paths: Iterable[str], target: TargetKind, classes: Sequence[str]
) -> tuple[list[Pair], list[LeftOut]]:
    """Return the pairs among ``paths`` (from the indexed folder), and what is left out."""
    if target == "class":
        return _with_classes(sorted(paths), classes)
    return _with_files(sorted(paths), TARGETS[target])


def _with_classes(paths: Sequence[str], classes: Sequence[str]) -> tuple[list[Pair], list[LeftOut]]:
    pairs, out = [], []
    for path in paths:
        folders = PurePosixPath(path).parts[:-1]
        at = next((n for n, name in enumerate(folders) if name in classes), None)
        if at is None:
            out.append(LeftOut(path, NO_CLASS))
        else:
            patient = folders[at + 1] if len(folders) > at + 1 else ""
            pairs.append(Pair(path, folders[at], patient))
    return pairs, out


def _with_files(paths: Sequence[str], names: Sequence[str]) -> tuple[list[Pair], list[LeftOut]]:
    images: dict[tuple[str, ...], list[str]] = defaultdict(list)
    targets: dict[tuple[str, ...], list[str]] = defaultdict(list)
    out = []
    for path in paths:
        folders = [part.lower() for part in PurePosixPath(path).parts[:-1]]
        for found, known in ((images, IMAGES), (targets, names)):
            at = next((n for n, name in enumerate(folders) if name in known), None)
            if at is not None:
                found[_key(path, at)].append(path)
                break
        else:
            out.append(LeftOut(path, ELSEWHERE))
    pairs = []
    for key in sorted(images.keys() | targets.keys()):
        both = images.get(key, []), targets.get(key, [])
        if len(both[0]) > 1 or len(both[1]) > 1:
            out += [LeftOut(path, TWICE) for each in both for path in each]
        elif not both[1]:
            out.append(LeftOut(both[0][0], NO_TARGET))
        elif not both[0]:
            out.append(LeftOut(both[1][0], NO_IMAGE))
        else:
            inside = key[-2] if len(key) > 1 and key[-2] else ""
            pairs.append(Pair(both[0][0], both[1][0], inside))
    return pairs, sorted(out, key=lambda each: each.path)


def _key(path: str, at: int) -> tuple[str, ...]:
    """Return the place of a file without the folder of images or targets and without suffixes.

    The last part but one is the folder inside of that, or "".
    """
    parts = PurePosixPath(path).parts
    inside = "/".join(parts[at + 1 : -1])
    return (*parts[:at], inside, stem(parts[-1]).removesuffix(_CHANNEL))


def stem(name: str) -> str:
    """Return the name of an image's file without its suffix, or of a series' folder as it is."""
    name = name.partition("#")[0]
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name
