"""Segmentation: Dice + cross-entropy; Dice and the distance of outlines, of one case at a time."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance
from numpy.typing import NDArray

from clients.tasks.losses import dice_and_cross_entropy
from clients.tasks.settings import SegmentationSettings
from clients.tasks.shared_settings import LOSS
from clients.tasks.task import Cases, check_labels, means_of, share_of
from strategies.errors import DataError


@dataclass(frozen=True)
class Segmentation:
    """Every pixel has one class, the first is the background.

    A record's scores are its loss, then Dice and HD95 for each other class, then their means.  If
    a class is neither in the mask nor in the prediction, both are undefined.  If it is in one of
    them only, Dice is 0 and HD95 is undefined.
    """

    settings: SegmentationSettings

    def check(self, cases: Cases, whose: str) -> frozenset[int]:
        """Raise :class:`DataError` for masks of another shape, or of unknown labels.

        Returns background and the highest label that was found.
        """
        masks = cases.targets
        expected = (len(cases.images), *cases.images.shape[2:])
        if tuple(masks.shape) != expected:
            raise DataError(
                f"{whose} masks of shape {tuple(masks.shape)} (n, space…)",
                f"one label for each pixel of the images: shape {expected}",
                "write the masks in the geometry of their images",
                DataError.SHAPE,
            )
        low, high = int(masks.min()), int(masks.max())
        check_labels(low, high, self.settings.outputs, whose, "masks with labels")
        return frozenset({0, high})

    def check_variety(self, found: frozenset[int], whose: str) -> None:
        """Raise :class:`DataError` for masks of background only."""
        if found <= {0}:
            raise DataError(
                f"{whose} masks of background only",
                "at least one pixel of another class",
                "give it more data, or allow it with splits.allow-one-class = true",
                DataError.ONE_CLASS,
            )

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return Dice loss + cross-entropy of logits (B, classes, *space), masks (B, *space)."""
        return dice_and_cross_entropy(outputs, targets)

    def scores(self, outputs: torch.Tensor, cases: Cases, in_full: bool) -> torch.Tensor:
        """Return the scores in the order of :meth:`_names`; HD95 only ``in_full``: it is slow."""
        targets = cases.targets.cpu()
        losses = self.loss(outputs, targets).double()[:, None]
        found, truth = self._one_hot(outputs.argmax(1)), self._one_hot(targets)
        space = tuple(range(2, found.ndim))
        in_found, in_truth = (each.any(dim=space)[:, 1:] for each in (found, truth))
        nowhere, both = ~(in_found | in_truth), in_found & in_truth
        # MONAI's value for an empty class depends on its options: the rule here is our own.
        dice = torch.as_tensor(compute_dice(found[:, 1:], truth[:, 1:])).double()
        dice = torch.where(both, dice, 0.0).masked_fill(nowhere, torch.nan)
        far = torch.full_like(dice, torch.nan)
        if in_full:
            for row, spacing in enumerate(cases.spacing.tolist()):
                here = both[row]
                if here.any():
                    pair = found[row, 1:][here], truth[row, 1:][here]
                    far[row, here] = _distances(*pair, spacing)
        means = [each.nanmean(1, keepdim=True) for each in (dice, far)]
        return torch.cat([losses, dice, far, *means], dim=1)

    def summary(self, scores: torch.Tensor) -> dict[str, float]:
        """Return the mean of every score over the records for which it is defined."""
        return means_of(self._names, scores)

    def shares(self, scores: torch.Tensor) -> torch.Tensor:
        """Return each record's mean Dice; a record without anything to find counts as 1."""
        return share_of(scores[:, self._names.index("dice")], (0.0, 1.0))

    def confidence(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return minus the loss of each record."""
        return -self.loss(outputs, targets).double()

    def result(self, outputs: torch.Tensor) -> NDArray[Any]:
        """Return the label of each pixel, uint8 (*space), or uint16 for more than 256 classes."""
        wide = self.settings.outputs > np.iinfo(np.uint8).max + 1
        return outputs.argmax(1)[0].numpy().astype(np.uint16 if wide else np.uint8)

    @property
    def _names(self) -> tuple[str, ...]:
        others = self.settings.classes[1:]
        each = [f"{metric}-{name}" for metric in ("dice", "hd95") for name in others]
        return LOSS, *each, "dice", "hd95"

    def _one_hot(self, labels: torch.Tensor) -> torch.Tensor:
        """Return which voxel has which class, bool (n, classes, *space)."""
        # An eighth of what ``one_hot`` takes, which is much for a volume.
        classes = torch.arange(self.settings.outputs).view(1, -1, *[1] * (labels.ndim - 1))
        return labels.unsqueeze(1) == classes


def _distances(found: torch.Tensor, truth: torch.Tensor, spacing: list[float]) -> torch.Tensor:
    """Return HD95 in mm, (k,), of k binary masks (k, *space), all with a pixel at least."""
    with warnings.catch_warnings():
        # MONAI 1.6.1 gives its own function an argument that it has deprecated.
        warnings.filterwarnings("ignore", ".*always_return_as_numpy", FutureWarning)
        far = compute_hausdorff_distance(
            found[None], truth[None], include_background=True, percentile=95, spacing=spacing
        )
    return far[0].double()
