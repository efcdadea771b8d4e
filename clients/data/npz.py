"""Read MedMNIST-style ``.npz`` files: arrays by split, without pickled objects."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.data.examples import TOLERANCE, Examples, Texts, patient_names
from clients.data.vendor_data import SplitName, flat_labels
from clients.tasks.shared_settings import TargetKind
from strategies.errors import DataError

Arrays = dict[SplitName, Examples]
_PREFIX: dict[SplitName, str] = {"train": "train", "validation": "val", "test": "test"}
_NAMES: dict[TargetKind, str] = {"class": "labels", "mask": "masks", "image": "targets"}


def read_npz(path: Path, target: TargetKind = "class") -> Arrays:
    """Return split → examples of a file with keys ``train_images``, ``train_labels``….

    Images are uint8, or float32 in [0, 1]. Labels are int64, from (n,) or (n, 1) in the file;
    masks (``train_masks``…) are whole numbers, and target images (``train_targets``…) are like
    images. ``train_patients``… (n,), numbers or texts, may name the images' patients, and
    ``train_spacing``… (n, dimensions) give the size of a pixel in mm. Do not write into the arrays:
    later calls return the same ones.

    Raises :class:`DataError` if the file is missing or damaged, lacks a key, or has arrays of
    another type or of lengths that do not match.
    """
    if not path.is_file():
        raise DataError(
            f"no file {path}",
            "a MedMNIST-style .npz file",
            "correct the path: `data` in site.toml at a site, else that in the federation file"
            " (relative paths start at that file)",
            DataError.MISSING,
        )
    state = path.stat()
    # The vendors of a simulation share one file: it is decoded once, until it changes.
    return dict(_decoded(path, target, state.st_mtime_ns, state.st_size))


def forget_decoded_files() -> None:
    """Drop the decoded files from memory."""
    _decoded.cache_clear()


@lru_cache(maxsize=2)
def _decoded(path: Path, target: TargetKind, changed: int, size: int) -> Arrays:
    """Decode and check a file; ``changed`` (ns) and ``size`` serve as keys of the cache only."""
    raw = _unpacked(path, target)
    for split, examples in raw.items():
        _check_pair(examples.images, examples.targets, split, target, path)
    return {
        split: Examples(
            _usable_pixels(images, f"{split} images", path),
            _usable_targets(targets, target, split, path),
            patients=_hashed_patients(patients, len(images), split, path),
            spacing=_usable_spacing(spacing, len(images), split, path),
        )
        for split, (images, targets, _, patients, _, spacing) in raw.items()
    }


def _unpacked(path: Path, target: TargetKind) -> Arrays:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            named = any(f"{prefix}_patients" in archive for prefix in _PREFIX.values())
            sized = any(f"{prefix}_spacing" in archive for prefix in _PREFIX.values())
            return {
                split: Examples(
                    archive[f"{prefix}_images"],
                    archive[f"{prefix}_{_NAMES[target]}"],
                    patients=archive[f"{prefix}_patients"] if named else None,
                    spacing=archive[f"{prefix}_spacing"] if sized else None,
                )
                for split, prefix in _PREFIX.items()
            }
    except KeyError as error:
        wanted = (f"{prefix}_{noun}" for prefix in _PREFIX.values() for noun in _nouns(target))
        raise DataError(
            f"{path} lacks the array {error.args[0].split(' ')[0]}",
            f"arrays {', '.join(wanted)},"
            " and the patients and spacing of all three splits or of none",
            "write the file again with these names",
            DataError.UNREADABLE,
        ) from error
    except Exception as error:  # for a damaged archive NumPy, zipfile, and zlib raise many kinds
        raise DataError(
            f"{path} cannot be read as .npz ({type(error).__name__})",
            "a complete .npz file of plain arrays",
            "copy or download the file again",
            DataError.UNREADABLE,
        ) from error


def _nouns(target: TargetKind) -> tuple[str, str]:
    return "images", _NAMES[target]


def _check_pair(
    images: NDArray[np.generic],
    targets: NDArray[np.generic],
    split: str,
    target: TargetKind,
    path: Path,
) -> None:
    kinds, noun = images.dtype.kind + targets.dtype.kind, _NAMES[target]
    if not set(kinds) <= set("buif") or images.ndim == 0 or targets.ndim == 0:
        raise DataError(
            f"{path} has {split} images of type {images.dtype}, {noun} of type {targets.dtype}",
            "arrays of numbers",
            "write labels and masks as class indices (0, 1, …), the images as numbers",
            DataError.UNREADABLE,
        )
    if len(images) != len(targets):
        raise DataError(
            f"{path} has {len(images)} {split} images, {len(targets)} {noun}",
            f"one of the {noun} for each image",
            "write the file again",
            DataError.SHAPE,
        )


def _hashed_patients(
    patients: NDArray[np.generic] | None, count: int, split: str, path: Path
) -> Texts | None:
    if patients is None:
        return None
    if patients.shape != (count,) or patients.dtype.kind not in "iuUS":
        raise DataError(
            f"{path} has {split} patients of shape {patients.shape}, type {patients.dtype}",
            f"the name or number of each image's patient: shape ({count},)",
            "write the file again",
            DataError.SHAPE,
        )
    # Bytes become text first: else b"7" and "7" would be two patients.
    named = patients.astype(np.str_) if patients.dtype.kind == "S" else patients
    return patient_names(named.tolist())


def _usable_spacing(
    spacing: NDArray[np.generic] | None, count: int, split: str, path: Path
) -> NDArray[np.float64] | None:
    if spacing is None:
        return None
    fits = spacing.ndim == 2 and len(spacing) == count and spacing.dtype.kind in "uif"
    sizes = spacing.astype(np.float64) if fits else np.zeros(1)
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise DataError(
            f"{path} has {split} spacing of shape {spacing.shape}, type {spacing.dtype}",
            f"the size in mm of each image's pixels: shape ({count}, dimensions), all above 0",
            "write the file again",
            DataError.SHAPE,
        )
    return sizes


def _usable_targets(
    targets: NDArray[np.generic], target: TargetKind, split: str, path: Path
) -> NDArray[np.generic]:
    match target:
        case "class":
            return _class_indices(targets, split, path)
        case "mask":
            _check_whole(targets, f"{split} masks", path)
            return targets
        case "image":
            return _usable_pixels(targets, f"{split} targets", path)


def _usable_pixels(images: NDArray[np.generic], what: str, path: Path) -> NDArray[np.generic]:
    """Return uint8 unchanged, and floats in [0, 1] as float32 of this machine's byte order."""
    if images.dtype == np.uint8:
        return images
    fits = images.dtype.kind == "f"
    if images.size == 0:
        values = "without pixels"
    elif not np.isfinite(images).all():
        fits, values = False, "with NaN or infinite pixels"
    else:
        low, high = float(images.min()), float(images.max())
        fits = fits and low >= -TOLERANCE and high <= 1 + TOLERANCE
        values = f"from {low:g} to {high:g}"
    if fits:
        return images.astype(np.float32)
    raise DataError(
        f"{path} has {what} of type {images.dtype}, {values}",
        "pixels of type uint8, or finite floats from 0 to 1",
        "store uint8 0…255 or floats in [0, 1]",
        DataError.UNREADABLE,
    )


def _class_indices(labels: NDArray[np.generic], split: str, path: Path) -> NDArray[np.int64]:
    if labels.ndim != 1 and (labels.ndim != 2 or labels.shape[1] != 1):
        raise DataError(
            f"{path} has {split} labels of shape {labels.shape}",
            "one class index an image: shape (n,) or (n, 1)",
            "write class indices (0, 1, …) in place of one-hot or multi-label rows",
            DataError.SHAPE,
        )
    _check_whole(labels, f"{split} labels", path)
    return flat_labels(labels)


def _check_whole(labels: NDArray[np.generic], what: str, path: Path) -> None:
    if labels.dtype.kind == "f" and not (np.isfinite(labels) & (np.trunc(labels) == labels)).all():
        raise DataError(
            f"{path} has {what} of type {labels.dtype} that are no whole numbers",
            "class indices: 0, 1, …",
            "write them as class indices (0, 1, …)",
            DataError.UNREADABLE,
        )
