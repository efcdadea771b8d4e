"""Model weights in the form in which they are hashed, stored, and sent: float arrays by name.

Integer buffers (``num_batches_tracked``) are not weights and are not sent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray
from safetensors import SafetensorError
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
    """A model as the bytes of its safetensors file, which are what is hashed, stored, and sent."""

    data: bytes = field(repr=False)

    @classmethod
    def of(cls, weights: Weights) -> Model:
        """Encode ``weights``; equal weights give equal models."""
        return cls(encode_weights(weights))

    @classmethod
    def received(cls, data: bytes, name: str) -> Model:
        """Return the model in bytes from elsewhere, after checking them against their ``name``.

        Raises ValueError for another hash, and for bytes that :meth:`of` would not make.
        """
        model = cls(data)
        if model.hash != name:
            raise ValueError("a model whose content has another hash")
        try:
            again = encode_weights(model.weights)
        except (SafetensorError, KeyError) as error:
            raise ValueError("a model that cannot be decoded") from error
        # One encoding for each model: otherwise equal weights could have two names, and the spare
        # room of a header could carry other data.
        if again != data:
            raise ValueError("a model in another encoding than the agreed one")
        return model

    @cached_property
    def hash(self) -> str:
        """The model's name in the federation: the SHA-256 (hex) of its bytes."""
        return hash_encoded(self.data)

    @cached_property
    def weights(self) -> Weights:
        """The decoded weights; they must not be changed in place."""
        return decode_weights(self.data)
