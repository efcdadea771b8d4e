"""The vendors' models of phantom tasks again, on many fresh images of the same cameras.

A test split of 60 images cannot show whether one model is better than another by 0.01.  The phantom
makes as many images of each vendor's camera as are wanted, so these tell which vendors are
really worse off than alone, and whether the advice that a vendor reads (from its small test split)
was right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from clients.data.phantom import make_vendor
from clients.data.phantom.targets import phantom_examples
from clients.data.records import Records
from clients.data.sources import read_vendor_records
from clients.data.vendor_data import as_split
from clients.evaluation import evaluate
from clients.networks.weights import set_weights
from clients.settings import PhantomData
from clients.tasks.registry import task_of
from srflm_flower.comparison.result import METHODS, Method, MethodResult
from srflm_flower.comparison.statistics import (
    MARGIN,
    below,
    over_vendors,
    paired_difference,
    spread,
)
from srflm_flower.comparison.tables import aligned
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.first_model import first_model
from srflm_flower.results.advice import Name, advise
from srflm_flower.run.advice import scores_of
from srflm_flower.run.folder import RunFolder
from srflm_flower.site.state import SiteState
from strategies.weights import Weights

IMAGES = 1000
"""Fresh images of each vendor's camera."""

SEED = 2_100_000_000
"""Their seed, far from those of any study."""

Metrics = dict[Method, dict[int, dict[str, float]]]
"""Method → seed → vendor → metric."""

Models = Mapping[tuple[Method, int], Mapping[str, Weights]]
"""(method, seed) → vendor → its model."""


@dataclass(frozen=True)
class Case:
    """A vendor's model against the one that it has trained alone.

    ``on_fresh`` is this model's metric on fresh images less the other's; ``says_own`` is the
    advice from the test split.
    """

    on_fresh: float
    says_own: bool

    @property
    def right(self) -> bool:
        """Whether the other model is better than the advised one by at most 0.01."""
        return (self.on_fresh <= MARGIN) if self.says_own else (self.on_fresh >= -MARGIN)


def fresh_text(
    federation: Federation, results: Sequence[MethodResult], folder: Path, images: int = IMAGES
) -> str:
    """Return the table of one task whose runs are in ``folder``, or "" where none can be made.

    It needs ``local`` among the methods, and the classes of a phantom, all equally likely.
    """
    data = federation.data
    if not isinstance(data, PhantomData) or data.label_alpha is not None:
        return ""
    if federation.task.target != "class":  # the margin of 0.01 is one of accuracies
        return ""
    methods = [m for m in METHODS if any(r.method == m and r.personalised for r in results)]
    if "local" not in methods:
        return ""
    runs = [r for r in results if r.method in methods]
    records = fresh_records(federation, images)
    models = {(r.method, r.seed): models_of(folder / f"{r.method}-{r.seed}") for r in runs}
    found: Metrics = defaultdict(dict)
    test: Metrics = defaultdict(dict)
    for run in runs:
        test[run.method][run.seed] = run.personalised
        found[run.method][run.seed] = {
            vendor: _metric(federation, weights, records[vendor])
            for vendor, weights in models[run.method, run.seed].items()
        }
    rows = []
    for method in methods:
        if not any(found[method].values()):  # its models are not the vendors': pooled
            continue
        cases = [] if method == "local" else cases_of(method, models, found, folder)
        rows.append(_row(method, test, found, cases))
    return (
        f"The same models on {images} fresh images of each vendor's camera; *advice* is what the"
        " vendor reads from its test split, and right if the other model is better by at most"
        f" {MARGIN:g}:\n\n{aligned(HEADS, rows)}"
    )


HEADS = (
    "method",
    "personalised, fresh",
    "minus local",
    "below local, test split",
    "below local, fresh",
    'advice "your own"',
    "advice right",
)


def fresh_records(federation: Federation, images: int) -> dict[str, Records]:
    """Return ``images`` images of each vendor's camera that no run has seen."""
    data, task = federation.data, federation.task
    assert isinstance(data, PhantomData)
    found: dict[str, Records] = {}
    for index, vendor in enumerate(federation.vendors):
        made = make_vendor(
            index if vendor.number is None else vendor.number,
            images,
            size=data.image_size,
            seed=SEED,
            heterogeneity=data.heterogeneity,
        )
        found[vendor.name] = as_split(phantom_examples(made, task), task)
    return found


def models_of(path: Path) -> dict[str, Weights]:
    """Return each vendor's personalised model of a run, or the one that it has trained alone."""
    run = RunFolder(path)
    federation = run.federation()
    settings = federation.network_settings, federation.task
    found = {}
    for vendor in federation.roster:
        kept = SiteState(run.site(vendor), federation.hash, *settings).best()
        if kept is not None:
            found[vendor] = kept.weights
    return found


def cases_of(method: Method, models: Models, fresh: Metrics, folder: Path) -> list[Case]:
    """Return a case for each vendor and seed that this method and ``local`` both have."""
    cases = []
    for seed in sorted(fresh[method].keys() & fresh["local"].keys()):
        run = RunFolder(folder / f"{method}-{seed}")
        says = _advice(run, models[method, seed], models["local", seed])
        for vendor, says_own in says.items():
            on_fresh = fresh[method][seed][vendor] - fresh["local"][seed][vendor]
            cases.append(Case(on_fresh, says_own))
    return cases


def _advice(
    run: RunFolder, ours: Mapping[str, Weights], alone: Mapping[str, Weights]
) -> dict[str, bool]:
    """Return whether each vendor is advised to use its own model, from its test split."""
    federation, plan, found = run.federation(), run.data_plan(), {}
    network, task = first_model(federation).network, task_of(federation.task)
    for vendor in (each for each in ours if each in alone):
        split = read_vendor_records(plan, vendor)["test"]
        models: dict[Name, Weights] = {"personalised": ours[vendor], "own": alone[vendor]}
        scores = scores_of(models, network, split, task, torch.device("cpu"))
        found[vendor] = advise(scores).use == "own"
    return found


def _metric(federation: Federation, weights: Weights, records: Records) -> float:
    network = first_model(federation).network
    set_weights(network, weights)
    task = task_of(federation.task)
    found = evaluate(network, records, task, torch.device("cpu"), in_full=False).metrics
    return found[federation.task.metric]


def _row(method: Method, test: Metrics, found: Metrics, cases: Sequence[Case]) -> list[str]:
    whole = spread(over_vendors(found[method]))
    assert whole is not None
    overall = f"{whole.mean:.3f} ± {whole.deviation:.3f}"
    if method == "local":
        return [method, overall, *["–"] * (len(HEADS) - 2)]
    difference = paired_difference(found[method], found["local"])
    on_test, worse = (below(each[method], each["local"]) for each in (test, found))
    assert difference is not None and on_test is not None and worse is not None
    half = "" if difference.high is None else f" ± {difference.high - difference.mean:.3f}"
    return [
        method,
        overall,
        f"{difference.mean:+.3f}{half}",
        f"{on_test.below} of {on_test.vendor_seeds}",
        f"{worse.below} of {worse.vendor_seeds}",
        f"{sum(case.says_own for case in cases)} of {len(cases)}",
        f"{sum(case.right for case in cases)} of {len(cases)}",
    ]
