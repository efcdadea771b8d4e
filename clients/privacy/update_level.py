"""Protection of a whole update: clipped, and with Gaussian noise, before it leaves the site.

It hides from whoever sees the update, the elected server above all, how much one vendor's whole
data set matters (McMahan et al., ICLR 2018, for a vendor).  With a handful of vendors there
is nothing to hide among: noise that gives a small ε drowns the update.  It goes on top of DP-SGD.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from clients.privacy.gaussian import release
from clients.privacy.noise import Randomness
from strategies.weights import Weights

SENSITIVITY = 2.0
"""In units of the clipping norm C: other data may turn an update of norm C into its opposite."""


def protect_update(
    start: Weights,
    trained: Weights,
    clip: float,
    noise_multiplier: float,
    randomness: Randomness,
) -> Weights:
    """Return start + clip_C(trained − start) + N(0, (σC)²), σ the noise multiplier (0: no noise).

    The norm is that of all weights together.  An update that is not finite becomes none.
    """
    update = {name: trained[name].astype(np.float64) - start[name] for name in start}
    norm = math.sqrt(sum(float(np.square(each).sum()) for each in update.values()))
    factor = 0.0 if not math.isfinite(norm) else min(1.0, clip / norm) if norm > 0 else 1.0
    protected = {}
    for name, each in update.items():
        clipped = each * factor if factor > 0 else np.zeros_like(each)
        if noise_multiplier > 0:
            exact = torch.from_numpy(np.asarray(clipped))
            clipped = release(exact, noise_multiplier * clip, randomness).numpy()
        protected[name] = (start[name] + clipped).astype(trained[name].dtype)
    return protected
