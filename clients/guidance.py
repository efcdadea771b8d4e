"""What some methods add to plain training: an anchor, a correction, and layers that rest.

For comparisons only: the project's own method needs none of it, and private training refuses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from strategies.weights import Weights


@dataclass(frozen=True, eq=False)
class Guidance:
    """Additions to the training of one piece of work; without any, training is plain.

    With an ``anchor``, the proximal term is μ/2·‖w − anchor‖² instead of the distance to the
    weights at the start (Ditto: Li et al., ICML 2021, eq. 2).  ``correction`` is added to the
    gradient of each parameter that it names (SCAFFOLD: Karimireddy et al., ICML 2020, eq. 3).
    Parameters that are named in ``frozen`` do not change.  Names and shapes are those of
    :func:`clients.networks.weights.get_weights`.
    """

    anchor: Weights | None = None
    correction: Weights | None = None
    frozen: frozenset[str] = frozenset()

    @property
    def is_plain(self) -> bool:
        """Whether nothing is added."""
        return self.anchor is None and self.correction is None and not self.frozen

    @contextmanager
    def resting(self, network: nn.Module) -> Iterator[None]:
        """Stop the gradients of the ``frozen`` parameters within the block.

        Raises :class:`KeyError` for a name that ``network`` does not have.
        """
        named = dict(network.named_parameters())
        changed = [each for name in sorted(self.frozen) if (each := named[name]).requires_grad]
        for parameter in changed:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in changed:  # a vendor's pieces of work share one network
                parameter.requires_grad_(True)

    def anchor_of(self, network: nn.Module) -> list[torch.Tensor]:
        """Return the anchor for each of the network's parameters: the weights now, without one."""
        if self.anchor is None:
            return [parameter.detach().clone() for parameter in network.parameters()]
        return [
            torch.from_numpy(self.anchor[name].copy()).to(parameter.device)
            for name, parameter in network.named_parameters()
        ]

    def corrections(self, network: nn.Module) -> list[tuple[nn.Parameter, torch.Tensor]]:
        """Return each trained parameter that is corrected, with its correction."""
        wanted = self.correction or {}
        return [
            (parameter, torch.from_numpy(wanted[name].copy()).to(parameter.device))
            for name, parameter in network.named_parameters()
            if name in wanted and parameter.requires_grad
        ]


PLAIN: Final = Guidance()
"""Plain training."""
