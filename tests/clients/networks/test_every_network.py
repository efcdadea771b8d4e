"""Every class of MONAI's networks: which are accepted for which task, which refused, and why."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clients.networks.by_name import OWN, named_network, names_of_networks
from clients.networks.shapes import Shapes, Size
from clients.networks.trial import trial, without_memory
from strategies.errors import ConfigurationError
from tests.clients.networks.small_networks import ARGUMENTS

CLASSIFIERS = (
    "Classifier DenseNet DenseNet121 DenseNet169 DenseNet201 DenseNet264 EfficientNet"
    " EfficientNetBN Regressor ResNet SENet SENet154 SEResNet50 SEResNet101 SEResNet152"
    " SEResNext50 SEResNext101"
)
IMAGES_TO_IMAGES = (
    "AHNet AttentionUnet AutoEncoder BasicUNet DynUNet FlexibleUNet HighResBlock HighResNet"
    " LocalNet MedNeXt RegUNet Regressor SegResNet SegResNetDS SwinUNETR UNETR UNet VNet dncnn"
)
TWO_DIMENSIONAL = "Quicknat"
"""Accepted for images of two dimensions only."""
REFUSED = {
    "several outputs": "AutoencoderKL BasicUNetPlusPlus EfficientNetBNFeatures EfficientNetEncoder"
    " MaskedAutoEncoderViT MultiScalePatchDiscriminator PatchDiscriminator ResNetEncoder"
    " ResNetFeatures SegResNetDS2 SegResNetVAE TopologyConstruction VQVAE VarAutoEncoder ViT"
    " ViTAutoEnc",
    "more inputs than images": "BertPreTrainedModel ControlNet DecoderOnlyTransformer"
    " DiffusionModelUNet FullyConnectedNet Generator NaViT SPADEAutoencoderKL"
    " SPADEDiffusionModelUNet SPADENet TopologyInstance TopologySearch VarFullyConnectedNet"
    " VoxelMorph VoxelMorphUNet",
    "parts of a program, or of another network": "BertAttention BertMixedLayer BertOutput DiNTS"
    " MultiModal NetAdapter PatchMerging PatchMergingV2 Pooler ResNetBlock ResNetBottleneck"
    " VISTA3D",
    "packages that are not ours": "DAF3D HyenaNDUNETR MILModel TorchVisionFCModel",
    "another number of outputs": "Critic Discriminator GlobalNet",
    "images of one size only": "HoVerNet",
}
"""Why no task can use them, and which they are."""


def accepted(name: str, shapes: Shapes, size: Size) -> bool:
    def make(tried: Size, device: str) -> nn.Module:
        def plain() -> nn.Module:
            return named_network(
                name,
                ARGUMENTS.get(name, {}),
                shapes.spatial_dims,
                shapes.in_channels,
                shapes.outputs,
                shapes.image_to_image,
                tried,
            )

        return without_memory(plain) if device == "meta" else plain()

    try:
        network = trial(name, make, shapes, size)
    except ConfigurationError:
        return False
    return all(isinstance(each, torch.Tensor) for each in network.parameters())


@pytest.mark.slow  # half a minute together
@pytest.mark.parametrize("name", names_of_networks())
def test_network_suits_the_tasks_of_its_kind(name: str) -> None:
    images = (Shapes(2, 1, 4), (64, 64))
    channels = 1 if name in OWN else 2
    volumes = (Shapes(3, 1, channels, image_to_image=True), (64, 64, 64))
    assert accepted(name, *images) == (name in CLASSIFIERS.split())
    assert accepted(name, *volumes) == (name in IMAGES_TO_IMAGES.split())


@pytest.mark.parametrize("name", TWO_DIMENSIONAL.split())
def test_network_for_two_dimensions_suits_pictures(name: str) -> None:
    assert accepted(name, Shapes(2, 1, 2, image_to_image=True), (64, 64))


def test_every_network_has_its_place() -> None:
    usable = {*f"{CLASSIFIERS} {IMAGES_TO_IMAGES} {TWO_DIMENSIONAL}".split()}
    never = {name for names in REFUSED.values() for name in names.split()}
    assert usable | never == set(names_of_networks())
    assert not usable & never
