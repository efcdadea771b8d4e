"""Models on disk, named by the hash of their content, so that equal models are stored once."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from clients.files.durable import write_durably
from strategies.errors import LedgerError
from strategies.weights import Weights, decode_weights, encode_weights, hash_encoded


class ModelStore:
    """A folder of ``<sha256>.safetensors`` files.

    In a simulation the vendors share one folder; what a vendor may *use* is still decided by the
    messages that it gets.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, model: str) -> Path:
        """Return where ``model`` is or would be stored."""
        return self._folder / f"{model}.safetensors"

    def __contains__(self, model: str) -> bool:
        return self.path(model).is_file()

    def put(self, weights: Weights, known_as: str | None = None) -> str:
        """Store ``weights`` durably; return their hash, which need not be computed if known."""
        if known_as is not None and known_as in self:
            return known_as
        data = encode_weights(weights)
        name = hash_encoded(data)
        if name not in self:
            write_durably(self.path(name), data)
        return name

    def find(self, model: str) -> Weights | None:
        """Return the weights called ``model``, or ``None`` when they are missing or damaged."""
        try:
            return self.get(model)
        except LedgerError:
            return None

    def get(self, model: str) -> Weights:
        """Return the weights called ``model``, checked against their name.

        Raises :class:`LedgerError` when the file is missing or damaged.
        """
        try:
            data = self.path(model).read_bytes()
        except FileNotFoundError:
            data = b""
        if hash_encoded(data) != model:
            raise LedgerError(
                f"the stored model {model[:12]}… is missing or damaged",
                "the model that the ledger names",
                "restore the state folder, or start a new run",
            )
        return decode_weights(data)

    def keep_only(self, models: Collection[str]) -> None:
        """Delete all other models."""
        for path in self._folder.glob("*.safetensors"):
            if path.stem not in models:
                path.unlink(missing_ok=True)
