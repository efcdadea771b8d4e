"""Whether a federation trains on data of one's own, whose owner has one privacy ledger for all."""

from __future__ import annotations

from clients.settings import NpzData, PhantomData
from srflm_flower.federation.federation import Federation

SHIPPED = (
    "pbc-by-class",
    "pbc-dirichlet-0.5",
    "pbc-dirichlet-1.0",
    "pbc-private",
    "pbc-private-features",
    "pbc-private-both-features",
)
"""The names of the federations in ``examples/pbc``."""

SHIPPED_DATA = "pbc8_28.npz"
"""The name of their data file, which is public."""


def is_own_data(federation: Federation) -> bool:
    """Return whether records of somebody's own are trained on: neither made up nor an example's.

    Only then does a use count in the ledger of the data's owner. The others count in the folder
    of the run or of the site, so that everybody can try them again and again.
    """
    data = federation.data
    if isinstance(data, PhantomData):
        return False
    # By both names: somebody who begins with a copy of an example soon names a file of their own.
    shipped = isinstance(data, NpzData) and data.path.name == SHIPPED_DATA
    return not (shipped and federation.name in SHIPPED)
