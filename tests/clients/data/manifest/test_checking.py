"""Rules of the check of a folder before training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from clients.data.manifest.rows import read_manifest, write_manifest
from strategies.errors import ConfigurationError, DataError
from tests.clients.data.manifest.test_loading import (
    _own_state,  # noqa: F401 – a fixture
    break_images,
    federation_file,
    indexed,
    srflm,
)


def check(folder: Path) -> tuple[int, dict[str, object], list[tuple[str, str, str]]]:
    """Return exit code, what was printed, and the findings."""
    result = srflm("data", "check", folder, folder.parent / "federation.toml", "--json")
    found = json.loads(result.output)
    return result.exit_code, found, [tuple(each.values()) for each in found["findings"]]


def write_mask(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> str:
    """Change a mask; return its case."""
    row = read_manifest(folder / "manifest.csv")[0]
    image = nibabel.load(folder / row.target)
    values = change(np.asarray(image.dataobj).copy())
    nibabel.save(nibabel.Nifti1Image(values, image.affine), folder / row.target)
    return row.case


def test_good_folder_has_no_finding(tmp_path: Path) -> None:
    code, found, findings = check(indexed(tmp_path))
    assert (code, findings) == (0, [])
    assert found["cases"] == {"train": 6, "validation": 2, "test": 2}
    table = srflm("data", "check", tmp_path / "a", tmp_path / "federation.toml").output
    assert "6 train, 2 validation, 2 test" in table and "0 errors, 0 warnings" in table


def test_unknown_label_is_an_error_that_names_the_case(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    case = write_mask(folder, lambda mask: mask * 7)
    code, _, findings = check(folder)
    assert code == 1
    assert findings == [("error", case, "labels [7] that task.classes does not have")]


def test_empty_mask_is_a_warning(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    case = write_mask(folder, np.zeros_like)
    code, _, findings = check(folder)
    assert code == 0
    assert findings == [("warning", case, "the mask is empty, as prepared")]


def test_mask_that_does_not_fit_is_named(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    case = write_mask(folder, lambda mask: mask[:-1])
    code, _, [(severity, named, text)] = check(folder)
    assert (code, severity, named) == (0, "warning", case)
    assert "SRFLM-D" in text


def test_few_bad_images_are_warnings_and_many_are_an_error(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    break_images(folder, 1)
    code, _, findings = check(folder)
    assert code == 0 and [severity for severity, *_ in findings] == ["warning"]
    break_images(folder, 3)
    code, _, findings = check(folder)
    assert code == 1
    assert ("error", "", "3 of 10 cases cannot be used; at most 20%") in findings


def test_unusual_voxels_and_one_value_are_warnings(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    file = federation_file(tmp_path)
    file.write_text(file.read_text().replace("spacing = [1, 1, 1], ", ""))
    for kind, values in (
        ("images", np.full((6, 7, 8), 5, np.int16)),
        ("masks", np.ones((6, 7, 8))),
    ):
        written = nibabel.Nifti1Image(values.astype(np.int16), np.diag([9.0, 1, 2, 1]))
        nibabel.save(written, folder / kind / "odd.nii.gz")
    srflm("data", "index", folder, file)
    code, _, findings = check(folder)
    assert code == 0
    texts = {text for _, _, text in findings}
    assert texts == {
        "the prepared image has one value throughout",
        "voxels of 9 × 1 × 2 mm, unlike the others",
    }


def test_too_few_cases_are_errors(tmp_path: Path) -> None:
    folder = indexed(tmp_path, count=2)
    code, _, findings = check(folder)
    assert code == 1
    texts = [text for severity, _, text in findings if severity == "error"]
    assert any(text.startswith("no case in ") for text in texts)
    assert any("lower training.batch-size" in text for text in texts)


def test_folder_that_was_not_indexed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    result = srflm("data", "check", tmp_path / "a", federation_file(tmp_path))
    assert isinstance(result.exception, DataError)
    assert result.exception.code == DataError.MISSING


def test_federation_without_folders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r'data\.source = "files"'):
        raise srflm("data", "check", tmp_path).exception


def write_like(folder: Path, change: Callable[[np.ndarray], np.ndarray], split: str) -> str:
    """Add an image like one of the training cases, and give it a split; return its case."""
    row = next(r for r in read_manifest(folder / "manifest.csv") if r.split == "train")
    for kind, name in (("images", row.image), ("masks", row.target)):
        image = nibabel.load(folder / name)
        values = np.asarray(image.dataobj)
        changed = change(values) if kind == "images" else values
        nibabel.save(nibabel.Nifti1Image(changed, image.affine), folder / kind / "like.nii.gz")
    srflm("data", "index", folder, folder.parent / "federation.toml")
    rows = read_manifest(folder / "manifest.csv")
    moved = [r.in_split(split) if "like" in r.image else r for r in rows]  # type: ignore[arg-type]
    write_manifest(folder / "manifest.csv", moved)
    return next(row.case for row in moved if "like" in row.image)


def brighter_at_one_place(values: np.ndarray) -> np.ndarray:
    """Return other stored pixels that are the same image once it is cut off at a percentile."""
    changed = values.copy()
    changed.flat[values.argmax()] += 1000
    return changed


def test_same_image_in_two_splits_is_an_error_and_in_one_a_warning(tmp_path: Path) -> None:
    folder = indexed(tmp_path)
    file = tmp_path / "federation.toml"
    file.write_text(file.read_text().replace("spacing = [1, 1, 1], ", ""))
    case = write_like(folder, brighter_at_one_place, "test")
    code, _, [(severity, named, text)] = check(folder)
    # Of two copies in two splits the one that comes later is named.
    assert (code, severity) == (1, "error") and "remove one of them" in text
    other = next(r for r in read_manifest(folder / "manifest.csv") if r.case in text)
    assert {named, other.case} == {case, other.case} and other.split == "train"
    rows = read_manifest(folder / "manifest.csv")
    write_manifest(
        folder / "manifest.csv", [r.in_split("train") if r.case == case else r for r in rows]
    )
    code, _, findings = check(folder)
    assert (code, findings) == (
        0,
        [("warning", case, f"the prepared image is that of case {other.case}")],
    )


def test_nearly_the_same_image_is_a_warning_across_splits_only(tmp_path: Path) -> None:
    def noisy(values: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(1).normal(0, 15, values.shape)
        return np.rint(0.8 * values + 40 + noise).astype(np.int16)

    folder = indexed(tmp_path)
    case = write_like(folder, noisy, "test")
    code, _, [(severity, named, text)] = check(folder)
    assert (code, severity) == (0, "warning") and "there are 1:" in text
    pair = {named, text.split("case ")[1].split(",")[0]}
    assert case in pair and len(pair) == 2
    rows = read_manifest(folder / "manifest.csv")
    write_manifest(
        folder / "manifest.csv", [r.in_split("train") if r.case == case else r for r in rows]
    )
    assert check(folder)[2] == []
