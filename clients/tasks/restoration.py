"""Restoration: from a noisy image to a better one, judged in the window of the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from monai.metrics.regression import compute_ssim_and_cs
from numpy.typing import NDArray

from clients.tasks.losses import Loss, absolute_error, absolute_error_and_ssim, squared_error
from clients.tasks.settings import SSIM_SIDE, RestorationSettings
from clients.tasks.shared_settings import LOSS
from clients.tasks.task import Cases, means_of, share_of
from strategies.errors import DataError

_LOSSES: dict[str, Loss] = {
    "l1": absolute_error,
    "mse": squared_error,
    "l1-ssim": absolute_error_and_ssim,
}
_NAMES = (LOSS, "psnr", "ssim", "gain", "rmse", "bias")


@dataclass(frozen=True)
class Restoration:
    """The target of every image is an image of the same shape.

    Scores are those of values clipped to the window, as a reader sees them.  PSNR is 60 dB at most,
    for images that are equal.
    """

    settings: RestorationSettings

    def check(self, cases: Cases, whose: str) -> frozenset[int]:
        """Raise :class:`DataError` for targets of another shape, or images too small for SSIM."""
        found, expected = tuple(cases.targets.shape), tuple(cases.images.shape)
        if found != expected:
            raise DataError(
                f"{whose} targets of shape {found} (n, channels, space…)",
                f"the shape of their images, {expected}",
                "write each pair of images in one geometry",
                DataError.SHAPE,
            )
        if min(expected[2:]) < SSIM_SIDE:
            raise DataError(
                f"{whose} images of size {expected[2:]}",
                f"at least {SSIM_SIDE} pixels a side, the window of SSIM",
                "use larger images",
                DataError.SHAPE,
            )
        return frozenset()

    def check_variety(self, found: frozenset[int], whose: str) -> None:
        """Do nothing: a restoration has no classes."""

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the agreed loss of images (B, channels, *space) and targets alike."""
        return _LOSSES[self.settings.loss](outputs, targets)

    def scores(self, outputs: torch.Tensor, cases: Cases, in_full: bool) -> torch.Tensor:
        """Return loss, PSNR, SSIM, gain in PSNR over the input, RMSE, and bias, (n, 6)."""
        targets = cases.targets.cpu()
        losses = self.loss(outputs, targets).double()
        found, truth, before = (
            (each.double().clamp(-1, 1) + 1) / 2 for each in (outputs, targets, cases.images.cpu())
        )
        psnr, width = _psnr(found, truth), self.settings.width
        errors = (found - truth).flatten(1)
        columns = [
            losses,
            psnr,
            _ssim(found, truth),
            psnr - _psnr(before, truth),
            errors.square().mean(1).sqrt() * width,
            errors.mean(1) * width,
        ]
        return torch.stack(columns, dim=1)

    def summary(self, scores: torch.Tensor) -> dict[str, float]:
        """Return the mean of every score."""
        return means_of(_NAMES, scores)

    def shares(self, scores: torch.Tensor) -> torch.Tensor:
        """Return each record's PSNR or SSIM, scaled to [0, 1]."""
        name = self.settings.released
        return share_of(scores[:, _NAMES.index(name)], self.settings.metrics[name].bound)

    def confidence(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return minus the loss of each record."""
        return -self.loss(outputs, targets).double()

    def result(self, outputs: torch.Tensor) -> NDArray[Any]:
        """Return the restored image, float32 (channels, *space) in [0, 1]."""
        found: NDArray[Any] = ((outputs[0].clamp(-1, 1) + 1) / 2).numpy()
        return found


def _psnr(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return 10·log₁₀(1 / MSE) of images in [0, 1], at most 60 dB, shape (n,)."""
    return (-10 * (found - truth).flatten(1).square().mean(1).log10()).clamp(max=60.0)


def _ssim(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the mean structural similarity of images in [0, 1] (Wang et al., 2004), shape (n,)."""
    space = found.ndim - 2
    ssim, _ = compute_ssim_and_cs(
        found.float(),
        truth.float(),
        space,
        data_range=1.0,
        kernel_type="gaussian",
        kernel_size=(SSIM_SIDE,) * space,
        kernel_sigma=(1.5,) * space,
    )
    return ssim.flatten(1).mean(1).double()
