"""A model on the server's side: the arrays that Flower sends, and the hash that names them."""

from __future__ import annotations

from dataclasses import dataclass

from flwr.app import ArrayRecord

from srflm_flower.weights import Weights, from_arrays, hash_weights, to_arrays


@dataclass(frozen=True)
class Model:
    """Arrays and their name; hashing is done once, when the model is made."""

    arrays: ArrayRecord
    hash: str

    @classmethod
    def of_arrays(cls, arrays: ArrayRecord) -> Model:
        """Name ``arrays``."""
        return cls(arrays, hash_weights(from_arrays(arrays)))

    @classmethod
    def of_weights(cls, weights: Weights, name: str) -> Model:
        """Wrap ``weights`` that are already known as ``name``."""
        return cls(to_arrays(weights), name)

    @property
    def weights(self) -> Weights:
        """The arrays as NumPy arrays by name."""
        return from_arrays(self.arrays)
