"""What tells images and patients apart stays the same, whatever is done to the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from clients.data.examples import Examples, older_names, record_name
from clients.data.folder import read_folder
from clients.data.image_file import load_image
from clients.data.npz import forget_decoded_files, read_npz
from clients.data.vendor_data import Split, VendorData, as_split, check_vendor_data
from clients.privacy.ledger.ledger import PrivacyLedger
from clients.privacy.ledger.manifest import Manifest, manifest_of
from clients.privacy.training.units import count_units, make_units, patients_of
from clients.settings import SplitSettings
from clients.tasks.registry import task_of
from strategies.errors import DataError
from tests.support.learning.tasks import classification

CLASSES = ("cyst", "solid")
PIXELS = np.random.default_rng(5).integers(0, 256, (12, 16, 16, 3), np.uint8)

RGB = classification(channels=3)


def write_patients(folder: Path) -> None:
    """Write 12 images of five patients and of two images without a patient."""
    for number, pixels in enumerate(PIXELS):
        patient = "" if number in (3, 7) else f"P{number % 5}"
        study = "study" if patient and number > 5 else ""
        place = folder / CLASSES[number % 2] / patient / study
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")


def read(folder: Path, image_size: int | None = None, seed: int = 0) -> dict[str, Split]:
    arrays = read_folder(folder, CLASSES, image_size, SplitSettings(), b"%d" % seed)
    return {name: as_split(each, RGB) for name, each in arrays.items()}


def test_images_of_a_file_are_the_images_of_a_folder_of_any_size(tmp_path: Path) -> None:
    write_patients(tmp_path)
    of_file = set(as_split(Examples(PIXELS, np.zeros(12)), RGB).records)
    for size in (None, 32):
        splits = read(tmp_path, size).values()
        assert {each for split in splits for each in split.records} == of_file
    assert len(of_file) == 12


@pytest.mark.parametrize(
    "other",
    [PIXELS[1], PIXELS[0, ::-1].astype(np.int16), PIXELS[0][:, :8], PIXELS[0] + np.uint8(1)],
)
def test_another_image_has_another_name(other: np.ndarray) -> None:
    assert record_name(PIXELS[0]) == record_name(PIXELS[0].copy()) != record_name(other)
    swapped = PIXELS[0].astype(">i2"), PIXELS[0].astype("<i2")
    assert record_name(swapped[0]) == record_name(swapped[1])


def saved_images(folder: Path, pixels: np.ndarray) -> list[str]:
    """Save one image in every way that leaves a network's input as it is; return its names."""
    floats = pixels.astype(np.float32) / 255
    kinds = [pixels, floats, pixels / 255, pixels.astype(np.float64) * (1 / 255)]
    place = folder / "folder" / CLASSES[0]
    place.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(place / "1.png")
    Image.fromarray(pixels).save(place / "2.bmp")
    for number, kind in enumerate(kinds):
        np.save(place / f"{number}.npy", kind if kind.ndim == 2 else np.moveaxis(kind, -1, 0))
    found = [load_image(path).name for path in place.iterdir()]
    for kind in kinds:
        labels = np.zeros(1, np.int64)
        one = {"images": kind[None], "labels": labels}
        named = {f"{s}_{n}": one[n] for s in ("train", "val", "test") for n in one}
        np.savez(folder / "one.npz", **named)
        forget_decoded_files()
        channels = 1 if pixels.ndim == 2 else 3
        found += as_split(
            read_npz(folder / "one.npz")["train"], classification(channels=channels)
        ).records
    return found


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    pixels=st.sampled_from([(6, 5), (8, 8, 3)]).flatmap(
        lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 255), unique=False)
    )
)
def test_an_image_is_one_record_in_every_file_type_and_number_type(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    names = saved_images(tmp_path, pixels)
    assert len(names) == 10 and set(names) == {record_name(pixels)}
    other = pixels.copy()
    other.flat[0] ^= 1
    assert record_name(other) != record_name(pixels)


@pytest.mark.parametrize("entered", [np.uint8, np.float32])
@pytest.mark.parametrize("shown", [np.uint8, np.float32])
def test_ledger_of_an_older_version_recognises_its_images(
    tmp_path: Path, entered: type, shown: type
) -> None:
    """An older version named an image by its stored type; its rows still count."""
    one, two = (
        PIXELS if kind is np.uint8 else PIXELS.astype(np.float32) / 255 for kind in (entered, shown)
    )
    ledger = PrivacyLedger(tmp_path / "state" / "privacy.sqlite", tmp_path / "privacy.anchor")
    before = ledger.enrol(Manifest.of(older_names(each)[0] for each in one[:6]))
    now = ledger.enrol(manifest_of(as_split(Examples(two[5:], np.zeros(7)), RGB)))
    strange = ledger.enrol(
        manifest_of(as_split(Examples(two[6:] / np.float32(512), np.zeros(6)), RGB))
    )
    books = ledger.books()
    assert books.group(now) == {before, now}
    assert books.group(strange) == {strange}


@pytest.mark.parametrize("seed", [2, 4, 6, 7, 8])  # others leave a split of so few empty
def test_images_of_a_patient_stay_together(tmp_path: Path, seed: int) -> None:
    write_patients(tmp_path)
    splits = read(tmp_path, seed=seed)
    patients = [set(split.patients) for split in splits.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 7
    assert sum(map(len, splits.values())) == 12
    check = VendorData(splits["train"], splits["validation"], splits["test"])
    check_vendor_data(check, "a", task_of(RGB), 1, allow_one_class=True)
    assert not any("P" in name for name in set.union(*patients))


def test_units_are_patients_where_they_are_named(tmp_path: Path) -> None:
    write_patients(tmp_path)
    split = read(tmp_path)["train"]
    numbers = patients_of(split)
    units = make_units(len(split), numbers)
    assert len(units) == count_units(split, "patient") == len(set(split.patients)) < len(split)
    assert {split.patients[i] for i in units.members[0].tolist()} == {split.patients[0]}
    assert count_units(split, "record") == len(split)
    plain = Split(split.images, split.targets)
    assert count_units(plain, "patient") == len(make_units(len(plain), patients_of(plain)))


def test_manifest_knows_a_patient_again_under_other_images() -> None:
    def split(images: slice, patients: list[str]) -> Split:
        names = np.array(patients, dtype=np.str_)
        return as_split(Examples(PIXELS[images], np.zeros(2), None, names), RGB)

    one, same, other = (
        manifest_of(split(images, patients)).keyed(b"k")
        for images, patients in (
            (slice(0, 2), ["p", "q"]),
            (slice(2, 4), ["q", "r"]),
            (slice(4, 6), ["s", "t"]),
        )
    )
    assert not one.isdisjoint(same) and one.isdisjoint(other)


# ---- .npz files ----------------------------------------------------------------------------------


def write_npz(path: Path, **patients: object) -> Path:
    arrays: dict[str, object] = {f"{split}_patients": names for split, names in patients.items()}
    for number, split in enumerate(("train", "val", "test")):
        arrays[f"{split}_images"] = PIXELS[4 * number : 4 * number + 4]
        arrays[f"{split}_labels"] = np.array([0, 1, 0, 1])
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    "names", [[[1, 1, 2, 2], [3] * 4, [4] * 4], [["a"] * 4, ["b"] * 4, ["c"] * 4]]
)
def test_file_may_name_patients(tmp_path: Path, names: list[list[object]]) -> None:
    train, val, test = (np.array(each) for each in names)
    arrays = read_npz(write_npz(tmp_path / "x.npz", train=train, val=val, test=test))
    found = arrays["train"].patients
    assert found is not None and len(set(found.tolist())) == len(set(names[0]))
    assert found[0] == found[1] != names[0][0]


@pytest.mark.parametrize(
    ("patients", "found"),
    [
        ({"train": np.arange(4)}, "lacks the array val_patients"),
        ({"train": np.arange(3), "val": np.arange(4), "test": np.arange(4)}, "shape (3,)"),
        ({"train": np.ones(4), "val": np.ones(4), "test": np.ones(4)}, "type float64"),
    ],
)
def test_patients_that_do_not_fit_are_refused(
    tmp_path: Path, patients: dict[str, object], found: str
) -> None:
    with pytest.raises(DataError) as caught:
        read_npz(write_npz(tmp_path / "x.npz", **patients))
    assert found in caught.value.found


def test_patient_in_two_splits_is_refused(tmp_path: Path) -> None:
    names = {"train": np.arange(4), "val": np.arange(4, 8), "test": np.arange(3, 7)}
    arrays = read_npz(write_npz(tmp_path / "x.npz", **names))
    data = VendorData(*(as_split(arrays[name], RGB) for name in ("train", "validation", "test")))
    with pytest.raises(DataError) as caught:
        check_vendor_data(data, "a", task_of(RGB), 1, allow_one_class=False)
    assert "4 patients with images in test and in another split" in caught.value.found
