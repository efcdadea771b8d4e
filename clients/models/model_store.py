"""Store models on disk under the hash of their content: equal models take space once."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from clients.files.durable import write_durably
from strategies.errors import LedgerError
from strategies.weights import Model

_HASH = re.compile("[0-9a-f]{64}")


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

    def put(self, model: Model) -> None:
        """Store ``model`` durably."""
        if model.hash not in self:
            write_durably(self.path(model.hash), model.data)

    def find(self, name: str) -> Model | None:
        """Return the model called ``name``, or ``None`` when it is missing or damaged."""
        try:
            return self.get(name)
        except LedgerError:
            return None

    def get(self, name: str) -> Model:
        """Return the model called ``name``.

        Raises :class:`LedgerError` when its file is missing or damaged.
        """
        try:
            # Names come from other vendors: only a hash may become the name of a file.
            data = self.path(name).read_bytes() if _HASH.fullmatch(name) else b""
        except FileNotFoundError:
            data = b""
        model = Model(data)
        if model.hash != name:
            raise LedgerError(
                f"the stored model {name[:12]}… is missing or damaged",
                "the model that the ledger names",
                "start a new run; at a site, nothing: a server sends it again. Never put back an"
                " old copy of a site's state",
            )
        return model

    def keep_only(self, models: Collection[str]) -> None:
        """Delete all models but these."""
        for path in self._folder.glob("*.safetensors"):
            if path.stem not in models:
                path.unlink(missing_ok=True)
