"""The table ``[model.features]`` of ``federation.toml``: frozen features under a trained head."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from clients.paths import DataPath
from strategies.settings import Settings


class FeatureSettings(Settings):
    """Features of an image that nobody trains; only a linear layer on them is trained and sent."""

    kind: Literal["scattering", "efficientnet-lite0", "both"] = Field(
        description='What computes the features: "scattering", wavelets without any weights,'
        ' "efficientnet-lite0", whose public weights are in file, or "both" side by side.'
    )
    side: int = Field(
        default=96,
        ge=16,
        le=512,
        multiple_of=16,
        description="Side in pixels to which images are resized before the features; 32 does for"
        ' "scattering" of small images.',
    )
    scattering_side: int = Field(
        default=32,
        ge=16,
        le=512,
        multiple_of=16,
        description='The side for the wavelets of "both"; side is for the other features then.',
    )
    scales: int = Field(
        default=2,
        ge=1,
        le=4,
        description='Scales of the wavelets, each twice as large; J of "scattering".',
    )
    angles: int = Field(
        default=8, ge=2, le=16, description='Directions of the wavelets; L of "scattering".'
    )
    file: DataPath | None = Field(
        default=None,
        description='Safetensors file with the public weights of "efficientnet-lite0"; a relative'
        " path starts at the federation file's folder.",
    )
    sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 (hexadecimal) of that file: the weights on which all members agree,"
        " wherever each of them keeps it.",
    )
