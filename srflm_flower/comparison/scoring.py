"""Score a run's models on the vendors' test splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from clients.data.joined import join
from clients.data.records import Records
from clients.models.model_file import read_model_file
from srflm_flower.comparison.meter import Meter
from srflm_flower.comparison.result import Method, MethodResult
from srflm_flower.comparison.tampering import Tampering
from srflm_flower.federation.federation import Federation
from srflm_flower.run.folder import RunFolder
from srflm_flower.run.simulated_site import SimulatedSite
from srflm_flower.site.site import Site
from strategies.weights import Weights


@dataclass(frozen=True)
class Outcome:
    """A finished run, before it is scored.

    ``released`` is its global model, if it has one.  ``personalised`` has each vendor's metric
    where the method has no personalised models at the sites.  ``tampering`` is that of an attacked
    run, and ``stopped`` the code of the error that ended it early, or "".
    """

    method: Method
    run: RunFolder
    federation: Federation
    released: Weights | None
    steps: int
    meter: Meter
    personalised: dict[str, float] | None = None
    tampering: Tampering | None = None
    stopped: str = ""


class HeldOut(Protocol):
    """A vendor that took no part in the run."""

    @property
    def vendor(self) -> str:
        """Its name."""
        ...

    def score(self, sites: Sequence[Site], weights: Weights) -> float | None:
        """Return the metric of a model on its test split, where it is defined."""
        ...


def score(outcome: Outcome, left_out: HeldOut | None = None) -> MethodResult:
    """Score the vendors' personalised models and the released one on the test splits."""
    outcome.meter.stop()
    federation, released = outcome.federation, outcome.released
    sites = sites_of(outcome.run, federation)
    personalised = outcome.personalised
    if personalised is None:
        best = {site.vendor: site.state.best() for site in sites}
        personalised = on_test({s: kept.weights for s in sites if (kept := best[s.vendor])})
    own = overall = held_out = success = None
    if released is not None:
        # Each vendor uses it with its own normalisation, if the federation leaves that at home.
        own = on_test({s: s.home.complete(s.home.shared(released)) for s in sites})
        overall = on_records(sites, released, [site.learner.data.test for site in sites])
        held_out = left_out.score(sites, released) if left_out is not None else None
        if outcome.tampering is not None:
            success = outcome.tampering.success(sites, released)
    epsilon = _most_spent(sites) if outcome.method != "pooled" else None
    SimulatedSite.forget(outcome.run.path)  # a worker makes many runs: free the data of this one
    return MethodResult(
        method=outcome.method,
        seed=federation.seed,
        steps=outcome.steps,
        personalised=personalised,
        global_own=own,
        global_all=overall,
        epsilon=epsilon,
        bytes_sent=outcome.meter.bytes_sent,
        seconds=outcome.meter.seconds,
        left_out=left_out.vendor if left_out is not None else None,
        held_out=held_out,
        success=success,
        stopped=outcome.stopped,
    )


def on_records(sites: Sequence[Site], weights: Weights, test: Sequence[Records]) -> float | None:
    """Return the metric of a model on these test records together, where it is defined."""
    first = sites[0].learner
    learner = replace(first, data=replace(first.data, test=join(test)))
    return learner.evaluate(weights, "test").get(sites[0].federation.task.metric)


def on_test(models: dict[Site, Weights]) -> dict[str, float]:
    """Return the metric of a model on its vendor's test split, where it is defined there."""
    found = {}
    for site, weights in models.items():
        metrics = site.learner.evaluate(weights, "test")
        if site.federation.task.metric in metrics:
            found[site.vendor] = metrics[site.federation.task.metric]
    return found


def sites_of(run: RunFolder, federation: Federation) -> list[Site]:
    """Return the run's sites in the order of the roster."""
    found = (SimulatedSite.at(run.path, n) for n in range(len(federation.roster)))
    return [where.site() for where in found if where is not None]


def released_by(run: RunFolder) -> Weights:
    """Return the global model that a run of SRFLM has released."""
    return read_model_file(run.global_model).weights


def _most_spent(sites: list[Site]) -> float | None:
    """Return the largest ε in the vendors' privacy ledgers."""
    spenders = [site.learner.spender for site in sites]
    return max(
        (each.ledger.spent(each.dataset, each.budget.delta) for each in spenders if each),
        default=None,
    )
