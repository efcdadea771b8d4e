"""Compute the (ε, δ) of a history of mechanisms, with one record added or removed.

The reported figure comes from privacy loss distributions (PLD; Koskela et al., AISTATS 2020;
Doroshenko et al., PETS 2022, "connect the dots"), rounded up throughout, so it is never below the
truth. Rényi accounting (RDP; Mironov, CSF 2017) is a cheap upper bound.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from dp_accounting import (
    ComposedDpEvent,
    DpEvent,
    GaussianDpEvent,
    PoissonSampledDpEvent,
    SelfComposedDpEvent,
)
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant

from clients.privacy.accounting.mechanism import Mechanism
from strategies.errors import PrivacyError

History = tuple[Mechanism, ...]

# Widths of the PLD's bins: FINE gives ε to within 0.001, COARSE is ten times as quick.
FINE, COARSE = 1e-4, 1e-3

# Above this ε, COARSE is within 0.01 % already.
FINE_UP_TO = 20.0

# Above this ε the RDP bound is reported: such an ε promises nothing, and PLD gets slow.
LARGEST = 150.0

# Rényi orders. For whole numbers the divergence is a finite sum, quick and without failures.
ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 512, 1024)


def merged(history: Iterable[Mechanism]) -> History:
    """Return the history with the steps of equal (σ, q) added up, in a fixed order.

    Raises :class:`PrivacyError` for invalid values.
    """
    # Composition does not depend on the order. A vendor's two mechanisms alternate, and without
    # merging, long histories would be slow to account.
    steps: Counter[tuple[float, float]] = Counter()
    for each in history:
        check_mechanism(each)
        steps[each.noise_multiplier, each.sample_rate] += each.steps
    return tuple(Mechanism(noise, rate, count) for (noise, rate), count in sorted(steps.items()))


def epsilon(history: Iterable[Mechanism], delta: float) -> float:
    """Return ε at ``delta``: the reported figure, 0 for an empty history.

    Raises :class:`PrivacyError` for δ outside (0, 1).
    """
    known = merged(history)
    guard = epsilon_upper(known, delta)
    if not known or guard > LARGEST:
        return guard
    return min(guard, _pld(known, delta, FINE if guard <= FINE_UP_TO else COARSE))


def epsilon_quickly(history: Iterable[Mechanism], delta: float) -> float:
    """Return ε at ``delta``, some thousandths too high, in a tenth of the time."""
    known = merged(history)
    guard = epsilon_upper(known, delta)
    return min(guard, _pld(known, delta, COARSE)) if known and guard <= LARGEST else guard


def epsilon_upper(history: Iterable[Mechanism], delta: float) -> float:
    """Return the RDP bound on ε at ``delta``: 8 to 15 % above :func:`epsilon`, in 0.1 s."""
    _check_delta_range(delta)
    known = merged(history)
    return _rdp(known, delta) if known else 0.0


def within(history: Iterable[Mechanism], delta: float, limit: float) -> bool:
    """Return whether ε at ``delta`` is at most ``limit``."""
    # From the cheapest bound to the dearest: all are upper bounds, so the first below decides.
    known = merged(history)
    guard = epsilon_upper(known, delta)
    if guard <= limit:
        return True
    if guard > LARGEST:
        return False
    return _pld(known, delta, COARSE) <= limit or epsilon(known, delta) <= limit


def event_of(history: Iterable[Mechanism]) -> DpEvent:
    """Return a history as an event of ``dp_accounting``; it raises for an empty history."""
    return ComposedDpEvent(
        [SelfComposedDpEvent(_step(each), each.steps) for each in merged(history)]
    )


def check_mechanism(mechanism: Mechanism, trains: bool = False) -> None:
    """Raise :class:`PrivacyError` for an invalid mechanism, or one that must not train.

    Training needs a sample rate below 1; a rate of 1 is for single releases.
    """
    noise, rate, steps = mechanism.noise_multiplier, mechanism.sample_rate, mechanism.steps
    if not (math.isfinite(noise) and noise > 0):
        raise _wrong(f"a noise multiplier of {noise:g}", "a number greater than 0", "set the noise")
    if not 0 < rate <= 1 or (trains and rate == 1):
        raise _wrong(
            f"a sample rate of {rate:g}",
            "a number between 0 and 1" + (", below 1 for training" if trains else ""),
            "choose a batch that is smaller than the data",
        )
    if steps < 1:
        raise _wrong(f"{steps} steps", "at least one", "set the number of steps")


def check_size(batch_size: int, size: int, delta: float) -> None:
    """Raise :class:`PrivacyError` unless batch < records and δ < 1 / records."""
    if batch_size >= size:
        raise _wrong(
            f"a batch of {batch_size} for {size} records",
            "a batch that is smaller than the data",
            f"set privacy.batch-size to less than {size}",
        )
    if not 0 < delta < 1 / size:
        raise _wrong(
            f"δ = {delta:g} for {size} records",
            f"δ between 0 and 1/{size}: a larger one lets a whole record be published",
            f"set privacy.delta below {1 / size:.1e}",
        )


def _step(mechanism: Mechanism) -> DpEvent:
    gaussian = GaussianDpEvent(mechanism.noise_multiplier)
    if mechanism.sample_rate == 1:
        return gaussian
    return PoissonSampledDpEvent(mechanism.sample_rate, gaussian)


def rdp_accountant() -> RdpAccountant:
    """Return an accountant for the RDP bound."""
    return RdpAccountant(ORDERS)


@lru_cache(maxsize=1024)
def _pld(known: History, delta: float, bins: float) -> float:
    accountant = PLDAccountant(value_discretization_interval=bins)
    accountant.compose(event_of(known))
    return float(accountant.get_epsilon(delta))


@lru_cache(maxsize=4096)
def _rdp(known: History, delta: float) -> float:
    accountant = rdp_accountant()
    accountant.compose(event_of(known))
    return float(accountant.get_epsilon(delta))


def _check_delta_range(delta: float) -> None:
    if not 0 < delta < 1:
        raise _wrong(f"δ = {delta:g}", "a number between 0 and 1", "set privacy.delta")


def _wrong(found: str, expected: str, mend: str) -> PrivacyError:
    return PrivacyError(found, expected, mend, PrivacyError.SETTINGS)
