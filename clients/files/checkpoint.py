"""Interrupted training goes on from its last epoch: what a checkpoint holds, and where it lies.

A checkpoint is of one piece of work and of no other: its key names it.  What is continued gives the
same weights, to the bit, as what was never interrupted.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from clients.files.durable import write_durably

SECONDS_BETWEEN = 10.0


@dataclass
class Checkpoint:
    """The checkpoint file of one piece of work, named by ``key``.

    An epoch that ends less than ``seconds`` after the last one was kept is not kept: writing would
    take longer than doing it again.
    """

    path: Path
    key: str
    seconds: float = SECONDS_BETWEEN
    _kept: float = field(default_factory=time.monotonic)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return what was kept for this piece of work; None when there is nothing usable."""
        try:
            kept = torch.load(self.path, map_location=device, weights_only=True)
        except FileNotFoundError:
            return None
        except Exception:  # damaged, or of another version: the work is done from the start
            return None
        return kept if isinstance(kept, dict) and kept.get("key") == self.key else None

    def keep(self, state: dict[str, Any]) -> None:
        """Store ``state`` durably, unless the last one is recent enough."""
        if time.monotonic() - self._kept < self.seconds:
            return
        data = io.BytesIO()
        torch.save({"key": self.key, **state}, data)
        write_durably(self.path, data.getvalue())
        self._kept = time.monotonic()

    def drop(self) -> None:
        """Delete the file: the work is done."""
        self.path.unlink(missing_ok=True)
