"""Clip a vendor's whole update, and add Gaussian noise to it, before it leaves the site.

This hides the influence of a vendor's whole data set from the elected server and from everybody
else who sees the update (McMahan et al., ICLR 2018, with vendors in place of users). It comes on
top of DP-SGD.
"""

# With a handful of vendors there is no crowd to hide in: noise for a small ε drowns the update.
# Record-level DP-SGD is the useful protection; this one is off by default.

from __future__ import annotations

import math

import numpy as np
import torch

from clients.privacy.gaussian import release
from clients.privacy.noise import Randomness
from strategies.weights import Weights

# In units of the clipping norm C: with other data, an update of norm C may become its opposite.
SENSITIVITY = 2.0


def protect_update(
    start: Weights,
    trained: Weights,
    clip: float,
    noise_multiplier: float,
    randomness: Randomness,
) -> Weights:
    """Return start + clip_C(trained − start) + N(0, (σC)²), σ the noise multiplier (0: no noise).

    The norm is taken over all weights together. An update that is not finite counts as zero.
    """
    update = {name: trained[name].astype(np.float64) - start[name] for name in start}
    norm = math.sqrt(sum(float(np.square(each).sum()) for each in update.values()))
    factor = 0.0 if not math.isfinite(norm) else min(1.0, clip / norm) if norm > 0 else 1.0
    protected = {}
    for name, each in update.items():
        clipped = each * factor if factor > 0 else np.zeros_like(each)  # 0 · NaN would be NaN
        if noise_multiplier > 0:
            exact = torch.from_numpy(np.asarray(clipped))
            clipped = release(exact, noise_multiplier * clip, randomness).numpy()
        protected[name] = (start[name] + clipped).astype(trained[name].dtype)
    return protected
