"""Run a network once on made-up images before anything starts, and look at what comes out.

PyTorch's ``meta`` device computes shapes only, without memory or time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from math import gcd

import torch
from torch import nn

from clients.networks.by_name import missing_package, text_of
from clients.networks.shapes import Shapes, Size, by
from strategies.errors import ConfigurationError, SrflmError

RECORDS = 2  # batch normalisation is undefined for one
SIDES = (32, 64, 96, 128, 160, 192, 224, 256)
"""Sides that are tried where the images' own is not known, in pixels."""
MULTIPLES = (2, 4, 8, 16, 32, 64, 128, 256)
MOST_SIDE_ON_CPU = 64

Make = Callable[[Size, str], nn.Module]
"""Builds the network for images of a size on a device, "meta" or "cpu"."""


def trial(name: str, make: Make, shapes: Shapes, size: Size) -> nn.Module:
    """Run the network in both modes on a batch of made-up images; return it, without its values.

    Raises :class:`ConfigurationError` if it cannot be built or run, warns, or answers with anything
    but one tensor of the task's shape; if other sizes fit, the error names them.
    """
    try:
        return _tried(name, make, shapes, size)
    except SrflmError:
        raise
    except ImportError as error:  # MONAI's networks import some packages at their first use
        raise missing_package(name, error) from error
    except Exception as error:  # MONAI and PyTorch raise many kinds
        raise _cannot_run(name, error, size, _multiple(name, make, shapes, size)) from error


def size_that_suits(name: str, make: Make, shapes: Shapes, otherwise: Size | None = None) -> Size:
    """Return a size of images on which the network can run, or ``otherwise`` if none is found.

    Raises as :func:`trial` does if there is no ``otherwise``.
    """
    for side in SIDES:
        size = (side,) * shapes.spatial_dims
        if _runs(name, make, shapes, size):
            return size
    if otherwise is None:
        trial(name, make, shapes, (SIDES[0],) * shapes.spatial_dims)
    return otherwise or (SIDES[0],) * shapes.spatial_dims


def without_memory(make: Callable[[], nn.Module]) -> nn.Module:
    """Return the network on the meta device."""
    try:
        with torch.device("meta"):
            return make()
    except Exception as error:
        if not _wants_values(error):
            raise
    # SwinUNETR asks for values while it is built, and for none when it runs.
    with torch.random.fork_rng(devices=[]):
        return make().to("meta")


def _tried(name: str, make: Make, shapes: Shapes, size: Size) -> nn.Module:
    with _warnings_as_errors():
        network = make(size, "meta")
        try:
            _run(name, network, shapes, size)
        except Exception as error:
            if not _wants_values(error):
                raise
            _run_with_values(name, make, shapes, size)
    return network


def _run_with_values(name: str, make: Make, shapes: Shapes, size: Size) -> None:
    """Run the network on the CPU, on small images that can be halved as often as the real ones."""
    small = tuple(gcd(side, MOST_SIDE_ON_CPU) for side in size)
    with torch.random.fork_rng(devices=[]):
        try:
            _run(name, make(small, "cpu"), shapes, small)
        except Exception:
            if small == size:
                raise
            _run(name, make(size, "cpu"), shapes, size)


def _run(name: str, network: nn.Module, shapes: Shapes, size: Size) -> None:
    device = next((each.device for each in network.parameters()), torch.device("cpu"))
    images = torch.zeros(shapes.images(RECORDS, size), device=device)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for training in (False, True):
            _check_answer(name, network.train(training)(images), shapes, size, training)
    network.eval()


def _check_answer(name: str, answer: object, shapes: Shapes, size: Size, training: bool) -> None:
    expected = shapes.answers(RECORDS, size)
    if not isinstance(answer, torch.Tensor):
        found = f"a {type(answer).__name__}"
    elif tuple(answer.shape[:2]) != expected[:2] or answer.ndim != len(expected):
        found = f"an output of shape {tuple(answer.shape)}"
    elif tuple(answer.shape) != expected:
        # Another size may fit: the caller looks for one.
        raise ValueError(f"its output is {by(tuple(answer.shape[2:]))}")
    else:
        return
    mode = " in training" if training else ""
    raise ConfigurationError(
        f"network {name!r}, which gives {found}{mode} for {RECORDS} images of {by(size)}",
        f"one tensor of shape {expected}, of a network that {shapes.words}: {shapes.examples}, …",
        "name another network, or change [model.arguments]",
    )


def _cannot_run(
    name: str, error: Exception, size: Size, fits: tuple[int, Size] | None
) -> ConfigurationError:
    found = f"network {name!r}, which cannot be run on images of {by(size)}: {text_of(error)}"
    if fits is None:
        return ConfigurationError(
            found,
            "a network that runs on such images by themselves",
            "change [model.arguments], or name another network",
        )
    multiple, near = fits
    return ConfigurationError(
        found,
        f"sides that are multiples of {multiple}, for example {by(near)}",
        "change the size of the images or patches, or [model.arguments], for fewer halvings",
    )


def _multiple(name: str, make: Make, shapes: Shapes, size: Size) -> tuple[int, Size] | None:
    """Return the smallest power of two whose multiples fit the network, and a size near ``size``.

    None: none does.
    """

    def near(multiple: int) -> Size | None:
        first = tuple(-(-side // multiple) * multiple for side in size)
        neighbours = [tuple(side + n * multiple for side in first) for n in range(3)]
        # Of two neighbours, one is no multiple of the next larger power.  The first of the three
        # may be too small by itself.
        for one, other in pairwise(neighbours):
            if _runs(name, make, shapes, other) and _runs(name, make, shapes, one):
                return one
        return None

    if near(MULTIPLES[-1]) is None:  # no size helps, which is known without trying all others
        return None
    return next((each, found) for each in MULTIPLES if (found := near(each)))


def _runs(name: str, make: Make, shapes: Shapes, size: Size) -> bool:
    try:
        _tried(name, make, shapes, size)
    except Exception:  # the caller tries another size, and reports the last error
        return False
    return True


@contextmanager
def _warnings_as_errors() -> Iterator[None]:
    # UNet only warns of strides that it drops.  Deprecations are for developers.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _wants_values(error: Exception) -> bool:
    """Whether an operation failed for want of values, which the meta device does not have."""
    return "meta" in str(error).lower()
