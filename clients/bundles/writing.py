"""Write a model as a MONAI bundle: configuration, weights, licence, and the record of its run.

https://docs.monai.io/en/stable/mb_specification.html describes the folder.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from clients.bundles.inference import inference_config
from clients.bundles.metadata import metadata
from clients.bundles.network_entry import network_entry
from clients.bundles.record import RunRecord
from clients.bundles.texts import licence_text, readme_text
from clients.files.durable import write_durably
from clients.models.model_file import load_model, read_model_file
from clients.networks.build import try_network
from strategies.errors import ConfigurationError

_RUNS = ("$", "@", "%")
"""The first letters of a text that MONAI's parser evaluates, refers by, or reads a file by."""
_BATCH = 2


def write_bundle(model: Path, folder: Path, record: RunRecord) -> None:
    """Write the model file ``model`` as a bundle into ``folder``, which is new or empty.

    Raises :class:`ConfigurationError` for a folder that has something in it, a preparation or a
    network that a bundle cannot say, and for texts of the federation that MONAI would run;
    :class:`strategies.errors.RunFolderError` for a file that is no model.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(
            f"{folder}, which is there already", "a new or empty folder", "name another folder"
        )
    file, network = read_model_file(model), load_model(model)
    if file.task.kind == "entry":  # a bundle has the results of the built-in kinds only
        raise ConfigurationError(
            f"a model of task {file.task.entry.name!r} of {file.task.entry.distribution}",
            "a model for classification, segmentation, or restoration",
            "hand on the model file itself, for whoever has that distribution",
        )
    size = file.image_shape
    entry = network_entry(file.model, file.task, size, network)
    facts = try_network(file.model, file.task, size, _BATCH)
    about = metadata(file, entry, facts, record)
    _check_inert({"metadata": about, "network_def": entry.definition})
    image_size = file.notes.get("image-size")
    config = inference_config(entry, file.task, file.prepare, image_size)
    # All that MONAI runs is this program's own: it stands there whatever the size in the notes is.
    fixed = None if image_size is None else 1
    usual = inference_config(entry, file.task, file.prepare, fixed)
    _check_inert(sorted(set(_texts(config)) - set(_texts(usual))))
    state = io.BytesIO()
    torch.save(entry.state, state)
    # The weights last: a bundle that is cut short has none.
    for name, data in {
        "configs/metadata.json": _json(about),
        "configs/inference.json": _json(config),
        "LICENSE": licence_text(record).encode(),
        "docs/README.md": readme_text(file, entry, record).encode(),
        "models/model.pt": state.getvalue(),
    }.items():
        write_durably(folder / name, data)


def _check_inert(tree: Any) -> None:
    """Refuse a text of the federation that MONAI's parser would evaluate.

    Names of classes and texts among the network's arguments come from the federation file; a
    bundle must not run what stands in them.
    """
    for text in _texts(tree):
        if text.lstrip().startswith(_RUNS):
            raise ConfigurationError(
                f"{text[:60]!r}, which MONAI would evaluate",
                f"names and arguments that begin with none of {' '.join(_RUNS)}",
                "change the name in the federation file; a model file keeps the old one",
            )


def _texts(tree: Any) -> Iterator[str]:
    match tree:
        case str():
            yield tree
        case dict():
            for name, each in tree.items():
                yield name
                yield from _texts(each)
        case list() | tuple():
            for each in tree:
                yield from _texts(each)


def _json(tree: Any) -> bytes:
    return (json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
