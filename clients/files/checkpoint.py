"""Checkpoints, from which interrupted training continues after its last stored epoch.

A checkpoint belongs to one piece of work, named by its key. Continued training gives the same
weights, to the bit, as training without an interruption.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clients.files.durable import write_durably

if TYPE_CHECKING:
    import torch

SECONDS_BETWEEN = 10.0  # writing more often would take longer than repeating the epoch


@dataclass
class Checkpoint:
    """The checkpoint file of the piece of work named ``key``.

    It is written at most once in ``seconds`` seconds.
    """

    path: Path
    key: str
    seconds: float = SECONDS_BETWEEN  # to do less training again takes no longer than to write
    _kept: float = field(default_factory=time.monotonic)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the state stored for this piece of work, or None if there is no usable one."""
        import torch  # which takes seconds, and a site's state is opened without training too

        try:
            kept = torch.load(self.path, map_location=device, weights_only=True)
        except FileNotFoundError:
            return None
        except Exception:  # damaged, or of another version: training starts from the beginning
            return None
        return kept if isinstance(kept, dict) and kept.get("key") == self.key else None

    def keep(self, state: dict[str, Any]) -> None:
        """Store ``state`` durably, unless the last one is less than ``seconds`` old."""
        if time.monotonic() - self._kept < self.seconds:
            return
        import torch

        data = io.BytesIO()
        torch.save({"key": self.key, **state}, data)
        write_durably(self.path, data.getvalue())
        self._kept = time.monotonic()

    def drop(self) -> None:
        """Delete the file once the work is done."""
        self.path.unlink(missing_ok=True)
