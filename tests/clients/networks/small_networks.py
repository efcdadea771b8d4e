"""Arguments with which MONAI's networks are small, by name; the others need none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_COARSE = {"channels": [4, 8], "strides": [2, 2]}
_TOKENS = {"hidden_size": 24, "mlp_dim": 8, "num_heads": 2}
_PATCHES = {**_TOKENS, "num_layers": 2, "patch_size": 16}

ARGUMENTS: Mapping[str, dict[str, Any]] = {
    "AHNet": {"psp_block_num": 2},
    "AttentionUnet": {"channels": [4, 8], "strides": [2]},
    "AutoEncoder": _COARSE,
    "BasicUNet": {"features": [4, 4, 8, 8, 8, 4]},
    "BasicUNetPlusPlus": {"features": [4, 4, 8, 8, 8, 4]},
    "Classifier": _COARSE,
    "Critic": _COARSE,
    "Discriminator": _COARSE,
    "DynUNet": {
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "filters": [4, 8, 8],
    },
    "EfficientNet": {"blocks_args_str": ["r1_k3_s11_e1_i32_o16_se0.25"]},
    "EfficientNetBN": {"model_name": "efficientnet-b0"},
    "EfficientNetBNFeatures": {"model_name": "efficientnet-b0"},
    "EfficientNetEncoder": {"model_name": "efficientnet-b0"},
    "FlexibleUNet": {"backbone": "efficientnet-b0"},
    "FullyConnectedNet": {"hidden_channels": [4]},
    "Generator": {"latent_shape": [4], "start_shape": [1, 8, 8], **_COARSE},
    "GlobalNet": {"num_channel_initial": 4, "depth": 2},
    "LocalNet": {"num_channel_initial": 4, "extract_levels": [0, 1]},
    "MaskedAutoEncoderViT": {**_PATCHES, "decoder_hidden_size": 24, "decoder_num_heads": 2},
    "NaViT": _PATCHES,
    "PatchDiscriminator": {"channels": 4},
    "MultiScalePatchDiscriminator": {"num_d": 1, "num_layers_d": 1, "channels": 4},
    "RegUNet": {"num_channel_initial": 4, "depth": 2},
    "Regressor": _COARSE,
    "ResNet": {"block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [4, 8, 8, 8]},
    "ResNetEncoder": {"model_name": "resnet18"},
    "ResNetFeatures": {"model_name": "resnet18"},
    "SENet": {"block": "se_bottleneck", "layers": [1, 1, 1, 1], "groups": 1, "reduction": 4},
    "SPADEAutoencoderKL": {"label_nc": 2},
    "SPADEDiffusionModelUNet": {"label_nc": 2},
    "SPADENet": {"label_nc": 2, "channels": [4, 8], "is_vae": False},
    "SwinUNETR": {"feature_size": 12},
    "HyenaNDUNETR": {"feature_size": 12, "hyena_stages": [True, False, False, False]},
    "UNETR": {**_TOKENS, "feature_size": 4},
    "UNet": {"channels": [4, 8], "strides": [2]},
    "VarAutoEncoder": {"latent_size": 4, **_COARSE},
    "VarFullyConnectedNet": {"latent_size": 2, "encode_channels": [4], "decode_channels": [4]},
    "ViT": {**_PATCHES, "classification": True},
    "ViTAutoEnc": _PATCHES,
    "VoxelMorphUNet": {
        "unet_out_channels": 4,
        "channels": [4, 8, 4, 4],
        "final_conv_channels": [4],
    },
}
