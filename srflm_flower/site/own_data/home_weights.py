"""The weights of a vendor that never leave its site: those of its normalisation layers (FedBN).

Li et al., ICLR 2021.  A model that travels has only the other weights.  Here it gets those of the
site before it is trained or measured, and loses them before it leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

from srflm_flower.site.state import SiteState
from strategies.weights import Weights


@dataclass(frozen=True)
class HomeWeights:
    """The weights that stay at one site; ``first`` are their initial values, or nothing."""

    first: Weights
    state: SiteState

    def complete(self, weights: Weights) -> Weights:
        """Return ``weights`` with this site's own beside them, as its last training left those.

        A model that has weights of these names already keeps them.
        """
        if self.first.keys() <= weights.keys():
            return weights
        return {**self._own(), **weights}

    def _own(self) -> Weights:
        trained = self.state.newest_training()
        if trained is None:
            # A restored site has no update, but its personalised model; one without noise must not
            # get into models of a private federation.
            best = self.state.best()
            trained = best.weights if best is not None and not best.noiseless else self.first
        return {name: trained[name] for name in self.first}

    def shared(self, weights: Weights) -> Weights:
        """Return the weights that may leave the site."""
        return {name: array for name, array in weights.items() if name not in self.first}
