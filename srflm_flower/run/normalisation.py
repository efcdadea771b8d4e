"""Normalisation for a released model whose sites keep theirs at home: the mean of the sites'."""

from __future__ import annotations

import numpy as np

from srflm_flower.federation.federation import Federation
from srflm_flower.run.folder import RunFolder
from srflm_flower.site.state import SiteState
from strategies.weights import Weights

NOTE = "mean of the vendors'"


def mean_at_home(folder: RunFolder, federation: Federation, first: Weights) -> Weights:
    """Return the unweighted mean of the weights that the simulated sites keep at home, by name.

    ``first`` are their first values, with which a site counts that has not trained yet.  This is
    for simulations, where one machine has the folders of all sites; no site sends these weights.
    """
    if not first:
        return {}
    of_sites = []
    for vendor in federation.roster:
        settings = federation.network_settings, federation.task
        trained = SiteState(folder.site(vendor), federation.hash, *settings).newest_training()
        of_sites.append(first if trained is None else trained)
    return {
        name: np.asarray(np.mean([each[name] for each in of_sites], 0, np.float64), array.dtype)
        for name, array in first.items()
    }
