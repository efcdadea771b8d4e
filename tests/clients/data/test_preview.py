"""Rules of the picture of the vendors' data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clients.data.plan import DataPlan
from clients.data.preview import write_data_preview
from clients.partition_settings import DirichletPartition
from clients.settings import (
    DataSettings,
    FileData,
    NpzData,
    PhantomData,
    SplitSettings,
    VendorSettings,
)
from clients.tasks.settings import ClassificationSettings
from strategies.errors import ConfigurationError, RunFolderError

TWO = (VendorSettings(name="a"), VendorSettings(name="b"))


def plan_of(data: DataSettings, vendors: tuple[VendorSettings, ...] = TWO) -> DataPlan:
    return DataPlan(data, ClassificationSettings(), vendors, SplitSettings(), batch_size=4, seed=1)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return picture.size


def test_preview_of_the_phantom_has_a_column_a_scanner(tmp_path: Path) -> None:
    widths = []
    for count in (2, 4):
        vendors = tuple(VendorSettings(name=f"v{n}") for n in range(count))
        write_data_preview(tmp_path / "p.png", plan_of(PhantomData(image_size=32), vendors))
        widths.append(size_of(tmp_path / "p.png")[0])
    assert widths[1] > 1.5 * widths[0]


def test_preview_of_a_file_shows_every_vendor(phantom_npz: Path, tmp_path: Path) -> None:
    data = NpzData(source="npz", path=phantom_npz, partition=DirichletPartition(alpha=1.0))
    write_data_preview(tmp_path / "p.png", plan_of(data))
    assert min(size_of(tmp_path / "p.png")) > 300


def test_preview_of_volumes_shows_their_middle_slices(tmp_path: Path) -> None:
    arrays = {}
    for name in ("train", "val", "test"):
        arrays[f"{name}_images"] = np.random.default_rng(0).random((16, 8, 9, 10))
        arrays[f"{name}_labels"] = np.arange(16) % 2
    np.savez(tmp_path / "x.npz", **arrays)
    plan = DataPlan(
        NpzData(source="npz", path=tmp_path / "x.npz", partition=DirichletPartition(alpha=9.0)),
        ClassificationSettings(classes=("no", "yes"), spatial_dims=3),
        TWO,
        SplitSettings(),
        batch_size=2,
        seed=1,
    )
    write_data_preview(tmp_path / "p.png", plan)
    assert min(size_of(tmp_path / "p.png")) > 200


def test_preview_of_data_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        write_data_preview(tmp_path / "p.png", plan_of(FileData(source="files")))
    assert not (tmp_path / "p.png").exists()


@pytest.mark.parametrize("source", ["phantom", "npz"])
def test_missing_folder_is_made_and_a_folder_is_not_written_over(
    phantom_npz: Path, tmp_path: Path, source: str
) -> None:
    data: DataSettings = PhantomData(image_size=32)
    if source == "npz":
        data = NpzData(source="npz", path=phantom_npz, partition=DirichletPartition(alpha=1.0))
    write_data_preview(tmp_path / "new" / "er" / "p.png", plan_of(data))
    assert min(size_of(tmp_path / "new" / "er" / "p.png")) > 200
    with pytest.raises(RunFolderError, match="could not be written") as caught:
        write_data_preview(tmp_path / "new", plan_of(data))
    assert caught.value.code == RunFolderError.NOT_WRITABLE
