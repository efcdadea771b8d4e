"""The weights with which a federation begins, from a file: checked by hash, name, and shape."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from clients.networks.agreed_file import agreed_bytes
from clients.networks.weights import get_weights, set_weights
from clients.settings import InitialWeights
from strategies.errors import ConfigurationError

MOST_NAMED = 3  # names of arrays in an error


def take_initial_weights(network: nn.Module, given: InitialWeights) -> None:
    """Load the agreed weights into the network.

    The file has one floating-point array for each that
    :func:`clients.networks.weights.get_weights` gives, under its name and of its shape.  Raises
    :class:`ConfigurationError` for a file that is missing, is not the agreed one, or does not fit
    the network, and for values that are not finite.
    """
    found = _read(given)
    expected = get_weights(network)
    check_names(found, expected, f"{given.file}")
    for name, array in expected.items():
        _check_array(name, found[name], array.shape, f"{given.file}")
    # In the types of the network, so that a model of half precision is not averaged in it.
    set_weights(
        network, {name: found[name].float().numpy().astype(expected[name].dtype) for name in found}
    )


def _read(given: InitialWeights) -> dict[str, torch.Tensor]:
    try:
        return load(agreed_bytes(given))
    except (SafetensorError, KeyError, ValueError) as error:
        raise ConfigurationError(
            f"{given.file}, which is no safetensors file ({type(error).__name__})",
            "weights in a safetensors file",
            "make one: `srflm config from-bundle` writes it, and so does every run",
        ) from error


def check_names(found: Collection[str], expected: Collection[str], where: str) -> None:
    """Raise :class:`ConfigurationError` unless a file has the names of the network's arrays."""
    missing = sorted(set(expected) - set(found))
    strange = sorted(set(found) - set(expected))
    if missing or strange:
        parts = [
            f"{words} {', '.join(names[:MOST_NAMED])}{'…' if len(names) > MOST_NAMED else ''}"
            for words, names in (("without", missing), ("with", strange))
            if names
        ]
        raise ConfigurationError(
            f"{where}, weights {' and '.join(parts)}: {len(missing)} names are missing, and the"
            f" network does not know {len(strange)}",
            f"weights of this very network, which has {len(expected)} arrays",
            "take the weights of this network, or correct [model] and [model.arguments]",
        )


def _check_array(name: str, found: torch.Tensor, shape: tuple[int, ...], where: str) -> None:
    check_shapes({name: tuple(found.shape)}, {name: tuple(shape)}, where)
    if not found.is_floating_point() or not bool(found.isfinite().all()):
        raise ConfigurationError(
            f"{where}, whose {name} has values that are no finite numbers",
            "finite floating-point numbers",
            "take weights from before the training went wrong",
        )


def check_shapes(
    found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], where: str
) -> None:
    """Raise :class:`ConfigurationError` for the first array of another shape."""
    for name, shape in expected.items():
        if found[name] != shape:
            raise ConfigurationError(
                f"{where}, whose {name} has the shape {found[name]}",
                f"{shape}, as in the network",
                "take the weights of this network, or correct [task] and [model.arguments]",
            )
