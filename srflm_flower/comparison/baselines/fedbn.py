"""FedBN: normalisation layers stay at home, all others are averaged (Li et al., ICLR 2021).

The server's side is Flower's FedAvg, which only sees the other layers.  The global model that is
scored gets the mean of the vendors' normalisation weights, as the paper names none for a site
outside of the federation.
"""

from __future__ import annotations

from typing import Final

from flwr.serverapp.strategy import FedAvg

from clients.networks.normalisation import normalisation_weights
from srflm_flower.comparison.baselines.baseline import Baseline
from srflm_flower.site.site import Site


def normalisation(site: Site) -> frozenset[str]:
    """Return the names of the parameters and statistics of normalisation layers."""
    return normalisation_weights(site.learner.network)


FEDBN: Final = Baseline(lambda setup: FedAvg(), at_home=normalisation)
