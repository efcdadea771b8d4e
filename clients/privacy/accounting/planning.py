"""Find the least noise with which a vendor's budget lasts, for both roles together.

A vendor that serves K of R rounds trains in the other R − K as a client. The plan has the least
σ_c with ε[(σ_c, q)^((R − K)·s_c) ∘ (ρ·σ_c, q)^(K·s_s)](δ) ≤ ε for every K up to the cap, where s_c
and s_s are the steps of a round in each role and ρ = σ_s / σ_c.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dp_accounting import (
    DpEvent,
    ExplicitBracketInterval,
    LowerEndpointAndGuess,
    calibrate_dp_mechanism,
)
from dp_accounting.pld import PLDAccountant

from clients.privacy.accounting.accounting import (
    COARSE,
    check_mechanism,
    check_size,
    epsilon,
    epsilon_quickly,
    epsilon_upper,
    event_of,
    merged,
    rdp_accountant,
    within,
)
from clients.privacy.accounting.mechanism import Mechanism
from strategies.errors import PrivacyError

MIN_NOISE, MAX_NOISE = 0.1, 1000.0
DIGITS = 4  # decimals of a planned σ, which people copy into federation.toml
TOLERANCE = 5e-4  # of σ


@dataclass(frozen=True)
class Schedule:
    """A vendor's planned work: ``rounds`` rounds, at most ``server_rounds`` of them as the server.

    ``noise_ratio`` is ρ = σ_s / σ_c; ``before`` is the history of earlier uses of its records.
    """

    size: int
    batch_size: int
    client_steps: int
    server_steps: int
    rounds: int
    server_rounds: int
    noise_ratio: float = 1.0
    before: tuple[Mechanism, ...] = ()

    @property
    def sample_rate(self) -> float:
        """q, the probability with which a record takes part in a step."""
        return self.batch_size / self.size

    def history(self, client_noise: float, served: int | None = None) -> tuple[Mechanism, ...]:
        """Return the records' history after the plan, with ``served`` rounds as the server."""
        served = self.server_rounds if served is None else served
        roles = (
            (client_noise, (self.rounds - served) * self.client_steps),
            (self.server_noise(client_noise), served * self.server_steps),
        )
        return merged(
            (*self.before, *(Mechanism(s, self.sample_rate, n) for s, n in roles if n > 0))
        )

    def server_noise(self, client_noise: float) -> float:
        """Return σ_s = ρ·σ_c, rounded up."""
        return _rounded_up(client_noise * self.noise_ratio)


@dataclass(frozen=True)
class Plan:
    """The noise for a schedule, and the ε at its end."""

    schedule: Schedule
    client_noise: float
    server_noise: float
    epsilon: float
    delta: float


def plan(schedule: Schedule, target: float, delta: float) -> Plan:
    """Return the least noise with which the schedule stays within ε = ``target`` at ``delta``.

    The plan's ε is never above ``target``, whatever number of rounds the vendor serves up to the
    cap. Raises :class:`PrivacyError` if the schedule is invalid or no noise level meets the budget.
    """
    # RDP gives a first guess quickly, PLD the exact answer near it. The loop at the end guards
    # against the tolerance of the search, and against a costlier K than the guess found.
    _check(schedule, target, delta)
    guess = _least_by_rdp(schedule, schedule.server_rounds, target, delta)
    served = _costliest(schedule, guess, delta)
    noise = _rounded_up(_least_by_pld(schedule, served, target, delta))
    while not _fits(schedule, noise, target, delta):
        noise = _rounded_up(noise * 1.0005 + 10**-DIGITS)
    return planned(schedule, noise, delta)


def planned(schedule: Schedule, client_noise: float, delta: float) -> Plan:
    """Return the plan with this noise; its ε is the worst case over the rounds as the server."""
    served = _costliest(schedule, client_noise, delta)
    return Plan(
        schedule,
        client_noise,
        schedule.server_noise(client_noise),
        epsilon(schedule.history(client_noise, served), delta),
        delta,
    )


def epsilon_by_rounds(
    schedule: Schedule, client_noise: float, delta: float, rounds: Sequence[int]
) -> list[float]:
    """Return ε after each number of rounds, with rounds as the server in proportion."""
    return [
        epsilon_quickly(_of_length(schedule, count).history(client_noise), delta) if count else 0.0
        for count in rounds
    ]


def _of_length(schedule: Schedule, rounds: int) -> Schedule:
    served = math.ceil(schedule.server_rounds * rounds / schedule.rounds)
    return replace(schedule, rounds=rounds, server_rounds=min(served, rounds))


def _check(schedule: Schedule, target: float, delta: float) -> None:
    if not (math.isfinite(target) and target > 0):
        raise _wrong(f"ε = {target:g}", "a number greater than 0", "set privacy.epsilon")
    check_size(schedule.batch_size, schedule.size, delta)
    if not 0 <= schedule.server_rounds <= schedule.rounds or schedule.rounds < 1:
        raise _wrong(
            f"{schedule.server_rounds} of {schedule.rounds} rounds as the server",
            "at least one round, and no more of them as the server",
            "lower privacy.server-terms, or raise run.rounds",
        )
    for mechanism in schedule.history(1.0):
        check_mechanism(mechanism)
    if not within(schedule.history(MAX_NOISE), delta, target):
        raise PrivacyError(
            f"ε = {target:g} at δ = {delta:g}, less than {schedule.rounds} rounds with any noise",
            "a budget that is not spent yet",
            "plan fewer rounds or steps, or a larger budget",
            PrivacyError.BUDGET_SPENT,
        )


def _fits(schedule: Schedule, noise: float, target: float, delta: float) -> bool:
    return all(
        within(schedule.history(noise, served), delta, target)
        for served in range(schedule.server_rounds, -1, -1)
    )


def _costliest(schedule: Schedule, noise: float, delta: float) -> int:
    """Return the number of rounds as the server that costs most, by the cheap bound."""
    # One of the two extremes, as a good guess; _fits checks all numbers in between.
    return max(
        (schedule.server_rounds, 0),
        key=lambda served: epsilon_upper(schedule.history(noise, served), delta),
    )


def _least_by_rdp(schedule: Schedule, served: int, target: float, delta: float) -> float:
    def event(noise: float) -> DpEvent:
        return event_of(schedule.history(noise, served))

    if within(schedule.history(MIN_NOISE, served), delta, target):
        return MIN_NOISE
    interval = LowerEndpointAndGuess(MIN_NOISE, 1.0)
    found = calibrate_dp_mechanism(rdp_accountant, event, target, delta, interval, tol=1e-2)
    return float(found)


def _least_by_pld(schedule: Schedule, served: int, target: float, delta: float) -> float:
    """Return the least σ_c by PLD, which is 5 to 10 % below the one by RDP."""

    def event(noise: float) -> DpEvent:
        return event_of(schedule.history(noise, served))

    def accountant() -> PLDAccountant:
        return PLDAccountant(value_discretization_interval=COARSE)

    high = _least_by_rdp(schedule, served, target, delta) * 1.01
    low = max(MIN_NOISE, high * 0.7)
    if within(schedule.history(low, served), delta, target):
        return low
    interval = ExplicitBracketInterval(low, high)
    found = calibrate_dp_mechanism(accountant, event, target, delta, interval, tol=TOLERANCE)
    return float(found)


def _rounded_up(noise: float) -> float:
    # The 1e-9 keeps a number that has DIGITS decimals already from moving to the next one.
    return float(round(math.ceil(noise * 10**DIGITS - 1e-9) / 10**DIGITS, DIGITS))


def _wrong(found: str, expected: str, mend: str) -> PrivacyError:
    return PrivacyError(found, expected, mend, PrivacyError.SETTINGS)
