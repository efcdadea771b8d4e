"""From a MONAI bundle to the tables ``[task]`` and ``[model]`` of a federation file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import tomlkit
from pydantic import ValidationError

from clients.bundles.config_file import config_of, read_config
from clients.bundles.definition import ENTRY, Definition, definition_in
from clients.bundles.plain import refused
from clients.bundles.weights import weights_in
from clients.networks.build import build_network, try_network
from clients.networks.facts import NetworkFacts
from clients.networks.shapes import by
from clients.settings import ModelSettings
from clients.tasks.settings import ClassificationSettings, SegmentationSettings
from strategies.errors import ConfigurationError
from strategies.weights import Weights

_CLASS = re.compile(r"[\w .+()/-]{1,40}")
_BATCH = 2

Task = SegmentationSettings | ClassificationSettings
_KINDS: tuple[tuple[type[Task], str], ...] = (
    (SegmentationSettings, "segmentation"),
    (ClassificationSettings, "classification"),
)


@dataclass(frozen=True)
class BundleNetwork:
    """The network of a bundle as a federation has it, tried on made-up images."""

    config: Path
    definition: Definition
    model: ModelSettings
    task: Task
    facts: NetworkFacts

    @property
    def folder(self) -> Path:
        """The bundle's folder."""
        return self.config.parent.parent

    def weights(self) -> Weights:
        """Return the weights in the bundle, checked name by name; raises as ``weights_in``."""
        size = self.definition.size or self.facts.size
        return weights_in(self.folder, build_network(self.model, self.task, size))

    def to_toml(self) -> str:
        """Return the tables ``[task]`` and ``[model]``."""
        task, model = self.task, self.model
        text = tomlkit.document()
        text.add(tomlkit.comment(f"{ENTRY} of a MONAI bundle, {self.config.name}"))
        if self.definition.size is not None:
            sides = by(self.definition.size)
            text.add(
                tomlkit.comment(f"built for images of {sides} pixels: see [data.prepare] size")
            )
        for name in self.definition.left_out:
            text.add(tomlkit.comment(f"{name} is left out: no weights are fetched"))
        keys = {"kind", "classes", "channels", "spatial-dims"}
        dump = task.model_dump(mode="json", by_alias=True)
        text["task"] = {name: value for name, value in dump.items() if name in keys}
        text["model"] = {"network": model.network}
        if model.arguments:
            text["model"]["arguments"] = model.arguments
        return tomlkit.dumps(text)


def read_bundle(bundle: Path) -> BundleNetwork:
    """Read the network of a bundle: its folder, or one of its configuration files.

    Raises :class:`ConfigurationError`, which names the entry, for whatever would have to be run,
    and for a network that neither classifies nor segments.
    """
    config = config_of(bundle)
    definition = definition_in(read_config(config))
    try:
        model = ModelSettings(network=definition.network, arguments=definition.arguments)
    except ValidationError as error:
        raise refused(ENTRY, f"arguments that no federation file can say ({error.title})") from None
    names = _channel_names(config.with_name("metadata.json"))
    problems: list[ConfigurationError] = []
    for task in _tasks(definition, names):
        try:
            facts = try_network(model, task, definition.size, _BATCH)
        except ConfigurationError as error:
            problems.append(error)
        else:
            return BundleNetwork(config, definition, model, task, facts)
    raise problems[0]


def _tasks(definition: Definition, names: tuple[str, ...]) -> list[Task]:
    """Return the tasks for which the network may be made, the likeliest first."""
    outputs, channels = definition.outputs, definition.in_channels
    if outputs is None or outputs < 2:
        raise ConfigurationError(
            f"network {definition.network!r} with {outputs or 'an unknown number of'} output(s)",
            "one output for each class, and at least two classes",
            "name the network and its arguments in [model] yourself",
        )
    classes = names if len(set(names)) == outputs else tuple(f"class-{n}" for n in range(outputs))
    dims = (2, 3) if definition.spatial_dims is None else (definition.spatial_dims,)
    given = {"classes": classes, "channels": channels or 1}
    return [
        kind.model_validate({**given, "kind": name, "spatial-dims": each})
        for kind, name in _KINDS
        for each in dims
    ]


def _channel_names(metadata: Path) -> tuple[str, ...]:
    """Return the names of the outputs in a bundle's metadata, as far as they are plain names."""
    try:
        outputs = json.loads(metadata.read_bytes())["network_data_format"]["outputs"]
        named = outputs["pred"]["channel_def"]
        found = tuple(str(named[str(n)]) for n in range(len(named)))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()  # they are a convenience: the network says how many there are
    return found if all(map(_CLASS.fullmatch, found)) else ()
