"""Train without one vendor, and score the global model on that vendor's test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clients.data.sources import load_vendor_data
from clients.files.durable import write_durably
from clients.partition_settings import SharesPartition
from clients.settings import NpzData
from srflm_flower.comparison.private_plans import at_seed, planned_again
from srflm_flower.comparison.scoring import on_records
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.run.folder import RunFolder
from srflm_flower.site.site import Site
from strategies.errors import ConfigurationError
from strategies.weights import Weights

EACH = "each"
FEWEST = 3
"""Vendors of a federation of which one can be left out: two remain."""


@dataclass(frozen=True)
class LeftOut:
    """A vendor that takes no part, and the whole federation, which still divides the data."""

    vendor: str
    whole: Federation

    def note_division(self, run: RunFolder) -> None:
        """Tell a run's sites that the data is divided as among all vendors.

        Otherwise the others would share the images of the one that is left out.
        """
        write_durably(run.division, self.whole.to_toml().encode())

    def score(self, sites: Sequence[Site], weights: Weights) -> float | None:
        """Return the metric of a model on the left-out vendor's test split, where it is defined."""
        data = load_vendor_data(self.whole.data_plan(), self.vendor)
        return on_records(sites, weights, [data.test])


def without(federation: Federation, seed: int, vendor: str) -> tuple[Federation, LeftOut]:
    """Return the federation with another seed and without a vendor, planned if private."""
    whole = at_seed(federation, seed)
    # The cap on terms as the server is for the vendors that remain.
    cap = federation.privacy.server_terms
    remaining = with_changes(_without(whole, vendor), privacy__server_terms=cap)
    return planned_again(remaining), LeftOut(vendor, whole)


def vendors_to_leave_out(federation: Federation, asked: str | None) -> tuple[str, ...]:
    """Return the vendors that ``--leave-out`` names: one, or with "each" all, one at a time.

    Raises :class:`ConfigurationError` for a name that the federation does not have, and where the
    federation cannot do without the vendor.
    """
    if asked is None:
        return ()
    if len(federation.roster) < FEWEST:
        raise ConfigurationError(
            f"--leave-out in a federation of {len(federation.roster)} vendors",
            f"at least {FEWEST}, so that two remain",
            "leave the option out, or add a vendor",
        )
    if asked != EACH and asked not in federation.roster:
        raise ConfigurationError(
            f"--leave-out {asked}",
            f"{EACH}, or one of {', '.join(federation.roster)}",
            "correct the name",
        )
    names = federation.roster if asked == EACH else (asked,)
    for name in names:
        _without(federation, name)  # raises before hours of work
    return names


def _without(federation: Federation, vendor: str) -> Federation:
    remaining = [
        member.model_dump(mode="python") for member in federation.vendors if member.name != vendor
    ]
    changes: dict[str, object] = {"vendors": remaining}
    data = federation.data
    if isinstance(data, NpzData) and isinstance(data.partition, SharesPartition):
        # Only for the check of the file: the whole federation divides.
        place = federation.roster.index(vendor)
        shares = data.partition.shares
        changes["data__partition__shares"] = (*shares[:place], *shares[place + 1 :])
    return with_changes(federation, **changes)
