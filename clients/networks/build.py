"""Build the network that a federation names, with the same initial weights at every site."""

from __future__ import annotations

import torch
from torch import nn

from clients.feature_settings import FeatureSettings
from clients.networks.by_name import OWN, named_network
from clients.networks.facts import NetworkFacts, facts_of
from clients.networks.features.network import FeatureNetwork
from clients.networks.initial import take_initial_weights
from clients.networks.residual import Residual
from clients.networks.shapes import Shapes, Size
from clients.networks.stock import SMALLEST_SIDE, stock_network
from clients.networks.trial import RECORDS, size_that_suits, trial, without_memory
from clients.privacy.gradients.networks import make_dp_ready, make_probe
from clients.privacy.gradients.standardised_convolution import standardise_weights
from clients.seeds import derive_seed
from clients.settings import STOCK_NETWORKS, ModelSettings
from clients.tasks.settings import TaskSettings
from strategies.errors import ConfigurationError


def shapes_of(task: TaskSettings) -> Shapes:
    """Return the shapes that a task asks of its network."""
    return Shapes(task.spatial_dims, task.channels, task.outputs, task.target != "class")


def build_network(model: ModelSettings, task: TaskSettings, size: Size | None = None) -> nn.Module:
    """Return the network named in ``model`` for the images and classes of ``task``.

    ``size`` is that of the images or patches in pixels, one side a dimension; a few networks cannot
    do without.  Raises :class:`ConfigurationError` as :func:`named_network` does.
    """
    if model.features is not None:  # nothing in it to make ready: the trained part is linear
        return FeatureNetwork(model.features, shapes_of(task))
    network = _plain(model, task, size)
    if not model.dp_ready:
        return _converted(model, network, None)
    shape = (task.channels, *_probe_size(model, task, size))
    return _converted(model, network, make_probe(shape, torch.device("cpu")))


def initial_network(
    model: ModelSettings, task: TaskSettings, seed: int, size: Size | None = None
) -> nn.Module:
    """Return the network on the CPU, its initial weights from the agreed file or from ``seed``.

    Raises :class:`ConfigurationError` as :func:`build_network` does, and for a file that is not the
    agreed one or does not fit the network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initial-model"))
        network = build_network(model, task, size)
    if model.initial_weights is not None:
        take_initial_weights(network, model.initial_weights)
    return network


def try_network(
    model: ModelSettings, task: TaskSettings, size: Size | None, batch_size: int
) -> NetworkFacts:
    """Run the network once without its weights, and return what it is like.

    Without a ``size`` it is run on one that suits.  Raises :class:`ConfigurationError` if it cannot
    be used for the task, for images of this size, or in batches of ``batch_size``.
    """
    shapes, name = shapes_of(task), model.network
    if model.features is not None:
        return _try_features(model.features, shapes, size)

    def make(side: Size, device: str) -> nn.Module:
        # Without a size, the network must be one that can do without.
        return _to_try(model, task, side if size else None, side, device)

    tried = size_that_suits(name, make, shapes) if size is None else size
    facts = facts_of(trial(name, make, shapes, tried), tried)
    # The four of old take such batches as they always did.
    if batch_size == 1 and facts.over_batch and name not in STOCK_NETWORKS:
        raise ConfigurationError(
            f"training.batch-size = 1 with network {name!r}, which normalises over the batch",
            "at least 2 images a batch, or a network that normalises every image by itself",
            "raise training.batch-size, or set model.dp-ready = true for group normalisation",
        )
    return facts


def _try_features(features: FeatureSettings, shapes: Shapes, size: Size | None) -> NetworkFacts:
    """Run the network for real: it is small, and its public images need values."""
    tried = size or (features.side,) * shapes.spatial_dims
    network = FeatureNetwork(features, shapes).eval()
    with torch.no_grad():
        network(torch.zeros(shapes.images(RECORDS, tried)))
    return facts_of(network, tried)


def _plain(model: ModelSettings, task: TaskSettings, size: Size | None) -> nn.Module:
    """Return the network as its class makes it."""
    shapes = shapes_of(task)
    if model.network in STOCK_NETWORKS:
        return stock_network(model, shapes)
    restores = task.target == "image"
    network = named_network(
        model.network,
        model.arguments,
        shapes.spatial_dims,
        shapes.in_channels,
        shapes.outputs,
        shapes.image_to_image,
        size,
        keeps_intensity=restores,
        entry=model.entry,
    )
    return Residual(network) if restores and model.network not in OWN else network


def _converted(model: ModelSettings, network: nn.Module, probe: torch.Tensor | None) -> nn.Module:
    """Make the network ready for differential privacy where a ``probe`` is given."""
    if probe is not None:
        return make_dp_ready(network, probe, model.weight_standardisation)
    if model.weight_standardisation:
        standardise_weights(network)
    return network


def _probe_size(model: ModelSettings, task: TaskSettings, size: Size | None) -> Size:
    """Return a size on which the network's unused parameters are found, in little memory."""
    if model.network in STOCK_NETWORKS:
        return (SMALLEST_SIDE,) * task.spatial_dims
    plain = model.model_copy(update={"dp_ready": False})

    def make(tried: Size, device: str) -> nn.Module:
        return _to_try(plain, task, size, tried, device)

    # A network for one size of images runs on this one only.
    return size_that_suits(model.network, make, shapes_of(task), otherwise=size)


def _to_try(
    model: ModelSettings, task: TaskSettings, size: Size | None, tried: Size, device: str
) -> nn.Module:
    """Return the network for a trial: built for ``size``, run on images of size ``tried``."""

    def plain() -> nn.Module:
        return _plain(model, task, size)

    network = without_memory(plain) if device == "meta" else plain()
    probe = torch.zeros(shapes_of(task).images(RECORDS, tried), device=device)
    return _converted(model, network, probe if model.dp_ready else None)
