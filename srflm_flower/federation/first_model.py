"""The model with which a federation begins, and the weights that each site keeps to itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import nn

from clients.networks.build import initial_network
from clients.networks.normalisation import normalisation_weights
from clients.networks.weights import get_weights
from srflm_flower.federation.federation import Federation
from strategies.errors import ConfigurationError
from strategies.weights import Model, Weights


@dataclass(frozen=True)
class FirstModel:
    """The agreed network with its first weights; the same at all sites.

    ``network`` is scratch space for a learner.  ``at_home`` are the first values of the weights
    that are never sent, by name; mostly there are none.
    """

    network: nn.Module
    whole: Weights
    at_home: Weights

    @cached_property
    def shared(self) -> Model:
        """The part that sites train together: the model on which the first term builds."""
        return Model.of({n: array for n, array in self.whole.items() if n not in self.at_home})


def first_model(federation: Federation) -> FirstModel:
    """Return the model with which ``federation`` begins.

    Raises :class:`ConfigurationError` as :func:`clients.networks.build.initial_network` does, and
    for normalisation at home with a network that has none.
    """
    network = initial_network(
        federation.network_settings, federation.task, federation.seed, federation.image_shape
    )
    whole = get_weights(network)
    if federation.aggregation.normalisation == "averaged":
        return FirstModel(network, whole, {})
    names = normalisation_weights(network)
    if not names:
        raise ConfigurationError(
            f'aggregation.normalisation = "at-home" with {federation.model.network!r}, which has no'
            " normalisation layers with weights",
            "a network whose normalisation layers have weights or statistics",
            'choose another network, or aggregation.normalisation = "averaged"',
        )
    return FirstModel(network, whole, {name: whole[name] for name in whole if name in names})
