"""Try the code of others that a federation has agreed on before anything starts."""

from __future__ import annotations

import numpy as np

from clients.tasks.entry_settings import EntryTaskSettings
from srflm_flower.federation.federation import Federation
from strategies.aggregation import Update, aggregate


def check_entries(federation: Federation) -> None:
    """Load the agreed task, aggregation, and election, and try them on made-up numbers.

    Raises :class:`strategies.errors.ConfigurationError` for code that is not the agreed one or
    that fails, and :class:`strategies.errors.UpdateRejected` for a rule that makes no model.
    """
    if isinstance(federation.task, EntryTaskSettings):
        from clients.tasks.entry_task import try_task  # needs torch
        from clients.tasks.registry import entry_task_of

        try_task(entry_task_of(federation.task))
    if federation.election.entry is not None:
        _ = federation.first_ranking
    if federation.aggregation.entry is not None:
        # As many as a term has clients, and one more: the server's last update.
        updates = {
            vendor: Update({"weight": np.full((2, 2), float(number), np.float32)}, 1 + number)
            for number, vendor in enumerate(federation.roster)
        }
        aggregate(updates, federation.aggregation)
