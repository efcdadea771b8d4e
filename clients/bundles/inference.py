"""The entry file of an exported bundle, ``configs/inference.json``."""

from __future__ import annotations

from typing import Any

from clients.bundles.network_entry import NetworkEntry
from clients.bundles.preprocessing import KEY, SUFFIXES, definitions, form_of, preprocessing
from clients.data.records import BLANK, images_at_once
from clients.evaluation import OVERLAP
from clients.preparation.settings import PrepareSettings
from clients.tasks.settings import TaskSettings

Entry = dict[str, Any]
_FEW = 256  # labels that a byte can hold


def inference_config(
    entry: NetworkEntry, task: TaskSettings, settings: PrepareSettings, image_size: int | None
) -> Entry:
    """Return the entries by which ``python -m monai.bundle run`` predicts a folder of images.

    Raises :class:`strategies.errors.ConfigurationError` for a preparation that transforms of MONAI
    cannot repeat.
    """
    suffixes = SUFFIXES[form_of(task, settings)]
    return {
        "imports": ["$import pathlib", "$import numpy", "$import torch", "$import monai"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        "suffixes": suffixes,
        "datalist": "$[{'image': str(path)} for path in sorted(pathlib.Path(@dataset_dir)"
        ".iterdir()) if path.name.lower().endswith(tuple(@suffixes))]",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": entry.definition,
        "network": "$@network_def.to(@device)",
        **definitions(task, settings),
        "preprocessing": {
            "_target_": "Compose",
            "transforms": preprocessing(task, settings, image_size, entry.pads),
        },
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "shuffle": False,
            # Transforms are inverted by the objects that did them: in one process.
            "num_workers": 0,
        },
        "inferer": _inferer(settings.patch_of(task.spatial_dims)),
        "postprocessing": {"_target_": "Compose", "transforms": _postprocessing(task, settings)},
        "handlers": [
            {
                "_target_": "CheckpointLoader",
                "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"},
                "map_location": "@device",
            },
            *_savers(task),
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
            "amp": False,
        },
        "run": ["$@evaluator.run()"],
    }


def _inferer(patch: tuple[int, ...] | None) -> Entry:
    """Return the way in which `srflm predict` sees an image: whole, or by a sliding window."""
    if patch is None:
        return {"_target_": "SimpleInferer"}
    return {
        "_target_": "SlidingWindowInferer",
        "roi_size": list(patch),
        "sw_batch_size": images_at_once(patch),
        "overlap": OVERLAP,
        "mode": "gaussian",
        "cval": BLANK,
    }


def _postprocessing(task: TaskSettings, settings: PrepareSettings) -> list[Entry]:
    if task.target == "class":
        return [{"_target_": "Activationsd", "keys": "pred", "softmax": True}]
    if task.target == "mask":
        found: Entry = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}
        kind = "$numpy.uint8" if task.outputs <= _FEW else "$numpy.uint16"
    else:
        low, high = settings.window or (0.0, 1.0)
        found = {
            "_target_": "ScaleIntensityRanged",
            "keys": "pred",
            "a_min": -1.0,
            "a_max": 1.0,
            "b_min": low,
            "b_max": high,
            "clip": True,
        }
        kind = "$numpy.float32"
    return [
        found,
        {
            "_target_": "Invertd",
            "keys": "pred",
            "transform": "@preprocessing",
            "orig_keys": KEY,
            "nearest_interp": task.target == "mask",
            "to_tensor": True,
        },
        {
            "_target_": "SaveImaged",
            "keys": "pred",
            "output_dir": "@output_dir",
            "output_postfix": "pred",
            "output_ext": ".nii.gz",
            "output_dtype": kind,
            "separate_folder": False,
            # It lies there already, so nothing is resampled.  Without this, MONAI 1.6 takes a
            # volume for a slice, and fails where axes were exchanged.
            "resample": True,
        },
    ]


def _savers(task: TaskSettings) -> list[Entry]:
    if task.target != "class":
        return []
    return [
        {
            "_target_": "ClassificationSaver",
            "output_dir": "@output_dir",
            "filename": "predictions.csv",
            "batch_transform": "$lambda batch: [item['image'].meta for item in batch]",
            "output_transform": "$monai.handlers.from_engine(['pred'])",
        }
    ]
