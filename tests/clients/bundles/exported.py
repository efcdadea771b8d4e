"""Models of each task, the images that they predict, and MONAI's own runner of bundles."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from clients.bundles.record import RunRecord
from clients.bundles.writing import write_bundle
from clients.models.model_file import ModelFile
from clients.networks.build import initial_network
from clients.networks.weights import get_weights
from clients.preparation.settings import PrepareSettings
from clients.settings import ModelSettings
from clients.tasks.settings import (
    ClassificationSettings,
    RestorationSettings,
    SegmentationSettings,
    TaskSettings,
)

RECORD = RunRecord(
    name="demo",
    federation="f" * 64,
    vendors=("aster", "borealis"),
    rounds=3,
    terms=3,
    model="the averaged model of term 2",
    metrics={"dice": 0.8125},
    epsilon={"aster": (1.5, 1e-5)},
    privacy="a promise",
)
UNET = {"channels": [8, 16], "strides": [2], "num_res_units": 1}
MASKS = SegmentationSettings(kind="segmentation", classes=("none", "a", "b"), spatial_dims=3)


@dataclass(frozen=True)
class Model:
    """Settings of a model file; ``needs_us`` is expected of its bundle."""

    network: str
    task: TaskSettings
    arguments: dict[str, Any] = field(default_factory=dict)
    prepare: PrepareSettings = PrepareSettings()  # noqa: RUF009
    image_size: int | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    needs_us: bool = False

    def write(self, path: Path) -> Path:
        """Write the model file, with random weights."""
        model = ModelSettings(network=self.network, arguments=self.arguments, **self.changes)
        size = (self.image_size,) * self.task.spatial_dims if self.image_size else None
        weights = get_weights(initial_network(model, self.task, 3, size))
        chosen = self.prepare.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        notes = {"prepare": chosen, "image-size": self.image_size, "federation": "f" * 64}
        known = {name: note for name, note in notes.items() if note is not None}
        ModelFile(model, self.task, weights, known).write(path)
        return path

    def export(self, folder: Path) -> Path:
        """Write the model file and the bundle into a folder; return the bundle's."""
        write_bundle(self.write(folder / "model.safetensors"), folder / "bundle", RECORD)
        return folder / "bundle"


MODELS: dict[str, Model] = {
    "segmentation, percentiles, resampled": Model(
        "UNet",
        MASKS,
        UNET,
        PrepareSettings(orientation="LPS", spacing=(1,), normalise="percentile", size=(40, 56, 40)),
    ),
    "segmentation, z-score": Model(
        "SegResNet",
        MASKS,
        {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]},
        PrepareSettings(orientation="SAR", normalise="z-score", size=(32, 64, 32)),
    ),
    "segmentation, by patches": Model(
        "UNet",
        MASKS,
        UNET,
        PrepareSettings(orientation="RAS", normalise="percentile", patch=(32, 24, 16)),
    ),
    "restoration of volumes": Model(
        "UNet",
        RestorationSettings(kind="restoration", spatial_dims=3),
        UNET,
        PrepareSettings(window=(100, 900), spacing=(1.0, 1.0, 2.0), size=(40, 48, 36)),
    ),
    "restoration of slices": Model(
        "UNet",
        RestorationSettings(kind="restoration"),
        UNET,
        PrepareSettings(window=(0, 1000), size=(48,)),
    ),
    "restoration of pictures": Model(
        "dncnn", RestorationSettings(kind="restoration"), {"depth": 3, "width": 8}, needs_us=True
    ),
    "classification": Model(
        "small-cnn", ClassificationSettings(), changes={"width": 8}, image_size=32, needs_us=True
    ),
    "classification of colour pictures": Model(
        "resnet18", ClassificationSettings(channels=3), image_size=28
    ),
    "classification of small pictures": Model(
        "densenet121", ClassificationSettings(), image_size=28
    ),
    "classification, private": Model(
        "DenseNet",
        ClassificationSettings(),
        {"init_features": 8, "growth_rate": 4, "block_config": [2, 2]},
        changes={"dp_ready": True},
        image_size=32,
        needs_us=True,
    ),
}


def write_images(model: Model, folder: Path) -> list[Path]:
    """Write three images of the form that the model's bundle takes; return their files."""
    folder.mkdir()
    rng = np.random.default_rng(0)

    def smooth(*shape: int) -> NDArray[Any]:
        found = gaussian_filter(rng.normal(size=shape), 1.5)
        return np.asarray((found - found.min()) / np.ptp(found) * 1000)

    if model.task.spatial_dims == 3:
        return _volumes(smooth, folder)
    paths = []
    for number in range(3):
        side = model.image_size or 48
        if model.prepare.window is not None:
            path = folder / f"{number}.npy"
            np.save(path, smooth(52, 40).astype(np.float32))
        else:
            path = folder / f"{number}.png"
            values = (smooth(side, side) / 4).astype(np.uint8)
            colours = (values, values[::-1], values.T)
            grey = model.task.channels == 1
            Image.fromarray(values if grey else np.stack(colours, -1)).save(path)
        paths.append(path)
    return paths


def _volumes(smooth: Any, folder: Path) -> list[Path]:
    """Write volumes that lie in three ways, one of them oblique, in three sizes of voxels."""
    import nibabel

    cos, sin = np.cos(0.2), np.sin(0.2)
    places = {
        "turned.nii.gz": [[-1.3, 0, 0, 20], [0, 0.9, 0, -30], [0, 0, 1.1, 5]],
        "exchanged.nii.gz": [[0, 0, 1.2, 3], [-1, 0, 0, 7], [0, -0.8, 0, 11]],
        "oblique.nii": [[cos, -sin, 0, 3], [sin, cos, 0, 7], [0, 0, 2, 11]],
    }
    shapes = (38, 50, 44), (30, 64, 33), (41, 41, 29)
    for (name, rows), shape in zip(places.items(), shapes, strict=True):
        values = smooth(*shape).astype(np.int16 if name == "exchanged.nii.gz" else np.float32)
        nibabel.save(nibabel.Nifti1Image(values, np.array([*rows, [0, 0, 0, 1]])), folder / name)
    return [folder / name for name in places]


def monai_bundle(command: str, bundle: Path, *words: object) -> None:
    """Run ``python -m monai.bundle``, which must succeed."""
    configs = bundle / "configs"
    config = ["--config_file", str(configs / "inference.json")]
    if command == "verify_metadata":
        config = []
    meta = ["--meta_file", str(configs / "metadata.json")]
    root = ["--bundle_root", str(bundle)] if command == "run" else []
    ended = subprocess.run(
        [sys.executable, "-m", "monai.bundle", command, *map(str, words), *config, *meta, *root],
        capture_output=True,
        text=True,
        check=False,
        cwd=bundle.parent,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
