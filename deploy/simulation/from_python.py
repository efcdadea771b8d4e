"""A simulation for those who call it from Python; ``srflm_flower.simulate`` is its name there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from clients.device import gpus_for
from deploy.simulation.simulation import simulate
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import built_in_federation, load_federation, with_changes
from srflm_flower.federation.preflight import check_before_simulation
from srflm_flower.run.folder import create_run_folder
from srflm_flower.run.opened import Run


def simulate_in(
    federation: Federation | str | Path | None,
    out: str | Path | None,
    rounds: int | None,
    seed: int | None,
    cpus: int | None,
    on_event: Callable[[dict[str, Any]], None] | None,
) -> Run:
    """Check, run, and open a simulation; see :func:`srflm_flower.simulate`."""
    chosen = _chosen(federation, rounds, seed)
    check_before_simulation(chosen)  # before the folder is made, to leave no empty one
    folder = create_run_folder(chosen, Path(out) if out is not None else None, Path("runs"))
    simulate(folder, on_event or (lambda event: None), cpus, gpus_for(chosen.run.device))
    return Run(folder.path)


def _chosen(
    federation: Federation | str | Path | None, rounds: int | None, seed: int | None
) -> Federation:
    match federation:
        case None:
            found = built_in_federation()
        case Federation():
            found = federation
        case path:
            found = load_federation(Path(path))
    changes: dict[str, object] = {}
    if rounds is not None:
        changes["run__rounds"] = rounds
    if seed is not None:
        changes["seed"] = seed
    return with_changes(found, **changes)  # one that was made in Python is checked, too
