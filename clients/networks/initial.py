"""The weights with which a federation begins, from a file: checked by hash, name, and shape."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from clients.networks.agreed_file import agreed_bytes
from clients.networks.weights import get_weights, set_weights
from clients.settings import InitialWeights
from strategies.errors import ConfigurationError

_TYPES = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
MOST_NAMED = 3  # names of arrays in an error


def take_initial_weights(network: nn.Module, given: InitialWeights) -> None:
    """Load the agreed weights into the network.

    The file has one floating-point array for each that
    :func:`clients.networks.weights.get_weights` gives, under its name and of its shape.  Raises
    :class:`ConfigurationError` for a file that is missing, is not the agreed one, or does not fit
    the network, and for values that are not finite.
    """
    found = agreed_arrays(given.file, given.sha256)
    expected = get_weights(network)
    check_names(found, expected, f"{given.file}")
    for name, array in expected.items():
        check_plain(found[name], name, f"{given.file}")
        check_shapes({name: tuple(found[name].shape)}, {name: array.shape}, f"{given.file}")
    # In the types of the network, so that a model of half precision is not averaged in it.
    state = network.state_dict()
    fitting = {
        name: in_type_of(state[name], found[name], name, f"{given.file}") for name in expected
    }
    set_weights(network, {name: each.numpy() for name, each in fitting.items()})


def agreed_arrays(
    file: Path, sha256: str, table: str = "model.initial-weights"
) -> dict[str, torch.Tensor]:
    """Return the arrays in the file.

    Raises :class:`ConfigurationError` as :func:`agreed_bytes`, and for no safetensors file.
    """
    try:
        return load(agreed_bytes(file, sha256, table))
    except (SafetensorError, KeyError, ValueError) as error:
        raise ConfigurationError(
            f"{file}, which is no safetensors file ({type(error).__name__})",
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


def check_plain(found: torch.Tensor, name: str, where: str) -> None:
    """Raise :class:`ConfigurationError` for what is no array of floating-point numbers.

    Sparse and nested ones, ones without values, and numbers of 8 bits are none.
    """
    is_plain = found.layout == torch.strided and found.device.type == "cpu" and not found.is_nested
    if not is_plain or found.dtype not in _TYPES:
        raise ConfigurationError(
            f"{where}, whose {name} is {'an array' if is_plain else 'no plain array'} of"
            f" {str(found.dtype).removeprefix('torch.')}",
            "an array of floating-point numbers of 16, 32, or 64 bits",
            "convert it: tensor.to_dense().float()",
        )


def in_type_of(own: torch.Tensor, found: torch.Tensor, name: str, where: str) -> torch.Tensor:
    """Return a plain array of a file in the type of the network's array ``own``.

    Raises :class:`ConfigurationError` for values that are not finite, or not in that type.
    """
    # After the conversion: 1e300 is finite in 64 bits only.
    fitting = found.detach().to(own.dtype)
    if not bool(fitting.isfinite().all()):
        raise ConfigurationError(
            f"{where}, whose {name} has values that are no finite numbers in the network's type",
            "finite floating-point numbers",
            "take weights from before the training went wrong",
        )
    return fitting


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
