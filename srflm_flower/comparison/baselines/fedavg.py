"""FedAvg and FedProx as Flower has them, and cyclic weight transfer: all weights are shared."""

from __future__ import annotations

from typing import Final

from flwr.serverapp.strategy import FedAvg, FedProx

from srflm_flower.comparison.baselines.baseline import Baseline
from strategies.baselines.cyclic import CyclicWeightTransfer

FEDAVG: Final = Baseline(lambda setup: FedAvg())
"""McMahan et al., AISTATS 2017."""

FEDPROX: Final = Baseline(lambda setup: FedProx(proximal_mu=setup.proximal))
"""Li et al., MLSys 2020."""

CYCLIC: Final = Baseline(
    lambda setup: CyclicWeightTransfer(setup.vendors),
    # One vendor trains in each of Flower's rounds.
    flower_rounds=lambda setup: setup.rounds * setup.vendors,
    rounds_a_round=lambda setup: setup.vendors,
)
"""Chang et al., JAMIA 2018."""
