"""Build a federation's network from plain settings: the class that some exported bundles name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from clients.networks.build import build_network
from clients.settings import ModelSettings
from clients.tasks.settings import read_task

NAME = f"{__name__}.agreed_network"


def agreed_network(
    model: Mapping[str, Any], task: Mapping[str, Any], size: Sequence[int] | None = None
) -> nn.Module:
    """Return the network of the tables ``[model]`` and ``[task]``, for images of ``size`` pixels.

    Its weights are random.  Raises ``ValueError`` for tables of another version, and
    :class:`strategies.errors.ConfigurationError` as ``build_network`` does.
    """
    settings = ModelSettings.model_validate_json(json.dumps(model))
    return build_network(settings, read_task(json.dumps(task)), tuple(size) if size else None)
