"""Rules of where a vendor's data come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clients.data.phantom import LESION_CLASSES
from clients.data.plan import DataPlan
from clients.data.sources import load_vendor_data, read_vendor_arrays
from clients.data.vendor_data import SPLITS, VendorData
from clients.partition_settings import ByClassPartition, DirichletPartition
from clients.preparation.settings import PrepareSettings
from clients.settings import FileData, NpzData, PhantomData, SplitSettings, VendorSettings
from clients.tasks.settings import ClassificationSettings
from strategies.errors import ConfigurationError, DataError
from tests.support.dicom_files import stored_by_ge, stored_by_toshiba, write_dicom

TWO = (VendorSettings(name="a"), VendorSettings(name="b"))
PHANTOM = PhantomData(examples=40, image_size=16)
FILES = FileData(source="files", image_size=16)
WINDOWED = FileData(source="files", prepare=PrepareSettings(window=(-160, 240)))


def plan_of(**fields: Any) -> DataPlan:
    plain: dict[str, Any] = {
        "data": PHANTOM,
        "task": ClassificationSettings(),
        "vendors": TWO,
        "splits": SplitSettings(),
        "batch_size": 8,
        "seed": 65,
    }
    return DataPlan(**(plain | fields))


def dirichlet(path: Path, **fields: Any) -> NpzData:
    return NpzData(source="npz", path=path, partition=DirichletPartition(alpha=5.0), **fields)


def by_class(path: Path) -> NpzData:
    return NpzData(source="npz", path=path, partition=ByClassPartition(kind="by-class"))


def rows(data: VendorData, split: str) -> list[bytes]:
    return [image.numpy().tobytes() for image in getattr(data, split).images]


# ---- the phantom ---------------------------------------------------------------------------------


def test_phantom_divides_its_examples_over_the_splits() -> None:
    data = load_vendor_data(plan_of(), "a")
    assert [len(data.split(name)) for name in SPLITS] == [24, 8, 8]
    assert data.train.images.shape[1:] == (1, 16, 16)
    assert -1 <= data.train.images.min() < data.train.images.max() <= 1


def test_phantom_vendor_with_fewer_images_has_some_of_those_that_it_would_have() -> None:
    few = (VendorSettings(name="a", max_examples=9), *TWO[1:])
    limited, whole = (load_vendor_data(plan_of(vendors=each), "a") for each in (few, TWO))
    assert [len(limited.split(name)) for name in SPLITS] == [9, 8, 8]
    assert set(rows(limited, "train")) < set(rows(whole, "train"))


def test_equal_plans_give_equal_data_and_other_seeds_do_not() -> None:
    first, other = (read_vendor_arrays(plan_of(seed=seed), "a")["train"][0] for seed in (65, 66))
    again = read_vendor_arrays(plan_of(), "a")["train"][0]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_phantom_vendors_have_patients_of_their_own() -> None:
    one, other = (load_vendor_data(plan_of(), name) for name in "ab")
    assert not set(rows(one, "train")) & set(rows(other, "train"))


def test_phantom_vendor_does_not_depend_on_who_else_is_a_member() -> None:
    more = (*TWO, VendorSettings(name="c"))
    np.testing.assert_array_equal(
        read_vendor_arrays(plan_of(), "b")["test"][0],
        read_vendor_arrays(plan_of(vendors=more), "b")["test"][0],
    )


def test_vendor_with_a_number_keeps_its_data_when_others_leave(tmp_path: Path) -> None:
    for label in ("none", "cyst"):
        (tmp_path / label).mkdir()
        for number in range(12):
            pixels = np.full((16, 16), 9 * number + (label == "cyst"), np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{number}.png")
    task = ClassificationSettings(classes=("none", "cyst"))
    for data, path, classes in ((PHANTOM, None, ClassificationSettings()), (FILES, tmp_path, task)):
        both = tuple(VendorSettings(name=name, path=path) for name in "ab")
        alone = (VendorSettings(name="b", path=path, number=1),)
        renumbered = (VendorSettings(name="b", path=path),)
        plans = [plan_of(vendors=v, data=data, task=classes) for v in (both, alone, renumbered)]
        before, after, other = (read_vendor_arrays(plan, "b")["test"][0] for plan in plans)
        np.testing.assert_array_equal(before, after)
        assert not np.array_equal(before, other)


def test_phantom_with_wrong_number_of_classes_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        load_vendor_data(plan_of(task=ClassificationSettings(classes=("no", "yes"))), "a")
    assert caught.value.code == DataError.LABELS_OUTSIDE_CLASSES
    assert "2 names in task.classes for the phantom" in caught.value.found
    assert ", ".join(LESION_CLASSES) in caught.value.expected


def test_label_alpha_makes_the_class_mixes_unlike() -> None:
    data = PhantomData(examples=200, image_size=16, label_alpha=0.2)
    plan = plan_of(data=data, splits=SplitSettings(allow_one_class=True))
    mixes = [
        np.bincount(read_vendor_arrays(plan, name)["train"][1], minlength=4) / 120 for name in "ab"
    ]
    assert np.abs(mixes[0] - mixes[1]).max() > 0.2


def test_phantom_with_too_few_examples_for_every_split_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        load_vendor_data(plan_of(data=PhantomData(examples=2, image_size=16)), "a")
    assert caught.value.code == DataError.NO_EXAMPLES


# ---- one file, divided ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dirichlet", "by-class"])
def test_vendors_of_one_file_are_disjoint_and_complete(phantom_npz: Path, kind: str) -> None:
    vendors = (
        VendorSettings(name="a", classes=(0, 1)),
        VendorSettings(name="b", classes=(1, 2, 3)),
    )
    data = dirichlet(phantom_npz) if kind == "dirichlet" else by_class(phantom_npz)
    loaded = [load_vendor_data(plan_of(data=data, vendors=vendors), name) for name in "ab"]
    for split, count in zip(SPLITS, (80, 30, 30), strict=True):
        one, other = (rows(each, split) for each in loaded)
        assert len(one) + len(other) == count
        assert not set(one) & set(other)


def test_by_class_vendors_have_only_their_classes(phantom_npz: Path) -> None:
    vendors = (VendorSettings(name="a", classes=(2, 0)), VendorSettings(name="b", classes=(1, 3)))
    plan = plan_of(data=by_class(phantom_npz), vendors=vendors)
    assert set(load_vendor_data(plan, "a").train.targets.tolist()) == {0, 2}
    assert set(load_vendor_data(plan, "b").test.targets.tolist()) == {1, 3}


def test_by_class_vendor_without_examples_in_a_split_is_refused(
    phantom_npz: Path, tmp_path: Path
) -> None:
    with np.load(phantom_npz) as archive:
        arrays = dict(archive)
    arrays["val_labels"][:] = 0
    np.savez(tmp_path / "x.npz", **arrays)
    vendors = (VendorSettings(name="a", classes=(0, 1)), VendorSettings(name="b", classes=(2, 3)))
    with pytest.raises(DataError) as caught:
        load_vendor_data(plan_of(data=by_class(tmp_path / "x.npz"), vendors=vendors), "b")
    assert caught.value.code == DataError.NO_EXAMPLES


def test_by_class_without_classes_is_refused(phantom_npz: Path) -> None:
    with pytest.raises(ConfigurationError, match="no classes for a, b"):
        load_vendor_data(plan_of(data=by_class(phantom_npz)), "a")


def test_limit_on_all_vendors_together_is_kept(phantom_npz: Path) -> None:
    plan = plan_of(data=dirichlet(phantom_npz, max_examples=40))
    loaded = [load_vendor_data(plan, name) for name in "ab"]
    assert sum(len(data.train) for data in loaded) == 40
    assert sum(len(data.test) for data in loaded) == 30


def test_limit_on_one_vendor_is_kept_and_leaves_the_other_alone(phantom_npz: Path) -> None:
    limited = (VendorSettings(name="a", max_examples=9), VendorSettings(name="b"))
    plain = plan_of(data=dirichlet(phantom_npz))
    plan = plan_of(data=dirichlet(phantom_npz), vendors=limited)
    whole, some = load_vendor_data(plain, "a"), load_vendor_data(plan, "a")
    assert len(some.train) == 9
    assert set(rows(some, "train")) < set(rows(whole, "train"))
    assert rows(some, "test") == rows(whole, "test")
    assert rows(load_vendor_data(plan, "b"), "train") == rows(load_vendor_data(plain, "b"), "train")


def test_label_outside_the_classes_is_refused_with_the_file_named(phantom_npz: Path) -> None:
    task = ClassificationSettings(classes=("none", "cyst", "solid"))
    with pytest.raises(DataError) as caught:
        load_vendor_data(plan_of(data=dirichlet(phantom_npz), task=task), "a")
    assert caught.value.code == DataError.LABELS_OUTSIDE_CLASSES
    assert str(phantom_npz) in caught.value.found
    assert "labels from 0 to 2" in caught.value.expected


def test_batch_that_no_division_can_fill_is_refused(phantom_npz: Path) -> None:
    with pytest.raises(ConfigurationError, match="no Dirichlet"):
        load_vendor_data(plan_of(data=dirichlet(phantom_npz), batch_size=60), "a")


# ---- a file for each vendor ----------------------------------------------------------------------


def test_every_vendor_reads_its_own_file_or_folder(phantom_npz: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in LESION_CLASSES:
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(25):
            pixels = rng.integers(0, 256, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    vendors = (
        VendorSettings(name="a", path=phantom_npz, max_examples=20),
        VendorSettings(name="b", path=tmp_path / "images"),
    )
    plan = plan_of(data=FileData(source="files"), vendors=vendors)
    assert [len(load_vendor_data(plan, "a").split(name)) for name in SPLITS] == [20, 30, 30]
    sizes = [len(load_vendor_data(plan, "b").split(name)) for name in SPLITS]
    assert sum(sizes) == 25 * len(LESION_CLASSES) and all(sizes)


def test_vendor_without_a_path_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no path for vendor 'a'"):
        load_vendor_data(plan_of(data=FileData(source="files")), "a")


@pytest.mark.parametrize("name", ["none.npz", "none"])
def test_path_that_leads_nowhere_is_refused(tmp_path: Path, name: str) -> None:
    vendors = (VendorSettings(name="a", path=tmp_path / name), TWO[1])
    with pytest.raises(DataError) as caught:
        load_vendor_data(plan_of(data=FileData(source="files"), vendors=vendors), "a")
    assert caught.value.code == DataError.MISSING


def test_vendors_of_two_makers_get_the_same_input_for_the_same_hu(tmp_path: Path) -> None:
    hu = np.random.default_rng(0).integers(-1000, 1000, (30, 16, 16))
    for maker, store in (("a", stored_by_ge), ("b", stored_by_toshiba)):
        for number, image in enumerate(hu):
            stored, elements = store(image)
            folder = tmp_path / maker / ("lesion" if number % 2 else "none")
            folder.mkdir(parents=True, exist_ok=True)
            write_dicom(folder / f"{number:02}.dcm", stored, **elements)
    vendors = tuple(VendorSettings(name=name, path=tmp_path / name, number=1) for name in "ab")
    plan = plan_of(
        data=WINDOWED, vendors=vendors, task=ClassificationSettings(classes=("none", "lesion"))
    )
    loaded = [load_vendor_data(plan, name) for name in "ab"]
    everything = [torch.cat([each.split(name).images for name in SPLITS]) for each in loaded]
    one, other = (torch.sort(each.flatten())[0] for each in everything)
    torch.testing.assert_close(one, other)
    assert one[0] == -1 and one[-1] == 1


def test_one_file_is_refused_where_a_window_is_agreed(phantom_npz: Path) -> None:
    vendors = (VendorSettings(name="a", path=phantom_npz), TWO[1])
    with pytest.raises(DataError, match="in no unit") as caught:
        load_vendor_data(plan_of(data=WINDOWED, vendors=vendors), "a")
    assert caught.value.code == DataError.WINDOW


def test_one_file_is_refused_where_a_geometry_is_agreed(phantom_npz: Path) -> None:
    vendors = (VendorSettings(name="a", path=phantom_npz), TWO[1])
    sized = FileData(source="files", prepare=PrepareSettings(size=(8,)))
    with pytest.raises(DataError, match="one file of prepared images") as caught:
        load_vendor_data(plan_of(data=sized, vendors=vendors), "a")
    assert caught.value.code == DataError.GEOMETRY


# ---- the cache -----------------------------------------------------------------------------------


def test_data_are_read_once_a_process() -> None:
    assert load_vendor_data(plan_of(), "a") is load_vendor_data(plan_of(), "a")
    other = load_vendor_data(plan_of(seed=66), "a")
    assert not torch.equal(other.train.images, load_vendor_data(plan_of(), "a").train.images)


def test_vendors_of_one_file_read_it_once(
    phantom_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[object] = []
    load = np.load
    monkeypatch.setattr(np, "load", lambda *a, **k: decoded.append(a) or load(*a, **k))
    for name in "ab":
        load_vendor_data(plan_of(data=dirichlet(phantom_npz)), name)
    assert len(decoded) == 1


def test_limit_on_one_vendor_leaves_the_shared_file_as_it_was(phantom_npz: Path) -> None:
    vendors = (
        VendorSettings(name="a", path=phantom_npz, max_examples=20),
        VendorSettings(name="b", path=phantom_npz),
    )
    plan = plan_of(data=FileData(source="files"), vendors=vendors)
    assert [len(load_vendor_data(plan, name).train) for name in "ab"] == [20, 80]
