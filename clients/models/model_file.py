"""Model files: safetensors with the network's settings in the header, so they can be rebuilt."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from clients.files.durable import write_durably
from clients.networks.told import not_told
from clients.preparation.settings import PrepareSettings
from clients.settings import ModelSettings
from clients.tasks.settings import TaskSettings, read_task
from strategies.errors import ConfigurationError, RunFolderError, UpdateRejected
from strategies.weights import Weights, check_like, hash_weights

if TYPE_CHECKING:
    from torch import nn

_FORMAT = "srflm-model-1"


@dataclass(frozen=True)
class ModelFile:
    """Weights, the settings of their network, and notes about their origin."""

    model: ModelSettings
    task: TaskSettings
    weights: Weights
    notes: dict[str, Any]

    @property
    def hash(self) -> str:
        """The hash of the weights, by which ledgers name models."""
        return hash_weights(self.weights)

    @property
    def prepare(self) -> PrepareSettings:
        """How images were prepared in training."""
        return _prepare_in(self.notes)

    @property
    def without_noise(self) -> bool:
        """Whether no ε covers it, in a private federation: it must stay at its site."""
        return self.notes.get("private") is False

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """The sides of an image in pixels, as far as the notes tell them."""
        match self.notes:
            case {"image-shape": list(shape)}:
                return tuple(shape)
            case {"image-size": int(side)}:
                return (side,) * self.task.spatial_dims
        return None

    @property
    def content(self) -> bytes:
        """The bytes of the file; equal models give equal bytes."""
        metadata = {
            "format": _FORMAT,
            # Not where the training began: the file names a path of the machine that wrote it.
            "model": _at(self.model, None).model_dump_json(
                by_alias=True, exclude=not_told(self.model)
            ),
            "task": self.task.model_dump_json(by_alias=True),
            "notes": json.dumps(self.notes),
        }
        # safetensors stores the raw memory, in whatever order it is.
        arrays = {name: np.asarray(array, order="C") for name, array in self.weights.items()}
        return _in_order(save(arrays, metadata=metadata))

    def write(self, path: Path) -> None:
        """Write the file durably."""
        write_durably(path, self.content)


def _in_order(data: bytes) -> bytes:
    """Return a safetensors file with its notes in alphabetical order.

    The library writes them in an order of its own, another one each time.
    """
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    notes = dict(sorted(header.pop("__metadata__").items()))
    text = json.dumps({"__metadata__": notes, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the arrays begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def marked(noiseless: bool) -> dict[str, Any]:
    """Return the note by which :attr:`ModelFile.without_noise` knows a model; else nothing."""
    return {"private": False} if noiseless else {}


def read_model_file(path: str | Path) -> ModelFile:
    """Read a model file.

    Raises :class:`RunFolderError` if ``path`` is missing, damaged, or not a model file.
    """
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _not_a_model(path, f"{type(error).__name__}") from error
    if metadata.get("format") != _FORMAT:
        raise _not_a_model(path, "no srflm-model-1 header")
    try:
        notes = json.loads(metadata["notes"])
        _check_notes(notes)
        return ModelFile(
            ModelSettings.model_validate(json.loads(metadata["model"])),
            read_task(metadata["task"]),
            weights,
            notes,
        )
    except (
        KeyError,
        ValueError,
        RecursionError,
    ) as error:  # pydantic's and json's errors are ValueErrors
        raise _not_a_model(path, "a damaged srflm-model-1 header") from error


def load_model(path: str | Path) -> nn.Module:
    """Return the network in ``path`` with its weights, in ``eval`` mode on the CPU.

    Its input is float32 of shape (n, channels, *space) with values in [−1, 1]; its output are
    logits (n, classes) for classification, logits (n, classes, *space) for segmentation, and images
    like the input for restoration.
    Raises :class:`RunFolderError` as :func:`read_model_file` does, and if the weights do not fit
    the network named in the file; :class:`ConfigurationError` if that needs a missing package, or
    frozen features whose file does not lie beside the model.
    """
    from clients.networks.build import build_network  # torch takes seconds
    from clients.networks.weights import get_weights, set_weights

    file = read_model_file(path)
    try:
        network = build_network(_at(file.model, Path(path).parent), file.task, file.image_shape)
    except ConfigurationError as error:
        # The file is right; a package, the agreed extension, or the frozen features are missing.
        others = file.model.features is not None or file.model.entry is not None
        if isinstance(error.__cause__, ImportError) or others:
            raise
        raise _not_a_model(path, error.found) from error
    try:
        check_like(file.weights, get_weights(network))
    except UpdateRejected as error:
        raise _not_a_model(path, error.found) from error
    set_weights(network, file.weights)
    return network.eval()


def _at(model: ModelSettings, folder: Path | None) -> ModelSettings:
    """Return the settings with the file of frozen features in ``folder``; None: its name alone."""
    if model.features is None or model.features.file is None:
        return model
    name = Path(model.features.file.name)
    moved = {"file": name if folder is None else folder / name}
    return model.model_copy(update={"features": model.features.model_copy(update=moved)})


def _check_notes(notes: Any) -> None:
    """Raise ``ValueError`` for notes that none has written.

    The sizes in them reach configurations that MONAI runs, and networks: a text would be code.
    """
    if not isinstance(notes, dict):
        raise ValueError("no table")
    _prepare_in(notes)
    sides = [notes["image-size"]] if notes.get("image-size") is not None else []
    shape = notes.get("image-shape", [])
    if not isinstance(shape, list) or not all(map(_is_side, [*sides, *shape])):
        raise ValueError("no size")


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _prepare_in(notes: dict[str, Any]) -> PrepareSettings:
    """Return the settings in a file's notes; raises ``ValueError`` for what none has written."""
    window = notes.get("window")  # the only setting of the first versions that had any
    older = {} if window is None else {"window": window}
    return PrepareSettings.model_validate(notes.get("prepare", older))


def _not_a_model(path: str | Path, why: str) -> RunFolderError:
    return RunFolderError(
        f"{path} is not a model file ({why})",
        "a file from the models folder of a run, e.g. runs/…/models/global.safetensors",
        "correct the path",
        RunFolderError.NOT_A_RUN,
    )
