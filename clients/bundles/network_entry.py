"""Say a federation's network in the words of a MONAI bundle: classes by name, plain arguments.

MONAI's own classes need nothing but MONAI.  Networks of this project, and those that were made
ready for differential privacy, are built by a function of this package, which the bundle names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from monai.networks import nets
from monai.networks.layers import SkipConnection
from torch import nn

from clients.bundles.agreed_network import NAME, agreed_network
from clients.networks.build import shapes_of
from clients.networks.by_name import OWN, complete_arguments
from clients.networks.shapes import Size
from clients.networks.told import not_told
from clients.settings import LINEAR, STOCK_NETWORKS, ModelSettings
from clients.tasks.settings import TaskSettings
from strategies.errors import ConfigurationError

_NETS = "monai.networks.nets"
_WRAPPER = "monai.networks.layers.SkipConnection"


@dataclass(frozen=True)
class NetworkEntry:
    """The entry ``network_def`` of a bundle, and the weights under the names that it gives them.

    ``needs_us`` says that the entry names a function of this package; ``pads`` that small images
    are padded before the network, which does it by itself here.
    """

    definition: dict[str, Any]
    state: dict[str, torch.Tensor]
    needs_us: bool
    pads: bool


def network_entry(
    model: ModelSettings, task: TaskSettings, size: Size | None, network: nn.Module
) -> NetworkEntry:
    """Return the entry for ``network``, which was built from the settings and has its weights.

    Raises :class:`ConfigurationError` if the entry would build another network than this one.
    """
    if model.features is not None and model.features.file is not None:
        raise ConfigurationError(
            "a model on frozen features from a file, which is no part of the model",
            "a network whose weights are all in its model file",
            f"hand on the model file itself, with {model.features.file.name} beside it",
        )
    definition, pads = _by_monai(model, task, size)
    renamed: Mapping[str, str] = {}
    if definition.get("_target_") == _WRAPPER:
        renamed = {"network": "submodule"}
    needs_us = not definition
    if needs_us:
        definition = {
            "_target_": NAME,
            "model": model.model_dump(mode="json", by_alias=True, exclude=not_told(model)),
            "task": task.model_dump(mode="json", by_alias=True),
            "size": list(size) if size else None,
        }
    # As the file will have it: JSON knows no tuples.
    definition = json.loads(json.dumps(definition))
    state = {_renamed(name, renamed): each for name, each in network.state_dict().items()}
    _check_same(definition, state, model.network)
    return NetworkEntry(definition, state, needs_us, pads)


def _by_monai(
    model: ModelSettings, task: TaskSettings, size: Size | None
) -> tuple[dict[str, Any], bool]:
    """Return the entry by MONAI's classes alone, empty if there is none, and whether it pads."""
    shapes = shapes_of(task)
    dims, channels, outputs = shapes.spatial_dims, shapes.in_channels, shapes.outputs
    if model.dp_ready or model.weight_standardisation or model.network in (*OWN, LINEAR, "entry"):
        return {}, False
    match model.network:
        case "resnet18":
            return {
                "_target_": f"{_NETS}.ResNet",
                "block": "basic",
                "layers": [2, 2, 2, 2],
                "block_inplanes": [64, 128, 256, 512],
                "spatial_dims": dims,
                "n_input_channels": channels,
                "num_classes": outputs,
            }, False
        case "densenet121":
            arguments = {"spatial_dims": dims, "in_channels": channels, "out_channels": outputs}
            return {"_target_": f"{_NETS}.DenseNet121", **arguments}, True
        case "efficientnet-b0":
            return {
                "_target_": f"{_NETS}.EfficientNetBN",
                "model_name": "efficientnet-b0",
                "pretrained": False,
                "spatial_dims": dims,
                "in_channels": channels,
                "num_classes": outputs,
            }, True
        case other if other in STOCK_NETWORKS:
            return {}, False
    restores = task.target == "image"
    complete = complete_arguments(model.network, model.arguments, shapes, size, restores)
    plain = {"_target_": f"{_NETS}.{model.network}", **complete}
    if restores:  # the network predicts what is added to its input
        return {"_target_": _WRAPPER, "mode": "add", "submodule": plain}, False
    return plain, False


def _renamed(name: str, renamed: Mapping[str, str]) -> str:
    first, dot, rest = name.partition(".")
    return renamed.get(first, first) + dot + rest


def _check_same(
    definition: Mapping[str, Any], state: Mapping[str, torch.Tensor], name: str
) -> None:
    """Build the network as a reader of the bundle will, and compare all names and shapes."""
    try:
        with torch.random.fork_rng(devices=[]):
            built = _built(definition).state_dict()
    except Exception as error:  # each class raises its own
        raise _another(name) from error
    if {n: e.shape for n, e in built.items()} != {n: e.shape for n, e in state.items()}:
        raise _another(name)


def _built(definition: Mapping[str, Any]) -> nn.Module:
    """Return the network of an entry that :func:`_by_monai` has made."""
    arguments = {key: value for key, value in definition.items() if key != "_target_"}
    target = definition["_target_"]
    if target == NAME:
        return agreed_network(**arguments)
    if target == _WRAPPER:
        return SkipConnection(_built(arguments["submodule"]), mode=arguments["mode"])
    made: nn.Module = getattr(nets, target.rpartition(".")[2])(**arguments)
    return made


def _another(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"network {name!r} with arguments that a bundle cannot say",
        "a network that plain numbers, texts, and lists describe",
        "hand on the model file itself, or set model.arguments that MONAI takes as lists",
    )
