"""Build the MONAI network that a federation names, with the same initial weights at every site."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
from monai.networks.blocks import Convolution
from monai.networks.nets import DenseNet121, EfficientNetBN, resnet18
from torch import nn
from torch.nn import functional

from clients.privacy.gradients.networks import make_dp_ready, make_probe
from clients.privacy.gradients.standardised_convolution import standardise_weights
from clients.seeds import derive_seed
from clients.settings import ModelSettings
from clients.tasks.settings import TaskSettings
from strategies.weights import Weights

# DenseNet and EfficientNet halve their images five times: 32 pixels become one.
SMALLEST_SIDE = 32


class SmallCNN(nn.Module):
    """A small network: three strided MONAI convolutions, global pooling, one linear layer.

    The convolutions have ``width``, 2 and 4 times ``width`` channels. Input (batch, channels,
    *space) of side 8 or more; output logits (batch, classes).
    """

    def __init__(
        self, spatial_dims: int, channels: int, classes: int, norm: str, width: int = 32
    ) -> None:
        super().__init__()
        widths = (channels, width, 2 * width, 4 * width)
        self.features = nn.Sequential(
            *(
                Convolution(
                    spatial_dims,
                    wide_in,
                    wide_out,
                    strides=2,
                    norm=("group", {"num_groups": 8}) if norm == "group" else "batch",
                    act=("relu", {"inplace": False}),  # Opacus' hooks refuse in-place operations
                    bias=False,
                )
                for wide_in, wide_out in itertools.pairwise(widths)
            )
        )
        self.classifier = nn.Linear(2 * widths[-1], classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        features = self.features(images).flatten(2)
        # Mean and maximum: a lesion is small, and the mean alone hardly shows it.
        pooled = torch.cat([features.mean(2), features.amax(2)], dim=1)
        return torch.as_tensor(self.classifier(pooled))


def build_network(model: ModelSettings, task: TaskSettings) -> nn.Module:
    """Return the network named in ``model`` for the images and classes of ``task``."""
    network = _stock_network(model, task)
    if not model.dp_ready:
        if model.weight_standardisation:
            standardise_weights(network)
        return network
    shape = (task.channels, *[SMALLEST_SIDE] * task.spatial_dims)
    probe = make_probe(shape, torch.device("cpu"))
    return make_dp_ready(network, probe, model.weight_standardisation)


def _stock_network(model: ModelSettings, task: TaskSettings) -> nn.Module:
    network: nn.Module
    dims, channels, classes = task.spatial_dims, task.channels, task.outputs
    match model.network:
        case "small-cnn":
            return SmallCNN(dims, channels, classes, model.norm, model.width)
        case "resnet18":
            network = resnet18(spatial_dims=dims, n_input_channels=channels, num_classes=classes)
        case "densenet121":
            network = DenseNet121(spatial_dims=dims, in_channels=channels, out_channels=classes)
            network.register_forward_pre_hook(pad_small_images)
        case "efficientnet-b0":
            network = EfficientNetBN(
                "efficientnet-b0",
                pretrained=False,  # MONAI's default downloads weights
                spatial_dims=dims,
                in_channels=channels,
                num_classes=classes,
            )
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


def initial_network(model: ModelSettings, task: TaskSettings, seed: int) -> nn.Module:
    """Return the network on the CPU, its initial weights drawn from ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initial-model"))
        return build_network(model, task)


def get_weights(network: nn.Module) -> Weights:
    """Return copies of the network's floating-point parameters and buffers by name.

    One that has several names travels once, under the first of them.
    """
    return {
        name: tensor.detach().cpu().numpy().copy()
        for name, tensor in _floating(network.state_dict()).items()
    }


def _floating(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the floating-point tensors of a state, each under the first of its names."""
    # DynUNet names each of its layers twice, and weights can be tied.
    found: dict[object, str] = {}
    for name, tensor in state.items():
        # Integer buffers (batch norm's num_batches_tracked) would become floats in an average.
        if tensor.is_floating_point():
            place = tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride()
            # An empty tensor has no place of its own.
            found.setdefault(place if tensor.numel() else name, name)
    return {name: state[name] for name in found.values()}


def set_weights(network: nn.Module, weights: Weights) -> None:
    """Load ``weights`` into the network; integer buffers keep their values.

    Raises :class:`KeyError` if a name is missing or unknown.
    """
    state = _floating(network.state_dict())
    if state.keys() != weights.keys():
        raise KeyError(
            f"weights differ from the network's in {sorted(state.keys() ^ weights.keys())}"
        )
    with torch.no_grad():
        for name, array in weights.items():
            state[name].copy_(torch.from_numpy(array.copy()))
