"""The four classifiers with names of their own, which take images of any size from 8 pixels."""

from __future__ import annotations

import torch
from monai.networks.nets import DenseNet121, EfficientNetBN, resnet18
from torch import nn
from torch.nn import functional

from clients.networks.shapes import Shapes
from clients.networks.small import SmallCNN
from clients.settings import ModelSettings

# DenseNet and EfficientNet halve their images five times: 32 pixels become one.
SMALLEST_SIDE = 32


def stock_network(model: ModelSettings, shapes: Shapes) -> nn.Module:
    """Return the classifier that ``model`` names: (B, channels, *space) to logits (B, classes).

    Raises :class:`ValueError` for other names.
    """
    network: nn.Module
    dims, channels, classes = shapes.spatial_dims, shapes.in_channels, shapes.outputs
    match model.network:
        case "small-cnn":
            return SmallCNN(dims, channels, classes, model.norm, model.width)
        case "resnet18":
            return resnet18(spatial_dims=dims, n_input_channels=channels, num_classes=classes)
        case "densenet121":
            network = DenseNet121(spatial_dims=dims, in_channels=channels, out_channels=classes)
        case "efficientnet-b0":
            network = EfficientNetBN(
                "efficientnet-b0",
                pretrained=False,  # MONAI's default downloads weights
                spatial_dims=dims,
                in_channels=channels,
                num_classes=classes,
            )
        case other:
            raise ValueError(f"{other!r} is no network of this file")
    network.register_forward_pre_hook(pad_small_images)
    return network


def pad_small_images(
    _network: nn.Module, inputs: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, ...]:
    """Pad images (n, channels, *space) by their border pixels to :data:`SMALLEST_SIDE`."""
    images, *others = inputs
    missing = [max(0, SMALLEST_SIDE - side) for side in images.shape[2:]]
    if not any(missing):
        return inputs
    # functional.pad counts axes from the last one.
    padding = [part for each in reversed(missing) for part in (each // 2, each - each // 2)]
    return (functional.pad(images, padding, mode="replicate"), *others)
