"""An attack's hold on a simulated run: it changes sites from outside, and measures its success."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from srflm_flower.site.site import Site
from strategies.weights import Weights


class Tampering(Protocol):
    """Changes to the sites of a simulated run, made from outside, as an attack does."""

    def before(self, sites: Sequence[Site]) -> None:
        """Change the sites before they first train."""
        ...

    def success(self, sites: Sequence[Site], released: Weights) -> float | None:
        """Return how far the released model does as it was to be made to do, if that is known."""
        ...
