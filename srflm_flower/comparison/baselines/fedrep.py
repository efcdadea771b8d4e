"""FedRep: the head stays at home, and the body is averaged (Collins et al., ICML 2021).

The global model that is scored gets the mean of the vendors' heads, as the paper names none for a
site outside of the federation.
"""

from __future__ import annotations

from typing import Final

from flwr.serverapp.strategy import FedAvg

from clients.guidance import Guidance
from clients.networks.head import head_weights
from srflm_flower.comparison.baselines.baseline import Baseline, Done, Turn, needs_plain_training
from srflm_flower.site.site import Site


def head(site: Site) -> frozenset[str]:
    """Return the names of the weights in the layer that the network runs last."""
    network = site.learner.network
    return head_weights(network, site.learner.data.train.empty()[0])


def train_head_then_body(turn: Turn) -> Done:
    """Train the head with half of the steps, then the body with the other half (algorithm 1).

    The other part is frozen meanwhile; statistics of batch normalisation go on, as they are not
    trained.  Of an odd number the body gets the step more.
    """
    of_head = head(turn.site)
    parameters = frozenset(name for name, _ in turn.site.learner.network.named_parameters())
    first = turn.steps // 2
    with_head = turn.train(turn.start, first, guidance=Guidance(frozen=parameters - of_head))
    rest = turn.steps - first
    done = turn.train(with_head.weights, rest, guidance=Guidance(frozen=of_head), piece=1)
    steps = with_head.steps + done.steps
    return Done(done.weights, done.weights, done.loss, done.examples, steps)


FEDREP: Final = Baseline(
    lambda setup: FedAvg(),
    train=train_head_then_body,
    at_home=head,
    problem=needs_plain_training("fedrep"),
)
