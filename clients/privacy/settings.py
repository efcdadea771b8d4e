"""``[privacy]`` of ``federation.toml``: what all vendors agree to do for their records' privacy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from clients.privacy.accounting.mechanism import Mechanism
from strategies.settings import Role, Settings

Unit = Literal["record", "patient"]
"""What is protected: an image, or all images of a person."""

GradientMode = Literal["auto", "vmap", "loop", "ghost"]


class PrivacySettings(Settings):
    """Differential privacy by DP-SGD, in both roles; ``unit = "none"`` turns it off.

    ``unit`` is what is protected, and what "record" means below: an image, or, with ``"patient"``,
    all images of a person together, whose gradients are averaged before they are clipped.

    ``epsilon`` and ``delta`` are what the federation plans for; a site's own policy may ask for
    less.  A step draws every record with probability q = ``batch_size`` / the vendor's public
    ``size``, clips every record's gradient to ``clip``, and adds noise of ``client_noise`` ·
    ``clip`` (``server_noise`` when serving) once; a vendor's own noise in ``[[vendors]]`` comes
    first.  ``server_terms`` is the most terms that a vendor serves.  ``loss_bound`` (Λ) and
    ``loss_share`` (a) shape the loss that rides on the gradients.

    ``gradients`` names how per-record gradients are computed, ``physical_batch`` how many of them
    at once at most; neither changes the result.  ``random`` is where the noise comes from.
    ``copies`` is the augmentation multiplicity: so many flipped and shifted copies of an image,
    their gradients averaged before clipping.  ``trainable_layers`` trains only the layers that run
    last, so many of them; the others stay as they began.

    ``metrics``: what leaves a site of the metrics on validation and test data: accuracies with
    noise (``metrics_noise``; a budget of its own for those records), nothing, or everything as it
    is, which no ε covers.

    ``update_clip`` bounds the norm of a vendor's whole update, and ``update_noise`` times that is
    the noise it gets, with and without privacy of records
    (:mod:`clients.privacy.update_level`).
    """

    unit: Literal["none", "record", "patient"] = "none"
    epsilon: float = Field(default=8.0, gt=0)
    delta: float = Field(default=1e-5, gt=0, lt=1)
    clip: float = Field(default=1.0, gt=0)
    batch_size: int = Field(default=64, ge=1)
    client_noise: float = Field(default=1.0, gt=0)
    server_noise: float = Field(default=1.0, gt=0)
    client_steps: int = Field(default=10, ge=1)
    server_steps: int = Field(default=10, ge=1)
    server_terms: int | None = Field(default=None, ge=1)
    loss_bound: float = Field(default=3.0, gt=0)
    loss_share: float = Field(default=0.3, gt=0, le=1)
    gradients: GradientMode = "auto"
    physical_batch: int = Field(default=64, ge=1)
    random: Literal["system", "secure"] = "system"
    metrics: Literal["noisy", "withheld", "exact"] = "noisy"
    metrics_noise: float = Field(default=5.0, gt=0)
    update_clip: float | None = Field(default=None, gt=0)
    update_noise: float = Field(default=0.0, ge=0)
    copies: int = Field(default=1, ge=1)
    trainable_layers: int | None = Field(default=None, ge=1)

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
