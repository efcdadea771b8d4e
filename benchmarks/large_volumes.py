"""Volumes that do not fit into memory: how fast cases are read again, how fast and in how much room
a network trains on them.

Reading again is compared with reading the source: a NIfTI volume that is resampled, a CT series of
60 slices, and an uncompressed slice.  Training from the files of the cache is compared with a plain
PyTorch loop over the same tensors in memory, in turn.  A process of its own then indexes, prepares,
trains on, and evaluates forty volumes of 256×256×128 voxels by patches, and tells the most memory
that it ever had.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import nibabel
import numpy as np
import torch
from monai.networks.nets import UNet
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from torch import nn

from benchmarks.measuring.markdown import table
from benchmarks.measuring.section import main
from benchmarks.measuring.spread import Spread, alternate, ratios
from clients.data.case_cache import CaseCache
from clients.data.manifest import untouched
from clients.data.manifest.indexing import Keys, index_folder
from clients.data.manifest.loading import Source, prepared_case, read_cases
from clients.data.manifest.rows import Row, write_manifest
from clients.data.records import Records
from clients.data.vendor_data import SplitName
from clients.evaluation import evaluate
from clients.preparation.settings import PrepareSettings
from clients.settings import SplitSettings, TrainingSettings
from clients.tasks.losses import dice_and_cross_entropy
from clients.tasks.registry import task_of
from clients.tasks.settings import ClassificationSettings, SegmentationSettings, TaskSettings
from clients.training import Work, batch_indices, make_optimizer, train

ORGANS = SegmentationSettings(kind="segmentation", classes=("none", "organ"), spatial_dims=3)
SMALL = PrepareSettings(
    orientation="RAS", spacing=(1.0,), normalise="percentile", size=(48, 48, 48)
)
CT = PrepareSettings(orientation="RAS", spacing=(1.0, 1.0, 3.0), window=(-160.0, 240.0))
SLICE = PrepareSettings(window=(-160.0, 240.0))
PATCHES = PrepareSettings(orientation="RAS", normalise="percentile", patch=(64, 64, 32))
KEYS = Keys(b"o" * 32, b"d" * 32)
SEED, TIMES, MIB = 65, 5, 2**20
GOALS = {"NIfTI volume, resampled": 20, "CT series of 60 slices": 100, "uncompressed slice": 2}


@dataclass(frozen=True)
class Large:
    """``again``: how many times faster than from its source a case is read from the cache.

    ``training``: steps a second from the cache ÷ those of a plain loop in memory.  ``most_mib``:
    the largest resident size of the process that learnt ``volumes`` volumes.
    """

    again: dict[str, float]
    training: Spread
    volumes: int
    most_mib: float
    data_mib: float

    def as_markdown(self) -> str:
        """Return two tables."""
        rows = [
            (what, f"{ratio:.0f} ×", f"≥ {GOALS[what]} ×") for what, ratio in self.again.items()
        ]
        more = [
            ("training from the cache ÷ a plain loop in memory", str(self.training), "≥ 0.9"),
            (
                f"most memory of a process, {self.volumes} volumes of 256×256×128"
                f" ({self.data_mib:.0f} MiB as prepared)",
                f"{self.most_mib:.0f} MiB",
                "≤ 1536 MiB",
            ),
        ]
        return table(("a later start reads", "faster than from the source", "goal"), rows) + (
            "\n\n" + table(("what", "measured", "goal"), more)
        )


def run(quick: bool, folder: Path) -> Large:
    """Measure all; ``quick`` takes four volumes instead of forty, and fewer slices and pairs."""
    again = {
        "NIfTI volume, resampled": faster_again(folder / "nifti", ORGANS, SMALL, _nifti),
        "CT series of 60 slices": faster_again(folder / "series", _volumes(), CT, _series),
        "uncompressed slice": faster_again(folder / "slice", _slices(), SLICE, _one_slice),
    }
    training = training_ratio(folder / "training", 2 if quick else 5)
    volumes = 4 if quick else 40
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        most, size = pool.apply(learn_large_volumes, (str(folder / "large"), volumes))
    return Large(again, training, volumes, most, size)


# ---- reading again -------------------------------------------------------------------------------


def faster_again(
    folder: Path, task: TaskSettings, settings: PrepareSettings, write: Callable[[Path], None]
) -> float:
    """Return how many times faster a case of ``folder`` is read from the cache than anew."""
    write(folder)
    row = _indexed(folder, task)[0]
    time.sleep(max(0.0, untouched.SETTLED + 1))  # a file that has just changed is not trusted

    def seconds(source: Source) -> float:
        started = time.perf_counter()
        case = prepared_case(row, folder, source)
        case.image.sum()  # mapped, it would not be read yet
        return time.perf_counter() - started

    anew, again = [], []
    for number in range(TIMES):
        cache = CaseCache(folder.with_name(f"{folder.name}-cache-{number}"))
        anew.append(_seconds_of_reading(row, folder, task, settings))
        seconds(_source(task, settings, cache))
        # Another start: nothing is remembered but what is in the cache's files.
        again.append(seconds(_source(task, settings, CaseCache(cache.folder))))
    return median(anew) / median(again)


def _seconds_of_reading(
    row: Row, folder: Path, task: TaskSettings, settings: PrepareSettings
) -> float:
    class NoCache(CaseCache):
        def prepared(self, key: str, make: Callable[[], Any]) -> Any:
            return make()

    source = _source(task, settings, NoCache(folder / "no cache"))
    started = time.perf_counter()
    prepared_case(row, folder, source).image.sum()
    return time.perf_counter() - started


def _source(task: TaskSettings, settings: PrepareSettings, cache: CaseCache) -> Source:
    return Source(task, settings, KEYS.owner, 0.0, cache, most_in_memory=0)


def _indexed(folder: Path, task: TaskSettings) -> tuple[Row, ...]:
    splits = SplitSettings(validation=0.2, test=0.2)
    rows = index_folder(folder, task, splits, KEYS).rows
    write_manifest(folder / "manifest.csv", rows)
    return rows


def _volumes() -> TaskSettings:
    return ClassificationSettings(kind="classification", classes=("a", "b"), spatial_dims=3)


def _slices() -> TaskSettings:
    return ClassificationSettings(kind="classification", classes=("a", "b"), spatial_dims=2)


# ---- training ------------------------------------------------------------------------------------


def training_ratio(folder: Path, pairs: int) -> Spread:
    """Return steps a second from the cache ÷ those of a plain loop over tensors in memory."""
    for number in range(12):
        _write_pair(folder, number, (48, 48, 48))
    _indexed(folder, ORGANS)
    source = _source(ORGANS, SMALL, CaseCache(folder.with_name("training-cache")))
    mapped = read_cases(folder / "manifest.csv", source)["train"]
    whole = list(mapped.whole())
    tensors = (
        torch.cat([each.images for each in whole]),
        torch.cat([each.targets for each in whole]),
    )
    settings, work = TrainingSettings(batch_size=2), Work(0.01, 1, steps=8)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _ours(mapped, work, settings), _plain(*tensors, work, settings)  # a warm-up of both
        ours, plain = alternate(
            lambda _: 1 / _ours(mapped, work, settings),
            lambda _: 1 / _plain(*tensors, work, settings),
            pairs,
        )
    finally:
        torch.set_num_threads(before)
    return ratios(ours, plain)


def _ours(data: Records, work: Work, settings: TrainingSettings) -> float:
    network, started = _network(), time.perf_counter()
    train(network, data, work, settings, SEED, torch.device("cpu"), loss=dice_and_cross_entropy)
    return time.perf_counter() - started


def _plain(
    images: torch.Tensor, targets: torch.Tensor, work: Work, settings: TrainingSettings
) -> float:
    network, started = _network().train(), time.perf_counter()
    optimizer = make_optimizer(network, settings, work.learning_rate)
    generator = torch.Generator().manual_seed(SEED)
    steps = work.gradient_steps(len(images), settings.batch_size)
    for rows in batch_indices(len(images), settings.batch_size, steps, generator):
        optimizer.zero_grad()
        dice_and_cross_entropy(network(images[rows]), targets[rows]).mean().backward()
        optimizer.step()
    return time.perf_counter() - started


def _network() -> nn.Module:
    torch.manual_seed(SEED)
    return UNet(3, 1, 2, channels=(8, 16, 32), strides=(2, 2), num_res_units=1)


# ---- memory --------------------------------------------------------------------------------------


def learn_large_volumes(folder: str, volumes: int) -> tuple[float, float]:
    """Index, prepare, train on, and evaluate volumes; return most memory and data size in MiB."""
    place = Path(folder)
    for number in range(volumes):
        _write_pair(place, number, (256, 256, 128))
    _indexed(place, ORGANS)
    source = _source(ORGANS, PATCHES, CaseCache(place.with_name("large-cache")))
    records = read_cases(place / "manifest.csv", source)
    network, task = _network(), task_of(ORGANS)
    work, settings = Work(0.01, 1), TrainingSettings(batch_size=2)
    train(network, records["train"], work, settings, SEED, torch.device("cpu"), loss=task.loss)
    names: tuple[SplitName, ...] = ("validation", "test")
    for name in names:
        evaluate(network, records[name], task, torch.device("cpu"), in_full=name == "test")
    size = sum(path.stat().st_size for path in source.cache.folder.glob("*.npy"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, size / MIB


# ---- files ---------------------------------------------------------------------------------------


def _nifti(folder: Path) -> None:
    _write_pair(folder, 0, (40, 56, 40))


def _write_pair(folder: Path, number: int, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(number)
    mask = np.zeros(shape, np.uint8)
    inside = tuple(slice(side // 4, side // 2) for side in shape)
    mask[inside] = 1
    image = rng.integers(0, 400, shape, np.int16)
    image[inside] += 300
    for kind, values in (("images", image), ("masks", mask)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        affine = np.diag([-1.0, -1.2, 1.0, 1.0])
        nibabel.save(nibabel.Nifti1Image(values, affine), folder / kind / f"{number}.nii")


def _series(folder: Path) -> None:
    _write_series(folder / "a" / "1", 60)


def _one_slice(folder: Path) -> None:
    _write_series(folder / "a" / "1", 1)


def _write_series(folder: Path, slices: int) -> None:
    folder.mkdir(parents=True)
    rng, study, series, frame = np.random.default_rng(0), *(generate_uid() for _ in range(3))
    for number in range(slices):
        _write_slice(
            folder / f"{number}.dcm",
            rng.integers(0, 2000, (512, 512), np.int16),
            number,
            {"StudyInstanceUID": study, "SeriesInstanceUID": series, "FrameOfReferenceUID": frame},
        )


def _write_slice(path: Path, pixels: NDArray[Any], number: int, names: dict[str, str]) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    elements = names | {
        "SOPClassUID": CTImageStorage, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "Modality": "CT", "PatientID": "1", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "ImagePositionPatient": [0, 0, 3 * number], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.8, 0.8], "SliceThickness": 3, "Rows": 512, "Columns": 512,
        "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1,
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "RescaleSlope": 1, "RescaleIntercept": -1024,
    }  # fmt: skip
    for name, value in elements.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)


if __name__ == "__main__":
    sys.exit(main("large_volumes", run, (__doc__ or "").splitlines()[0]))
