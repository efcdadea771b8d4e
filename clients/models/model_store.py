"""Store models on disk under the hash of their content: equal models take space once."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from clients.files.durable import write_durably
from strategies.errors import LedgerError
from strategies.weights import Weights, decode_weights, encode_weights, hash_encoded


class ModelStore:
    """A folder of ``<sha256>.safetensors`` files."""

    # In a simulation all vendors share one folder. A vendor still uses only the models whose
    # hashes its messages name.
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, model: str) -> Path:
        """Return where ``model`` is or would be stored."""
        return self._folder / f"{model}.safetensors"

    def __contains__(self, model: str) -> bool:
        return self.path(model).is_file()

    def put(self, weights: Weights, known_as: str | None = None) -> str:
        """Store ``weights`` durably; return their hash.

        ``known_as`` is the hash if the caller knows it already.
        """
        # Encoding and hashing takes long for a large model.
        if known_as is not None and known_as in self:
            return known_as
        data = encode_weights(weights)
        name = hash_encoded(data)
        if name not in self:
            write_durably(self.path(name), data)
        return name

    def find(self, model: str) -> Weights | None:
        """Return the weights with the hash ``model``, or None if they are missing or damaged."""
        try:
            return self.get(model)
        except LedgerError:
            return None

    def get(self, model: str) -> Weights:
        """Return the weights with the hash ``model``, after checking it.

        Raises :class:`LedgerError` if the file is missing or damaged.
        """
        try:
            data = self.path(model).read_bytes()
        except FileNotFoundError:
            data = b""  # its hash is never a model's, so the check below refuses it
        if hash_encoded(data) != model:
            raise LedgerError(
                f"the stored model {model[:12]}… is missing or damaged",
                "the model that the ledger names",
                "restore the state folder, or start a new run",
            )
        return decode_weights(data)

    def keep_only(self, models: Collection[str]) -> None:
        """Delete all models but these."""
        for path in self._folder.glob("*.safetensors"):
            if path.stem not in models:
                path.unlink(missing_ok=True)
