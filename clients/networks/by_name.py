"""Build a network by its name: a class of ``monai.networks.nets``, or one of this project.

https://docs.monai.io/en/stable/networks.html#nets describes MONAI's classes and their arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from monai.networks import nets
from torch import nn

from clients.networks.arguments import check_arguments, is_decided, nearest, parameters_of
from clients.networks.dncnn import DnCNN
from clients.networks.residual import without_instance_norm
from clients.networks.shapes import Shapes, Size
from clients.settings import STOCK_NETWORKS
from strategies.errors import ConfigurationError
from strategies.extensions import NETWORKS, load_entry
from strategies.settings import EntrySettings

OWN: Mapping[str, type[nn.Module]] = {"dncnn": DnCNN}
FETCHING = frozenset({"Transchex"})
"""Classes of MONAI that fetch weights from a network, or read files that an argument names."""
IMAGING_EXTRA = "einops"  # packages of the extra that networks use
MOST_LETTERS = 300  # of another library's error


def names_of_networks() -> tuple[str, ...]:
    """Return the names that :func:`named_network` looks up, one for each class."""
    # MONAI has its classes under other spellings too: one network must have one identity.
    found = {name for name, each in vars(nets).items() if _is_network(name, each)}
    return (*OWN, *sorted(found))


def _is_network(name: str, value: object) -> bool:
    is_class = inspect.isclass(value) and issubclass(value, nn.Module) and value.__name__ == name
    return is_class and name not in FETCHING


def named_network(
    name: str,
    arguments: Mapping[str, Any],
    spatial_dims: int,
    in_channels: int,
    outputs: int,
    image_to_image: bool,
    size: Size | None = None,
    keeps_intensity: bool = False,
    entry: EntrySettings | None = None,
) -> nn.Module:
    """Return the network ``name`` for images (B, in_channels, *space), with random weights.

    Its output is (B, outputs), or (B, outputs, *space) where ``image_to_image``, as far as its
    kind is right: :func:`clients.networks.trial.trial` shows it.  ``size`` is that of the images in
    pixels, one side a dimension; some networks cannot do without.  Where ``keeps_intensity``, a
    normalisation of each image by itself is left out unless it is asked for.  Nothing is ever
    downloaded.  With ``entry``, the class is that of another distribution.

    Raises :class:`ConfigurationError` for an unknown name, for arguments that are unknown, missing,
    of a wrong kind, or refused by the network, and for a network of other dimensions.
    """
    shapes = Shapes(spatial_dims, in_channels, outputs, image_to_image)
    chosen = network_class(name, shapes, entry)
    complete = _complete(name, chosen, arguments, shapes, size, keeps_intensity)
    try:
        network = chosen(**complete)
    except ImportError as error:
        raise missing_package(name, error) from error
    except Exception as error:  # every library raises its own kinds for a wrong value
        raise ConfigurationError(
            f"network {name!r}, which refuses its arguments: {text_of(error)}",
            "arguments that the network accepts",
            "correct [model.arguments]",
        ) from error
    _check_dimensions(name, network, spatial_dims)
    return network


def complete_arguments(
    name: str,
    arguments: Mapping[str, Any],
    shapes: Shapes,
    size: Size | None,
    keeps_intensity: bool,
) -> dict[str, Any]:
    """Return the arguments with which the class is called: the file's, and those of the task.

    Raises :class:`ConfigurationError` as :func:`named_network` does before the class is called.
    """
    chosen = network_class(name, shapes)
    return _complete(name, chosen, arguments, shapes, size, keeps_intensity)


def _complete(
    name: str,
    chosen: type[nn.Module],
    arguments: Mapping[str, Any],
    shapes: Shapes,
    size: Size | None,
    keeps_intensity: bool,
) -> dict[str, Any]:
    known = parameters_of(chosen)
    given = check_arguments(name, known, arguments)
    decided = {
        each.name: _decided(name, each, shapes, size) for each in known.values() if is_decided(each)
    }
    defaults = without_instance_norm(known) if keeps_intensity else {}
    return {**decided, **defaults, **given}


def network_class(name: str, shapes: Shapes, entry: EntrySettings | None = None) -> type[nn.Module]:
    """Return the class with this name, or that of ``entry``.

    Raises :class:`ConfigurationError` if there is none.
    """
    if entry is not None:
        return _class_of(entry)
    names = names_of_networks()
    if name not in names:
        near = nearest(name, {*names, *STOCK_NETWORKS})
        raise ConfigurationError(
            f"model.network = {name!r}",
            f"{', '.join(near) or shapes.examples}, or another class of monai.networks.nets",
            "correct the name",
        )
    if name in OWN and not shapes.image_to_image:
        raise ConfigurationError(
            f"network {name!r}, which maps images to images",
            f"a network that {shapes.words}: {shapes.examples}, …",
            "name another network",
        )
    found: type[nn.Module] = OWN[name] if name in OWN else getattr(nets, name)
    return found


def _class_of(entry: EntrySettings) -> type[nn.Module]:
    loaded = load_entry(NETWORKS, entry)
    if inspect.isclass(loaded) and issubclass(loaded, nn.Module):
        return loaded
    raise ConfigurationError(
        f"the entry point {entry.name!r} of {entry.distribution}, which is no class of a network",
        "a subclass of torch.nn.Module",
        "name another entry point in [model.entry]",
    )


def _decided(name: str, parameter: inspect.Parameter, shapes: Shapes, size: Size | None) -> Any:
    """Return the value of a parameter that follows from the task."""
    match parameter.name:
        case "spatial_dims":
            return shapes.spatial_dims
        case "in_channels" | "n_input_channels" | "num_channels":
            return shapes.in_channels
        case "out_channels" | "num_classes" | "classes":
            return shapes.outputs
        case "pretrained":
            return False
        case "pretrained_url" | "pretrained_state_dict_key" | "weights":
            return None
    if size is None:
        raise ConfigurationError(
            f"network {name!r}, which is built for one size of images, and no size in the file",
            "a file that tells the size of the images",
            "set data.image-size, or name another network",
        )
    match parameter.name:
        case "in_shape":
            return shapes.images(1, size)[1:]
        case "out_shape":
            return shapes.answers(1, size)[1:]
        case _:
            return size


def _check_dimensions(name: str, network: nn.Module, spatial_dims: int) -> None:
    """Raise for a network whose convolutions are of other dimensions than the images."""
    kinds = {"Conv1d": 1, "Conv2d": 2, "Conv3d": 3}
    found = {
        kinds[type(each).__name__] for each in network.modules() if type(each).__name__ in kinds
    }
    if found and spatial_dims not in found:
        raise ConfigurationError(
            f"network {name!r}, which is for images of {max(found)} dimensions",
            f"a network for the {spatial_dims} of task.spatial-dims",
            "name another network",
        )


def missing_package(name: str, error: Exception) -> ConfigurationError:
    """Return the error for a network that needs a package which is not installed."""
    if IMAGING_EXTRA in str(error):
        return ConfigurationError(
            f"network {name!r}, which needs the package {IMAGING_EXTRA}",
            "an installation with the extra `imaging`",
            'pip install "srflm-flower[imaging]"',
        )
    return ConfigurationError(
        f"network {name!r}, which needs a package that is not installed: {text_of(error)}",
        "a network that this program's own packages suffice for",
        "name another network",
    )


def text_of(error: BaseException) -> str:
    """Return the first line of an error of another library, cut to a readable length."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 1] + "…"
