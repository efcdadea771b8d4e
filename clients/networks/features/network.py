"""A network of frozen features, a centre, and a linear layer; only these two are weights."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from clients.feature_settings import FeatureSettings
from clients.networks.features.leaves import dead_leaves
from clients.networks.features.lite import Lite
from clients.networks.features.once import Once
from clients.networks.features.scattering import Scattering
from clients.networks.shapes import Shapes

CELLS = 4  # a side: the parts of an image over which wavelet coefficients are averaged
PUBLIC_IMAGES = 128
SHARE = 0.3
"""Length of the centre's gradient of a record, beside the layer's of up to about 2."""
PACE = 0.1
"""How far the centre moves for each change of its weight: more slowly than the layer."""


SEEN = Once()
"""One for the process: a simulation runs many sites, methods, and seeds on the same images."""


class FeatureNetwork(nn.Module):
    """Logits (B, outputs) of images (B, channels, *space), or of their features (B, D).

    The features x are standardised by public images.  The layer gets the direction of x − c, whose
    length is 1, so that no record's gradient is long.  The frozen part has no parameters, and its
    buffers are no part of the state: neither training, averaging, nor sending sees it.
    """

    def __init__(self, settings: FeatureSettings, shapes: Shapes) -> None:
        super().__init__()
        self.extractor = frozen(Extractor(settings, shapes.in_channels))
        self.centre = nn.Parameter(torch.zeros(self.extractor.features))
        self.layer = nn.Linear(self.extractor.features, shapes.outputs)
        # From nought, which is as good as any start of a linear layer, and without noise.
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        features = images if images.ndim == 2 else self._features(images)
        away: torch.Tensor = _Away.apply(features, self.centre)  # type: ignore[no-untyped-call]
        return torch.as_tensor(self.layer(functional.normalize(away)))

    def features_of(self, images: torch.Tensor) -> torch.Tensor:
        """Return the standardised features of images, float32 (B, D); nothing trains them."""
        with torch.no_grad():
            return SEEN.of(images, self._which, self.extractor)

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        if not self.training and len(images):
            return self.features_of(images)
        with torch.no_grad():  # under vmap an image has no bytes to go by
            return torch.as_tensor(self.extractor(images))

    @cached_property
    def _which(self) -> bytes:
        """A hash of the frozen part."""
        found = hashlib.sha256()
        for name, constant in self.extractor.named_buffers():
            found.update(name.encode() + constant.cpu().numpy().tobytes())
        return found.digest()

    def train(self, mode: bool = True) -> FeatureNetwork:
        """Set the mode of all but the frozen part."""
        super().train(mode)
        self.extractor.eval()
        return self


class Extractor(nn.Module):
    """Resized images to features (B, ``features``), standardised by public made-up images."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, settings: FeatureSettings, channels: int) -> None:
        super().__init__()
        sources = _sources(settings)
        self.sources = nn.ModuleList(sources)
        # Known to all before any patient's image: nothing has to be measured, and so protected.
        with torch.no_grad():
            public = [s(dead_leaves(PUBLIC_IMAGES, channels, s.side)) for s in sources]
        self.features = sum(each.shape[1] for each in public)
        self.register_buffer("mean", torch.cat([each.mean(0) for each in public]))
        # Each source has the same length, however many features it has.
        self.register_buffer("scale", torch.cat([_scale(each) for each in public]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features of images (B, channels, *space)."""
        raw = torch.cat([each(images) for each in self.sources], dim=1)
        return torch.as_tensor((raw - self.mean) / self.scale)


class Source(nn.Module):
    """Features (B, D) of images (B, channels, *space), which are resized to ``side``² pixels."""

    def __init__(self, inner: nn.Module, side: int) -> None:
        super().__init__()
        self.inner, self.side = inner, side

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features as they are; maps of them as means over a grid of cells."""
        size = (self.side, self.side)
        if tuple(images.shape[2:]) != size:
            images = functional.interpolate(images, size, mode="bilinear", antialias=True)
        found = self.inner(images)
        if found.ndim == 4:
            found = functional.adaptive_avg_pool2d(found, CELLS).flatten(1)
        return torch.as_tensor(found)


def _sources(settings: FeatureSettings) -> list[Source]:
    found = []
    if settings.kind != "scattering":
        found.append(Source(Lite(settings), settings.side))
    if settings.kind != "efficientnet-lite0":
        side = settings.scattering_side if settings.kind == "both" else settings.side
        scattering = Scattering((side, side), settings.scales, settings.angles)
        found.append(Source(scattering, side))
    return found


def _scale(public: torch.Tensor) -> torch.Tensor:
    deviation = public.std(0)
    clamped = deviation.clamp(min=1e-3 * float(deviation.mean()))
    return torch.as_tensor(clamped * public.shape[1] ** 0.5)


class _Away(torch.autograd.Function):
    """x − c, where c learns by a rule of its own: a record pulls it by :data:`SHARE` towards x.

    The rest at which these pulls cancel out is the geometric median of the records.  A pull is a
    gradient like the layer's: in private training both are clipped together and noise is added to
    both, so that centring is no release besides, and has no budget of its own.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(features: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
        return features - PACE * centre

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, _gradient: torch.Tensor) -> tuple[None, torch.Tensor]:
        (away,) = ctx.saved_tensors
        # The mean, as of a loss that is a mean over the batch; a private batch has one record.
        return None, -SHARE * functional.normalize(away).mean(0)


def frozen(extractor: Extractor) -> Extractor:
    """Turn all parameters and buffers into buffers that no state has; return the extractor."""
    for module in extractor.modules():
        constants = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in constants:
            delattr(module, name)
            module.register_buffer(name, tensor.detach(), persistent=False)
    return extractor.eval()
