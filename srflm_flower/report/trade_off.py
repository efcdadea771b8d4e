"""The cost of a privacy plan, beside that of other noise, numbers of rounds, and batch sizes."""

from __future__ import annotations

from dataclasses import replace

from clients.privacy.accounting.accounting import epsilon_quickly
from clients.privacy.accounting.planning import Schedule, epsilon_by_rounds
from srflm_flower.privacy.plan import FederationPlan
from srflm_flower.report.figures_privacy import Line, TradeOff

POINTS = 8  # of each line over the rounds
# Factors on the planned noise and batch; the plan itself comes first, as its line is drawn thicker.
NOISES = (1.0, 0.8, 1.5)
BATCHES = (1.0, 0.5, 2.0)
GRID = (0.6, 0.75, 1.0, 1.5, 2.5, 4.0)


def trade_off(plan: FederationPlan) -> TradeOff:
    """Compute the trade-off at the vendor that needs the most noise; takes about ten seconds."""
    vendor = plan.most_demanding
    chosen = plan.plans[vendor]
    schedule, noise = chosen.schedule, chosen.client_noise
    rounds = sorted({0, 1, *(round(schedule.rounds * n / POINTS) for n in range(1, POINTS + 1))})
    return TradeOff(
        vendor,
        plan.epsilon,
        plan.delta,
        schedule.rounds,
        noise,
        [
            Line(
                f"{noise * factor:.3g}",
                rounds,
                epsilon_by_rounds(schedule, noise * factor, plan.delta, rounds),
            )
            for factor in NOISES
        ],
        [
            _noise_line(changed, noise, plan.delta)
            for factor in BATCHES
            if (changed := _with_batch(schedule, factor)) is not None
        ],
        plan.unit,
    )


def _noise_line(schedule: Schedule, noise: float, delta: float) -> Line:
    noises = [noise * factor for factor in GRID]
    epsilons = [epsilon_quickly(schedule.history(each), delta) for each in noises]
    return Line(str(schedule.batch_size), epsilons, noises)


def _with_batch(schedule: Schedule, factor: float) -> Schedule | None:
    batch = max(1, round(schedule.batch_size * factor))
    # A batch of all records or more has no sample rate below 1.
    return replace(schedule, batch_size=batch) if batch < schedule.size else None
