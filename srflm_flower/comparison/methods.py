"""Run one method on one seed, in memory, and score its models on the vendors' test splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from srflm_flower.comparison.baselines.baseline import Problem
from srflm_flower.comparison.baselines.registry import BASELINES
from srflm_flower.comparison.finetuned import problem as finetuned_problem
from srflm_flower.comparison.finetuned import run_finetuned, with_same_training
from srflm_flower.comparison.flower_run import run_on_flower
from srflm_flower.comparison.left_out import LeftOut
from srflm_flower.comparison.pooled import run_pooled
from srflm_flower.comparison.private_plans import for_baseline, for_fixed_server
from srflm_flower.comparison.result import METHODS, Method, MethodResult
from srflm_flower.comparison.rotating import run_rotating, run_with_other_servers
from srflm_flower.comparison.scoring import score
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.comparison.tampering import Tampering
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes
from srflm_flower.run.folder import RunFolder, create_run_folder
from strategies.errors import ConfigurationError

__all__ = [
    "METHODS",
    "Method",
    "MethodResult",
    "has_global",
    "problems_of",
    "require_possible",
    "run_baseline",
    "run_srflm",
]


AS_PUBLISHED: Final = {"aggregation__fine_tuned": "replaces"}
"""Step 3 as in the publications: the fine-tuned model is the next one."""


def problems_of(federation: Federation, methods: Sequence[Method]) -> dict[Method, Problem]:
    """Return the reason for each method that the federation cannot run."""
    found = {
        method: BASELINES[method].problem(federation) for method in methods if method in BASELINES
    }
    if "srflm-finetuned" in methods:
        found["srflm-finetuned"] = finetuned_problem(federation)
    return {method: problem for method, problem in found.items() if problem is not None}


def require_possible(federation: Federation, methods: Sequence[Method]) -> None:
    """Raise :class:`ConfigurationError` for the first method that the federation cannot run."""
    for problem in problems_of(federation, methods).values():
        raise ConfigurationError(problem.found, problem.expected, problem.mend)


def has_global(method: Method) -> bool:
    """Whether the method has a global model."""
    return method not in BASELINES or BASELINES[method].has_global


def run_srflm(
    federation: Federation,
    folder: Path,
    left_out: LeftOut | None = None,
    tampering: Tampering | None = None,
) -> tuple[MethodResult, StepBudget]:
    """Run SRFLM as configured; return its result and the step budget for the others.

    The global model is scored for the vendor that is ``left_out``, too.  With ``tampering``, a
    federation that stops is a result, too.
    """
    run = _new_folder(federation, folder, left_out)
    outcome, budget = run_rotating("srflm", run, federation, tampering=tampering)
    return score(outcome, left_out), budget


def run_baseline(
    method: Method,
    federation: Federation,
    folder: Path,
    budget: StepBudget,
    proximal: float,
    left_out: LeftOut | None = None,
    tampering: Tampering | None = None,
) -> MethodResult:
    """Run a baseline with the gradient steps of ``budget``; privately if the federation is private.

    ``pooled`` is never private: it has no separate vendors to protect records from.  It is run
    without ``tampering``.  Raises :class:`ConfigurationError` before anything runs if the
    federation cannot run the method.
    """
    require_possible(federation, [method])
    match method:
        case "srflm-paper":
            federation = with_changes(federation, **AS_PUBLISHED)
        case "srflm-finetuned":
            federation = with_same_training(federation)
        case "fixed-server":
            server = federation.roster[0]
            planned = for_fixed_server(federation, server)
            fixed = {"election__policy": "fixed", "election__server": server}
            federation = with_changes(planned, **fixed, **AS_PUBLISHED)
        case "round-robin":  # the noise is planned for strict turns already
            by_turn = {"election__policy": "round-robin", "election__server": None}
            federation = with_changes(federation, **by_turn, **AS_PUBLISHED)
        case _:
            federation = for_baseline(federation, budget)
    run = _new_folder(federation, folder, left_out)
    match method:
        case "srflm-paper" | "fixed-server" | "round-robin":
            outcome = run_with_other_servers(method, run, federation, budget, tampering)
        case "srflm-finetuned":
            outcome = run_finetuned(run, federation, budget, tampering)
        case "pooled":
            outcome = run_pooled(run, federation, budget)
        case _:
            outcome = run_on_flower(method, run, federation, budget, proximal, tampering)
    return score(outcome, left_out)


def _new_folder(federation: Federation, folder: Path, left_out: LeftOut | None) -> RunFolder:
    run = create_run_folder(federation, folder, folder.parent, alone=True)
    if left_out is not None:
        left_out.note_division(run)
    return run
