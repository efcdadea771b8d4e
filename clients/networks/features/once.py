"""Features of images that a process has seen before: nothing ever changes them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

MOST_KEPT = 2**30
"""Bytes of features that are kept; those of further images are computed each time."""


@dataclass
class Once:
    """Computes the features of each image once; they are kept in memory, and in no file."""

    kept: dict[bytes, torch.Tensor] = field(default_factory=dict)

    def of(
        self,
        images: torch.Tensor,
        which: bytes,
        compute: Callable[[torch.Tensor], torch.Tensor],
    ) -> torch.Tensor:
        """Return ``compute(images)``, float32 (n, D), of images (n, channels, *space).

        ``which`` names the function.
        """
        pixels = images.cpu().numpy()
        # The same bytes are another image in another shape.
        form = which + repr((pixels.shape[1:], pixels.dtype.str)).encode()
        names = [hashlib.sha256(form + each.tobytes()).digest() for each in pixels]
        known = {name: self.kept[name] for name in names if name in self.kept}
        missing = {name: row for row, name in enumerate(names) if name not in known}
        if missing:
            found = compute(images[list(missing.values())]).cpu()
            known |= dict(zip(missing, found, strict=True))
            room = MOST_KEPT // (found.shape[1] * found.element_size()) - len(self.kept)
            for name in list(missing)[: max(0, room)]:
                self.kept[name] = known[name].clone()
        return torch.stack([known[name] for name in names]).to(images.device)
