"""Find the vendor, the run, and the state behind a simulated node; keep them in memory.

A simulated node knows only its number and the run's folder; it reads everything else from the
folder's ``federation.toml``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from flwr.app import Context

from clients.data.plan import DataPlan
from clients.models.model_store import ModelStore
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.first_model import FirstModel, first_model
from srflm_flower.run.folder import RunFolder
from srflm_flower.site.own_data.learner import vendor_learner
from srflm_flower.site.privacy import PrivacyAccount
from srflm_flower.site.site import Site
from srflm_flower.site.state import SiteState


@dataclass
class SimulatedRun:
    """A run as one process of the simulation sees it."""

    folder: RunFolder
    federation: Federation
    first: FirstModel
    data: DataPlan


@dataclass
class SimulatedSite:
    """One vendor of a simulated run."""

    run: SimulatedRun
    vendor: str

    # Ray's processes serve many nodes and live as long as the run, so each process loads a site and
    # its data once.
    _runs: ClassVar[dict[Path, SimulatedRun]] = {}
    _sites: ClassVar[dict[tuple[Path, str], Site]] = {}

    def site(self) -> Site:
        """Return the vendor's site; the site reads its data at the first use."""
        key = (self.run.folder.path, self.vendor)
        if key not in self._sites:
            federation = self.run.federation
            account = PrivacyAccount(self.run.folder.privacy_ledger(self.vendor))
            self._sites[key] = Site(
                self.vendor,
                federation,
                lambda: vendor_learner(
                    federation, self.vendor, self.run.first.network, account, self.run.data
                ),
                self.run.first,
                self._state(),
                ModelStore(self.run.folder.site_store),
            )
        return self._sites[key]

    def _state(self) -> SiteState:
        federation = self.run.federation
        return SiteState(
            self.run.folder.site(self.vendor),
            federation.hash,
            federation.network_settings,
            federation.task,
        )

    @classmethod
    def at(cls, folder: Path, position: int) -> SimulatedSite | None:
        """Return the vendor at ``position`` of the roster (from 0), or ``None`` beyond its end."""
        if folder not in cls._runs:
            found = RunFolder(folder)
            federation = found.federation()
            first = first_model(federation)
            cls._runs[folder] = SimulatedRun(found, federation, first, found.data_plan())
        run = cls._runs[folder]
        if position >= len(run.federation.roster):
            return None
        return cls(run, run.federation.roster[position])

    @classmethod
    def forget(cls, folder: Path) -> None:
        """Drop a run from memory."""
        cls._runs.pop(folder, None)
        for key in [key for key in cls._sites if key[0] == folder]:
            del cls._sites[key]


def simulated_site(context: Context) -> Site | None:
    """Return the site behind a simulated node; ``None`` for a spare node without a vendor."""
    folder = run_folder_of(str(context.run_config["out"]), context.run_id)
    found = SimulatedSite.at(folder, int(context.node_config["partition-id"]))
    return found.site() if found is not None else None


def run_folder_of(out: str, run_id: int) -> Path:
    """Return a run's folder: ``out``, or the noted folder of a ``flwr run`` without ``out``."""
    return Path(out) if out else Path(folder_note(run_id).read_text(encoding="utf-8"))


def folder_note(run_id: int) -> Path:
    """Return the file in which the ServerApp of such a ``flwr run`` notes its run's folder."""
    return Path.cwd() / "runs" / f".flwr-{run_id}"
