"""A federation small enough to run whole in a second: 8×8 images of three classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from srflm_flower.client_app import app
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.results.summary import RunSummary
from srflm_flower.run.conduct import ConductedRun
from srflm_flower.run.folder import RunFolder, create_run_folder
from srflm_flower.run.ledger import Ledger
from srflm_flower.run.memory_grid import Fault, MemoryGrid, no_fault
from srflm_flower.run.simulated_site import SimulatedSite
from srflm_flower.site.ledger import TermLedger
from strategies.protocol.records import TermRecord
from strategies.term.plan import Observer, silent

VENDORS = ("a", "b", "c", "d")
NAMES = ("a", "b", "c")
SIZE, DELTA = 20, 1e-3


def write_tiny_npz(
    path: Path, seed: int = 0, per_split: tuple[int, int, int] = (96, 36, 36)
) -> Path:
    """Write a MedMNIST-style file: every class a brightness gradient of its own, and noise."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 120, 8)
    patterns = np.stack(
        [np.tile(ramp, (8, 1)), np.tile(ramp[:, None], (1, 8)), np.full((8, 8), 60.0)]
    )
    arrays = {}
    for name, count in zip(("train", "val", "test"), per_split, strict=True):
        labels = np.arange(count) % 3
        noisy = patterns[labels] + rng.normal(0, 30, (count, 8, 8)) + 40
        arrays[f"{name}_images"] = noisy.clip(0, 255).astype(np.uint8)
        arrays[f"{name}_labels"] = labels[:, None]
    np.savez(path, **arrays)
    return path


def tiny_federation(folder: Path, names: tuple[str, ...] = VENDORS, **changes: Any) -> Federation:
    """Return a federation over a tiny file in ``folder``; ``changes`` as in Federation.changed."""
    path = folder / "tiny.npz"
    if not path.exists():
        write_tiny_npz(path)
    federation = Federation.model_validate(
        {
            "name": "tiny",
            "vendors": [{"name": name} for name in names],
            "task": {"classes": ["rows", "columns", "flat"]},
            "data": {"source": "npz", "path": path, "partition": {"kind": "dirichlet", "alpha": 5}},
            "training": {
                "batch-size": 8,
                "learning-rate": 0.05,
                "client-epochs": 1,
                "server-epochs": 1,
            },
            "run": {"rounds": 3, "answer-deadline": 1, "work-deadline": 1},
        }
    )
    return with_changes(federation, **changes) if changes else federation


def private(folder: Path, **changes: object) -> Federation:
    """Return a tiny federation with differential privacy and hardly any work."""
    settings = {
        "privacy__unit": "record",
        "privacy__batch_size": 8,
        "privacy__client_steps": 2,
        "privacy__server_steps": 3,
        "privacy__client_noise": 2.0,
        "privacy__server_noise": 3.0,
        "privacy__server_terms": 99,  # asked for, as the noise of the two roles differs
        "privacy__delta": DELTA,
        "training__momentum": 0.0,
        "vendors": [{"name": name, "size": SIZE} for name in NAMES],
    }
    return tiny_federation(folder, NAMES, **(settings | changes))


def new_run(federation: Federation, folder: Path) -> RunFolder:
    """Make the run's folder, with privacy ledgers of its own."""
    return create_run_folder(federation, folder, folder.parent, alone=True)


def conduct(folder: RunFolder, fault: Fault = no_fault, observer: Observer = silent) -> RunSummary:
    """Conduct or resume the run in memory, as a fresh process would: nothing is remembered."""
    SimulatedSite.forget(folder.path)
    federation = folder.federation()
    grid = MemoryGrid(app, len(federation.roster), folder.path, fault)
    return ConductedRun(folder, federation, observer).conduct(grid)


def records_of(folder: RunFolder, vendor: str | None = None) -> list[TermRecord]:
    """Return the records in the run's ledger, or in a vendor's own."""
    federation = folder.federation().hash
    if vendor is None:
        return list(Ledger(folder.ledger, federation).records())
    return list(TermLedger(folder.site(vendor) / "ledger.sqlite", federation).records())
