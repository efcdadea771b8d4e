"""What a model's own description leaves out of the settings of its network."""

from __future__ import annotations

from clients.settings import ModelSettings


def not_told(model: ModelSettings) -> set[str]:
    """Return the names of the settings that a model file or a bundle does not tell.

    Where the training began is a file of one machine.  A description without an entry is one that
    older versions read.
    """
    return {"initial_weights"} | ({"entry"} if model.entry is None else set())
