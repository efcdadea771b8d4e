"""A residual network for restoration, without pooling: it takes images of any size.

Zhang et al., Beyond a Gaussian denoiser (IEEE Transactions on Image Processing, 2017).
"""

from __future__ import annotations

import torch
from monai.networks.layers.factories import Conv, Norm
from torch import nn

_NORMS = ("none", "batch", "instance")


class DnCNN(nn.Module):
    """``depth`` convolutions of ``width`` channels, whose output is added to the input.

    Input and output (B, channels, *space) of any size.  Normalisation is "none", "batch" or
    "instance", and stands between the inner convolutions and their ReLU.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        depth: int = 8,
        width: int = 32,
        norm: str = "none",
    ) -> None:
        super().__init__()
        if in_channels != out_channels:
            raise ValueError(
                f"the residual is added to the input, so that {in_channels} input channels cannot"
                f" become {out_channels}"
            )
        if depth < 2 or width < 1:
            raise ValueError(f"depth {depth} and width {width}; at least 2 and 1 are needed")
        if norm not in _NORMS:
            raise ValueError(f"norm {norm!r}; it is one of {', '.join(_NORMS)}")
        convolution = Conv[Conv.CONV, spatial_dims]

        def layer(wide_in: int, wide_out: int, bias: bool = True) -> nn.Module:
            made: nn.Module = convolution(wide_in, wide_out, kernel_size=3, padding=1, bias=bias)
            return made

        # Not in place: Opacus' hooks refuse in-place operations.
        layers = [layer(in_channels, width), nn.ReLU()]
        for _ in range(depth - 2):
            # A normalisation subtracts the mean, and any bias before it with it.
            layers.append(layer(width, width, bias=norm == "none"))
            if norm != "none":
                layers.append(Norm[norm, spatial_dims](width, affine=True))
            layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers, layer(width, out_channels))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the restored images."""
        return torch.as_tensor(images + self.layers(images))
