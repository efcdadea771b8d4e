"""``[privacy]`` of ``federation.toml``: what all vendors agree to do for their records' privacy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from clients.privacy.accounting.mechanism import Mechanism
from strategies.settings import Role, Settings

Unit = Literal["record", "patient"]
"""What is protected: an image, or all images of a person."""

GradientMode = Literal["auto", "vmap", "loop", "ghost"]


class PrivacySettings(Settings):
    """Differential privacy by DP-SGD, in both roles; unit = "none" turns it off."""

    # "Record" in these descriptions is the unit: an image, or all images of one patient.
    unit: Literal["none", "record", "patient"] = Field(
        default="none",
        description='What is protected: nothing, each training image ("record"), or all images of'
        " a person together, whose gradients are averaged before they are clipped.",
    )
    epsilon: float = Field(
        default=8.0,
        gt=0,
        description="The ε that the federation plans for, per record over all its rounds; a site"
        " may allow less.",
    )
    delta: float = Field(
        default=1e-5,
        gt=0,
        lt=1,
        description="The δ at which ε is counted; it must be below one over every vendor's size.",
    )
    clip: float = Field(
        default=1.0, gt=0, description="Norm C to which each record's gradient is clipped."
    )
    batch_size: int = Field(
        default=64,
        ge=1,
        description="Expected batch: a step draws each record with probability batch-size / size.",
    )
    client_noise: float = Field(
        default=1.0,
        gt=0,
        description="Noise multiplier σ of a client's step: the noise has deviation σ·clip;"
        " `srflm privacy plan` solves for it.",
    )
    server_noise: float = Field(
        default=1.0,
        gt=0,
        description="Noise multiplier σ of a fine-tuning step of the server;"
        " `srflm privacy plan` solves for it.",
    )
    client_steps: int = Field(
        default=10, ge=1, description="Gradient steps of a client in a round, in place of epochs."
    )
    server_steps: int = Field(
        default=10,
        ge=1,
        description="Gradient steps of the server's fine-tuning in a round, in place of epochs.",
    )
    server_terms: int | None = Field(
        default=None,
        ge=1,
        description="Most terms that one vendor serves; left out, there is no limit.",
    )
    loss_bound: float = Field(
        default=3.0,
        gt=0,
        description="Λ: a record's loss is cut off here before the noisy mean loss is reported.",
    )
    loss_share: float = Field(
        default=0.3,
        gt=0,
        le=1,
        description="a: size of the loss as a coordinate beside the clipped gradient, as a share"
        " of clip; it raises the noise by the factor √(1 + a²).",
    )
    gradients: GradientMode = Field(
        default="auto",
        description="How gradients of single records are computed, which changes speed and memory"
        ' but not the result; "auto" chooses.',
    )
    physical_batch: int = Field(
        default=64,
        ge=1,
        description="Most records whose gradients are computed at once; it changes memory but not"
        " the result.",
    )
    random: Literal["secure"] = Field(
        default="secure",
        description="Where the noise comes from: AES-256 in counter mode, and nothing else.",
    )
    metrics: Literal["noisy", "withheld", "exact"] = Field(
        default="noisy",
        description="What leaves a site of its validation and test metrics: accuracies with noise"
        " and a budget of their own, nothing, or the exact figures, which no ε covers.",
    )
    metrics_noise: float = Field(
        default=5.0, gt=0, description="Noise multiplier σ of one release of noisy metrics."
    )
    update_clip: float | None = Field(
        default=None,
        gt=0,
        description="Norm to which a vendor's whole update is clipped before it leaves the site;"
        " left out, it is not clipped.",
    )
    update_noise: float = Field(
        default=0.0,
        ge=0,
        description="Noise added to a vendor's whole update, in multiples of update-clip; 0 adds"
        " none.",
    )
    copies: int = Field(
        default=1,
        ge=1,
        description="Randomly flipped and shifted copies of each image whose gradients are averaged"
        " before clipping; 1 takes the image as it is.",
    )
    trainable_layers: int | None = Field(
        default=None,
        ge=1,
        description="Number of layers, counted from the output, that are trained while the others"
        " keep their initial weights; left out, all are trained.",
    )

    @field_validator("random", mode="before")
    @classmethod
    def _no_ordinary_generator(cls, random: object) -> object:
        if random == "system":  # allowed, and the default, in versions before
            raise ValueError(
                'expected "secure", as the state of the system\'s generator can be computed from'
                " released noise; remove the line"
            )
        return random

    @property
    def private(self) -> bool:
        """Whether training is differentially private."""
        return self.unit != "none"

    def sample_rate(self, size: int) -> float:
        """Return q for a vendor of the public ``size``."""
        return self.batch_size / size

    def mechanism(self, size: int, role: Role, noise: float | None = None) -> Mechanism:
        """Return what one round in ``role`` spends at a vendor of the public ``size``.

        ``noise`` is the vendor's own noise multiplier in this role, if it has one.
        """
        if noise is None:
            noise = self.client_noise if role == "client" else self.server_noise
        steps = self.client_steps if role == "client" else self.server_steps
        return Mechanism(noise, self.sample_rate(size), steps)
