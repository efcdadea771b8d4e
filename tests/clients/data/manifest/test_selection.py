"""Rules of choosing among series: by the agreed table, by a site's own names, never in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pydicom.uid import MRImageStorage

from clients.data.manifest.indexing import Keys, index_folder
from clients.data.manifest.selection import NOT_SELECTED
from clients.imaging.select_settings import SelectSettings
from clients.settings import SplitSettings
from tests.clients.imaging.studies import volume_of_ct, write_study
from tests.support.dicom_series import AXIAL, CORONAL, SAGITTAL, affine_of
from tests.support.learning.tasks import classification

TASK = classification(spatial_dims=3)
KEYS = Keys(b"o" * 32, b"d")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write series that differ, and an image that says nothing of itself."""
    place = tmp_path_factory.mktemp("select")
    oblique = affine_of((1.5, 1.0, 2.0), degrees=20)
    mr = {"Modality": "MR", "SOPClassUID": MRImageStorage}
    kinds: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "axial": (AXIAL, None, {"SeriesDescription": "Abdomen VENOUS 2mm"}),
        "coronal": (CORONAL, oblique, {"SeriesDescription": "cor", "SliceThickness": "5"}),
        "sagittal": (SAGITTAL, None, {"ImageType": ["ORIGINAL", "PRIMARY", "M"], **mr}),
    }
    for seed, (name, (axes, affine, changes)) in enumerate(kinds.items()):
        write_study(place / "class-0" / name, volume_of_ct(seed=seed), axes, affine, **changes)
    (place / "class-1").mkdir()
    np.save(place / "class-1" / "plain.npy", np.random.default_rng(9).normal(size=(4, 5, 6)))
    return place


def chosen(folder: Path, *own: str, **settings: object) -> set[str]:
    select = SelectSettings.model_validate(
        {name.replace("_", "-"): value for name, value in settings.items()}
    )
    found = index_folder(folder, TASK, SplitSettings(), KEYS, select=select, descriptions=own)
    names = {row.image.rpartition("/")[2] for row in found.rows}
    left = {each.path for each in found.left_out if each.reason == NOT_SELECTED}
    # The others are counted, and images that are no DICOM are kept.
    assert {path.rpartition("/")[2] for path in left} == {"axial", "coronal", "sagittal"} - names
    assert "plain.npy" in names
    return names - {"plain.npy"}


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, {"axial", "coronal", "sagittal"}),
        ({"modality": ["CT"]}, {"axial", "coronal"}),
        ({"modality": ["CT", "MR"]}, {"axial", "coronal", "sagittal"}),
        ({"plane": ["axial"]}, {"axial"}),
        ({"plane": ["coronal", "sagittal"]}, {"coronal", "sagittal"}),
        ({"image_type": ["original", "M"]}, {"sagittal"}),
        ({"description": ["*venous*"]}, {"axial"}),
        ({"description": ["COR", "*ven?us*"]}, {"axial", "coronal"}),
        ({"thickness": [1.8, 2.5]}, {"axial"}),
        ({"thickness": [1.8, 6], "plane": ["sagittal"]}, set()),
    ],
)
def test_series_are_chosen_by_their_headers(
    folder: Path, settings: dict[str, object], names: set[str]
) -> None:
    assert chosen(folder, **settings) == names


def test_site_has_names_of_its_own_besides(folder: Path) -> None:
    assert chosen(folder, "abdomen*") == {"axial"}
    assert chosen(folder, "abdomen*", "cor", plane=["coronal"]) == {"coronal"}


@pytest.mark.parametrize(
    "settings",
    [{"thickness": [3, 1]}, {"thickness": [-1, 1]}, {"plane": ["oblique"]}, {"modality": [" "]}],
)
def test_settings_that_choose_nothing_sensible_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SelectSettings.model_validate(settings)
