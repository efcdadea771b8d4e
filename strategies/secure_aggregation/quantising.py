"""Updates as integers modulo 2³², so that sums stay exact when masks are added and removed.

An update is the difference between a client's weights and the model from which all clients started.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.errors import UpdateRejected
from strategies.weights import Weights

Residues = NDArray[np.uint32]
"""A vector of integers modulo 2³², as long as the model has weights."""

BITS = 32


@dataclass(frozen=True)
class Quantiser:
    """Maps values in ±``limit`` to integer multiples of :attr:`step`.

    A sum of up to ``summands`` such integers does not overflow 32 bits.
    """

    limit: float
    summands: int

    @property
    def most(self) -> int:
        """The largest integer for one value; ``summands`` times it is below 2³¹."""
        return int(2 ** (BITS - 1 - math.ceil(math.log2(self.summands)))) - 1

    @property
    def step(self) -> float:
        """The distance between neighbouring values; the rounding error is at most half of it."""
        return self.limit / self.most

    def encode(self, update: Weights, start: Weights) -> Residues:
        """Return ``update`` − ``start`` in multiples of the step, arrays in order of their names.

        Raises :class:`UpdateRejected` if a weight has moved by more than the limit, or is not
        finite.
        """
        encoded = np.empty(sum(array.size for array in start.values()), np.uint32)
        for name, part in _parts(start):
            with np.errstate(over="ignore"):  # an infinity is refused below
                moved = update[name].astype(np.float64) - start[name]
                scaled = np.rint(moved.ravel() / self.step)
            # Refuse instead of clipping, which would falsify the mean.  NaN compares as false.
            if not (np.abs(scaled) <= self.most).all():
                raise UpdateRejected(
                    f"{name!r} moved by more than {self.limit:g}, or is not finite",
                    "changes within aggregation.secure-range",
                    "raise aggregation.secure-range in the federation file, or lower the"
                    " learning rate",
                    UpdateRejected.OUT_OF_RANGE,
                )
            encoded[part] = scaled.astype(np.int32).view(np.uint32)
        return encoded

    def decode(self, total: Residues, start: Weights) -> dict[str, NDArray[np.float64]]:
        """Return the sum of updates that is encoded in ``total``, as arrays by name."""
        # The sum of the updates is within ±2³¹, so reading it as signed undoes the modulus.
        signed = total.view(np.int32)
        updates: dict[str, NDArray[np.float64]] = {}
        for name, part in _parts(start):
            flat: NDArray[np.float64] = signed[part] * np.float64(self.step)
            updates[name] = np.reshape(flat, start[name].shape)
        return updates


def agreed_quantiser(limit: float, vendors: int) -> Quantiser:
    """Return the quantiser of a federation, in which all vendors but the server may take part."""
    return Quantiser(limit, vendors - 1)


def mean_from(
    updates: dict[str, NDArray[np.float64]], count: int, start: Weights, also: Weights | None
) -> Weights:
    """Return the mean of ``count`` clients' weights and, if given, the weights ``also``.

    ``updates`` is the sum of the clients' updates from ``start``, by name.
    """
    mean: Weights = {}
    for name, begun in start.items():
        # In float64, so that the weights are rounded to their own type only once.
        total = updates[name] + count * begun.astype(np.float64)
        if also is not None:
            total = total + also[name]
        mean[name] = (total / (count + (also is not None))).astype(begun.dtype)
    return mean


def _parts(start: Weights) -> Iterator[tuple[str, slice]]:
    """Yield every array's name with its slice of the vector."""
    # Sorted names, because the order must be the same at every site.
    at = 0
    for name in sorted(start):
        yield name, slice(at, at + start[name].size)
        at += start[name].size
