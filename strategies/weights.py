"""Model weights in the form in which they are hashed, stored, and sent: float arrays by name.

Integer buffers (``num_batches_tracked``) are not weights and are not sent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray
from safetensors.numpy import load, save

from strategies.errors import UpdateRejected

Weights = dict[str, NDArray[np.floating]]
"""Parameter or buffer name → array, in the order of the network's state dict."""


def encode_weights(weights: Weights) -> bytes:
    """Return ``weights`` as the bytes of a safetensors file; equal weights give equal bytes."""
    return save({name: np.asarray(array, order="C") for name, array in weights.items()})


def decode_weights(data: bytes) -> Weights:
    """Return the weights in the bytes of a safetensors file."""
    return dict(load(data))


def hash_encoded(data: bytes) -> str:
    """Return the name of an encoded model: the SHA-256 (hex) of its safetensors bytes."""
    return hashlib.sha256(data).hexdigest()


def hash_weights(weights: Weights) -> str:
    """Return the name of ``weights`` in the federation: the SHA-256 (hex) of their encoding."""
    return hash_encoded(encode_weights(weights))


def to_arrays(weights: Weights) -> ArrayRecord:
    """Return ``weights`` as the record that Flower sends."""
    return ArrayRecord({name: Array(np.asarray(array)) for name, array in weights.items()})


def from_arrays(arrays: ArrayRecord) -> Weights:
    """Return the weights in a record that Flower received."""
    return {name: array.numpy() for name, array in arrays.items()}


def check_like(weights: Weights, expected: Weights) -> None:
    """Check that ``weights`` have the names, shapes, and types of ``expected`` and are finite.

    Raises :class:`UpdateRejected`, which names the first array that does not fit.
    """
    if weights.keys() != expected.keys():
        # Symmetric difference: missing and surplus names.
        odd = sorted(weights.keys() ^ expected.keys())
        raise UpdateRejected(
            f"{len(odd)} array names differ, among them {odd[0]!r}",
            "the names of the agreed model",
            "give every site the same [model] table",
        )
    for name, array in weights.items():
        like = expected[name]
        if array.shape != like.shape or array.dtype != like.dtype:
            raise UpdateRejected(
                f"{name!r} has shape {array.shape} and type {array.dtype}",
                f"shape {like.shape} and type {like.dtype}",
                "give every site the same [model] table",
            )
        # A single NaN or infinity would spoil the average for all vendors.
        if not np.isfinite(array).all():
            raise UpdateRejected(
                f"{name!r} has values that are not finite",
                "finite weights",
                "lower the learning rate",
            )


@dataclass(frozen=True)
class Model:
    """Arrays and their hash, which is computed at most once, when the model is made."""

    arrays: ArrayRecord
    hash: str

    @classmethod
    def of_arrays(cls, arrays: ArrayRecord) -> Model:
        """Hash ``arrays`` and return them as a model."""
        return cls(arrays, hash_weights(from_arrays(arrays)))

    @classmethod
    def of_weights(cls, weights: Weights, name: str) -> Model:
        """Return ``weights`` as a model whose hash is known to be ``name``; it is not checked."""
        return cls(to_arrays(weights), name)

    @property
    def weights(self) -> Weights:
        """The arrays as NumPy arrays by name."""
        return from_arrays(self.arrays)
