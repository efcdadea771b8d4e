"""Read the weights of a bundle: plain arrays by name, never objects that a file would make."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from clients.networks.initial import check_names, check_plain, check_shapes, in_type_of
from clients.networks.weights import get_weights
from strategies.errors import ConfigurationError
from strategies.weights import Weights

FILES = ("models/model.safetensors", "models/model.pt")
_INSIDE = ("model", "state_dict", "network")
"""Names under which a checkpoint has the weights beside other things, such as the optimiser's."""

State = Mapping[str, torch.Tensor]


def weights_in(bundle: Path, network: nn.Module) -> Weights:
    """Return the weights of a bundle's folder, which must be those of ``network``.

    ``network`` has them afterwards.  Raises :class:`ConfigurationError` for a file that is missing,
    or holds anything but arrays, other names or shapes, and values that are not finite.
    """
    path = next((bundle / each for each in FILES if (bundle / each).is_file()), None)
    if path is None:
        raise ConfigurationError(
            f"{bundle} without {' or '.join(FILES)}",
            "the weights of the bundle",
            "download them (large_files.yml names them), or leave --weights out",
        )
    state, expected = _read(path), network.state_dict()
    # Counters of batches do not count: older files lack them.
    needed = {name: each for name, each in expected.items() if each.is_floating_point()}
    found = {name: state[name] for name in state if name in needed or name not in expected}
    check_names(found, needed, str(path))
    for name, each in found.items():
        check_plain(each, name, str(path))
    shapes = [{name: tuple(each.shape) for name, each in some.items()} for some in (found, needed)]
    check_shapes(shapes[0], shapes[1], str(path))
    fitting = {
        name: in_type_of(expected[name], each, name, str(path)) for name, each in found.items()
    }
    network.load_state_dict(fitting, strict=False)
    _check_twice_named(network, fitting, str(path))
    return get_weights(network)


def _read(path: Path) -> State:
    found: Any
    try:
        with warnings.catch_warnings():
            # PyTorch warns of programs (TorchScript), which it then refuses.
            warnings.simplefilter("ignore")
            if path.suffix == ".safetensors":
                found = load_file(path)
            else:
                found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise _no_weights(path, error.strerror or "it cannot be read") from None
    except Exception as error:  # of pickle, zip files, and PyTorch
        # Not the error's text: it quotes names from the file.
        kind = type(error).__name__
        raise _no_weights(path, f"refused by weights-only loading: {kind}") from None
    for name in _INSIDE:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(each, torch.Tensor) for name, each in found.items()
    ):
        raise _no_weights(path, "more than arrays by name")
    return dict(found)


def _check_twice_named(network: nn.Module, found: State, where: str) -> None:
    """Refuse a file that gives two values to one array that the network knows by two names."""
    for name, each in network.state_dict().items():
        if name in found and not torch.equal(each, found[name]):
            raise ConfigurationError(
                f"{where}, whose {name} differs from another name of the same array",
                "one value for each array of the network",
                "take the weights of this network",
            )


def _no_weights(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is no file of weights ({why})",
        "arrays by name: a state dict in .pt, or safetensors; no pickled objects, no TorchScript",
        "ask for the state dict: torch.save(network.state_dict(), …)",
    )
