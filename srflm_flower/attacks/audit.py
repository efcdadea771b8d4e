"""Audit private training by attack: compare the ledger's ε with the ε that an attacker can prove.

The attacker sees everything that leaves one site: its updates in both roles, and its losses.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from dp_accounting import get_sigma_gaussian

from clients.privacy.audit.canaries import LOSS_CANARIES, Canaries, bits_of_loss
from clients.privacy.audit.one_run import (
    Guesses,
    Scores,
    epsilon_lower_bound,
    gaussian_lower_bound,
    guesses_above,
    surest_guesses,
)
from clients.privacy.settings import PrivacySettings
from srflm_flower.attacks.canary_federation import (
    CanaryNoise,
    Leaked,
    canary_federation,
    run_canaries,
)
from strategies.settings import Role

Seen = Literal["client updates", "server updates", "sum of both", "difference of both", "losses"]
BOUNDS = 10
"""The number of bounds, two for each of five views, that share ``level`` (Bonferroni)."""


@dataclass(frozen=True)
class Audit:
    """The plan of an audit: ε, number of canaries, and rounds (half of them as the server).

    ``noise_ratio`` is σ_s / σ_c.  ``level`` is the probability of a false alarm.
    """

    epsilon: float = 4.0
    canaries: int = 1000
    rounds: int = 4
    # Far below 1, so that nearly all ε is spent as the server: a build that forgets to account for
    # this role accounts for almost nothing, and the audit finds it.
    noise_ratio: float = 0.125
    delta: float = 1e-5
    level: float = 0.05


@dataclass(frozen=True)
class LowerBounds:
    """Lower bounds on ε from one view: by Steinke et al., and by Mahloujifar et al."""

    seen: Seen
    canaries: int
    one_run: float
    gaussian: float


@dataclass(frozen=True)
class AuditResult:
    """ε as planned, as the site's ledger accounts for it, and as attacks prove it, at ``delta``."""

    planned: float
    accounted: float
    delta: float
    level: float
    bounds: tuple[LowerBounds, ...]
    seconds: float

    @property
    def lower_bound(self) -> float:
        """The highest of the lower bounds on ε."""
        return max(max(each.one_run, each.gaussian) for each in self.bounds)

    @property
    def refuted(self) -> bool:
        """Whether an attack proves a larger ε than the ledger accounts for."""
        return self.lower_bound > self.accounted


def audit(what: Audit, settings: PrivacySettings, rng: np.random.Generator) -> AuditResult:
    """Run canaries through whole rounds in both roles, and attack everything that left the site.

    ``rng`` tosses the canaries' coins; the noise is the product's own.  Raises
    :class:`strategies.errors.PrivacyError`.
    """
    started = time.monotonic()
    noise = noise_of(what)
    federation = canary_federation(noise, what.canaries, what.rounds, what.delta, settings)
    canaries = Canaries.toss(what.canaries, rng)
    with tempfile.TemporaryDirectory(prefix="srflm-audit-") as folder:
        leaked = run_canaries(federation, canaries, Path(folder))
    return AuditResult(
        what.epsilon,
        leaked.accounted,
        what.delta,
        what.level,
        tuple(attack(leaked, canaries, noise, what.level)),
        time.monotonic() - started,
    )


def noise_of(what: Audit) -> CanaryNoise:
    """Return the noise with which all rounds together are (ε, δ)-private, without sampling.

    The rounds then form one Gaussian mechanism with μ² = R_c / σ_c² + R_s / σ_s², where R is the
    number of rounds in a role (Dong, Roth & Su, 2022).
    """
    served = what.rounds // 2
    unit = (what.rounds - served) * what.noise_ratio**2 + served
    server = float(get_sigma_gaussian(what.epsilon, what.delta)) * math.sqrt(unit)
    return CanaryNoise(server / what.noise_ratio, server)


def attack(
    leaked: Leaked, canaries: Canaries, noise: CanaryNoise, level: float
) -> Iterator[LowerBounds]:
    """Yield the lower bounds for each of the attacker's views."""
    attempts: dict[Seen, tuple[Guesses, ...]] = {
        seen: surest_guesses(scores, canaries.included)
        for seen, scores in _displacements(leaked, noise, len(canaries.included)).items()
    }
    with_bits = canaries.included[:LOSS_CANARIES]
    attempts["losses"] = guesses_above(_mean_bits(leaked), with_bits, 0.5)
    for seen, made in attempts.items():
        yield LowerBounds(
            seen,
            made[0].canaries,
            epsilon_lower_bound(made, leaked.delta, level / BOUNDS),
            gaussian_lower_bound(made, leaked.delta, level / BOUNDS),
        )


def _displacements(leaked: Leaked, noise: CanaryNoise, count: int) -> dict[Seen, Scores]:
    """Return for each view how far each canary's weight was moved."""
    deviations: dict[Role, float] = {"client": noise.client, "server": noise.server}
    moved = {role: np.zeros(count) for role in deviations}
    for each in leaked.released:
        start, end = (weights["weight"].astype(np.float64) for weights in (each.start, each.end))
        moved[each.role] += (start - end) / deviations[each.role]
    client, server = moved["client"], moved["server"]
    # The sum weights by 1/σ², which is the best attack on training as planned.  The difference
    # weights by 1/σ, so that noise cancels if a faulty build repeats it in every round.
    return {
        "client updates": client,
        "server updates": server,
        "sum of both": client / noise.client + server / noise.server,
        "difference of both": server - client,
    }


def _mean_bits(leaked: Leaked) -> Scores:
    """Return for each canary with a loss of its own the fraction of losses that have its bit."""
    bits = [bits_of_loss(each.loss * leaked.batch) for each in leaked.released]
    return np.asarray(np.mean(bits, axis=0), dtype=np.float64)
