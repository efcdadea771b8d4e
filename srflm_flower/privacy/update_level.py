"""The ε that clipping and noise of whole updates amount to, by Flower's own accountant."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from clients.privacy.update_level import SENSITIVITY
from srflm_flower.federation.federation import Federation
from strategies.protocol.records import TermRecord


def updates_at_most(records: Sequence[TermRecord]) -> int:
    """Return the most updates that a vendor has sent, in either role, for the committed terms.

    ``records`` are all of them, oldest first.
    """
    # A record tells how many attempts there were, not who answered in those that failed: so each
    # attempt counts in full for everybody.
    rounds = [0, *(record.round for record in records)]
    return sum(
        (last - before) * (record.attempt + 1)
        for record, (before, last) in zip(records, pairwise(rounds), strict=True)
    )


def vendor_level_epsilon(federation: Federation, releases: int) -> float:
    """Return ε (RDP) at the agreed δ for one vendor's whole data set replaced; ∞ without noise."""
    from flwr.serverapp import (
        GaussianPrivacyEvent,
        NeighboringRelation,
        PrivacyConfig,
        RdpAccountant,
        SamplingMethod,
    )

    noise, vendors = federation.privacy.update_noise, len(federation.roster)
    if releases == 0:
        return 0.0
    if noise == 0:
        return float("inf")
    config = PrivacyConfig(
        target_delta=federation.privacy.delta,
        population_size=vendors,
        neighboring_relation=NeighboringRelation.ADD_OR_REMOVE_ONE,
        # Every update is seen, so sampling amplifies nothing.
        sampling_method=SamplingMethod.NO_AMPLIFICATION,
    )
    accountant = RdpAccountant(config)
    # The accountant assumes a change of norm C; replacing the data can change an update by 2 C.
    event = GaussianPrivacyEvent(noise / SENSITIVITY, vendors, vendors)
    accountant.compose(event, releases)
    return float(accountant.get_epsilon(federation.privacy.delta))


def update_level_statement(federation: Federation, records: Sequence[TermRecord]) -> str:
    """Return the protection that updates have had so far, in words; empty if it is off."""
    settings = federation.privacy
    if settings.update_clip is None:
        return ""
    most = updates_at_most(records)
    what = f"Updates are clipped to {settings.update_clip:g}"
    if settings.update_noise == 0:
        return f"{what}, without noise: that bounds one vendor's influence and hides nothing."
    spent = vendor_level_epsilon(federation, most)
    return (
        f"{what} and get noise of {settings.update_noise:g} times that: for a vendor's whole"
        f" data set, replaced, ε = {spent:.3g} at δ = {settings.delta:g} after at most {most}"
        " updates, one for each round and attempt of the committed terms; an open term does not"
        " count."
        f" With {len(federation.roster)} vendors an ε that means something leaves little of the"
        " model; what protects records is DP-SGD."
    )
