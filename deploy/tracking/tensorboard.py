"""A sink for TensorBoard: event files in a folder, by PyTorch's own writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deploy.tracking.extras import needed


class TensorBoard:
    """Writes event files into ``folder``.

    Raises :class:`strategies.errors.ConfigurationError` without the package ``tensorboard``.
    """

    def __init__(self, folder: Path) -> None:
        writing: Any = needed("torch.utils.tensorboard", "tensorboard")
        self._writer = writing.SummaryWriter(str(folder))

    def scalar(self, name: str, value: float, step: int) -> None:
        """Write a figure."""
        self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        """Let a TensorBoard that runs see what was written so far."""
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()
