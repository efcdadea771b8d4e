"""The description of an exported bundle, ``configs/metadata.json``, and its texts for people.

https://docs.monai.io/en/stable/mb_specification.html names the keys.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from clients.bundles.network_entry import NetworkEntry
from clients.bundles.preprocessing import SUFFIXES, form_of
from clients.bundles.record import RunRecord
from clients.models.model_file import ModelFile
from clients.networks.facts import NetworkFacts
from clients.networks.stock import SMALLEST_SIDE

VERSION = "0.1.0"  # of the first bundle of a model; its owners count on
_SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
# Of MONAI's runner, where they are not installed beside this package.
_AT_LEAST = {"nibabel": "5.3.0", "pytorch-ignite": "0.5.0", "fire": "0.7.0"}
_RESULTS = {
    "class": ("probabilities", "classes"),
    "mask": ("image", "segmentation"),
    "image": ("image", "magnitude"),
}
_WORDS = {
    "class": "the class of an image",
    "mask": "the class of each pixel or voxel",
    "image": "a restored image",
}


def metadata(
    file: ModelFile, entry: NetworkEntry, facts: NetworkFacts, record: RunRecord
) -> dict[str, Any]:
    """Return all keys of the specification for a model that was tried on ``facts.size``."""
    task = file.task
    patch = file.prepare.patch is not None
    known = patch or file.prepare.size is not None or file.image_shape is not None
    # Of any size: the network was tried on multiples of the one that suits.
    least = SMALLEST_SIDE if entry.pads else 1  # the bundle pads before the network
    shape = [max(side, least) if known else f"{side}*n" for side in facts.size]
    channels = task.classes or tuple(f"channel {n}" for n in range(task.channels))
    kind, form = _RESULTS[task.target]
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "unknown",
        "num_channels": task.channels,
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": [-1, 1],
        "is_patch_data": patch,
        "channel_def": {str(n): f"channel {n}" for n in range(task.channels)},
    }
    result = {
        "type": kind,
        "format": form,
        "modality": "unknown",
        "num_channels": task.outputs,
        "spatial_shape": shape if task.target != "class" else [1],
        "dtype": "float32",
        "value_range": [-1, 1] if task.target == "image" else [],
        "is_patch_data": patch,
        "channel_def": {str(n): name for n, name in enumerate(channels)},
    }
    return {
        "schema": _SCHEMA,
        "version": VERSION,
        "changelog": {VERSION: f"the model of federation {record.name or 'without a record'}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": required_packages(entry),
        "name": record.name or "srflm",
        "task": f"{task.kind}, {task.spatial_dims}D",
        "description": f"A network that finds {_WORDS[task.target]}, trained by server-rotating"
        " federated learning.",
        "authors": ", ".join(record.vendors) or "the members of a federation",
        "copyright": "the members of the federation; see LICENSE",
        "data_type": f"images in {', '.join(SUFFIXES[form_of(task, file.prepare)])}",
        "intended_use": "Research only; not for diagnosis.",
        "eval_metrics": dict(record.metrics),
        "srflm": {
            "federation": record.federation,
            "model": file.hash,
            "rounds": record.rounds,
            "prepare": file.prepare.model_dump(mode="json", by_alias=True, exclude_none=True),
        },
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": result}},
    }


def required_packages(entry: NetworkEntry) -> dict[str, str]:
    """Return the packages, with versions, that the bundle needs beside MONAI."""
    found = {name: _version(name, least) for name, least in _AT_LEAST.items()}
    if entry.needs_us:
        found["srflm-flower"] = _version("srflm-flower", VERSION)
    return found


def _version(name: str, otherwise: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return otherwise
