"""Server-rotating federated learning on Flower.

Load a result in two lines::

    import srflm_flower
    network = srflm_flower.load_model("runs/…/models/global.safetensors")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from torch.nn import Module

__all__ = ["__version__", "load_model"]
__version__ = "0.1.0"


def load_model(path: str | Path) -> Module:
    """Return the network saved in ``path``, ready for inference (in ``eval`` mode, on the CPU).

    Its input is float32 of shape (n, channels, *space) with values in [−1, 1], as in training: give
    it ``2 * images - 1`` for images in [0, 1].  Its output are logits of shape (n, classes).
    Raises :class:`strategies.errors.RunFolderError` when ``path`` is not such a model file.
    """
    from clients.models.model_file import load_model as load  # torch takes seconds to import

    return load(path)
