"""Run all methods on all seeds, several at a time, and write the table, figure, and JSON."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, stdev

from clients.files.durable import write_durably
from srflm_flower.comparison.methods import Method, MethodResult, run_baseline, run_srflm
from srflm_flower.comparison.private_plans import at_seed
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.federation.federation import Federation
from strategies.errors import SimulationError

COLUMNS = ("personalised", "global on own test", "global on all test")
Table = dict[str, dict[str, tuple[float, float]]]
"""method → column → (mean, standard deviation) over the seeds."""


def compare(
    federation: Federation,
    methods: Sequence[Method],
    seeds: Sequence[int],
    out: Path,
    workers: int,
    proximal: float,
    on_result: Callable[[MethodResult], None],
) -> list[MethodResult]:
    """Run every method on every seed, ``workers`` runs at a time.

    ``on_result`` gets each result as it comes.  All results are written to ``out`` at the end, even
    if a run has failed; then :class:`SimulationError` lists the failures.
    """
    failures: list[str] = []
    found: list[MethodResult] = []
    with worker_pool(workers) as pool:
        running: set[Future[object]] = set()
        # SRFLM first, as its gradient steps are the budget of the other methods.
        for seed in seeds:
            running.add(pool.submit(_srflm, federation, seed, out / f"srflm-{seed}"))
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                error = future.exception()
                if error is not None:
                    failures.append(f"{type(error).__name__}: {error}")
                    continue
                result = future.result()
                # An SRFLM run has ended, so the budget for the baselines of its seed is known.
                if isinstance(result, tuple):
                    result, changed, budget = result
                    for method in methods:
                        if method != "srflm":
                            folder = out / f"{method}-{result.seed}"
                            running.add(
                                pool.submit(run_baseline, method, changed, folder, budget, proximal)
                            )
                assert isinstance(result, MethodResult)
                if result.method in methods:
                    found.append(result)
                    on_result(result)
    found.sort(key=lambda result: (methods.index(result.method), result.seed))
    write_comparison(out, federation, methods, found)
    if failures:
        raise SimulationError(
            f"{len(failures)} run(s) failed:\n" + "\n".join(f"  - {each}" for each in failures),
            f"{len(methods) * len(seeds)} runs; {len(found)} are in {out}",
            "mend the cause and compare again",
        )
    return found


def _srflm(
    federation: Federation, seed: int, folder: Path
) -> tuple[MethodResult, Federation, StepBudget]:
    changed = at_seed(federation, seed)
    result, budget = run_srflm(changed, folder)
    return result, changed, budget


@contextmanager
def worker_pool(number: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes; any exception in the block, Ctrl-C too, ends them at once."""
    # Children from before belong to someone else: only our own workers may be ended.
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    pool = ProcessPoolExecutor(number, mp_context=context, initializer=_begin_worker)
    try:
        yield pool
    except BaseException:
        mine = set(multiprocessing.active_children()) - others
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in mine:
            worker.terminate()
        raise
    pool.shutdown()


def _begin_worker() -> None:
    """Prepare a worker: signals, one thread of torch, no log lines of Flower's strategies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(1)  # the workers share the CPUs
    logging.getLogger("flwr").setLevel(logging.WARNING)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # at once: sys.exit in a thread would end only the thread


def tabulate(methods: Sequence[Method], results: Sequence[MethodResult]) -> Table:
    """Return mean and standard deviation over the seeds, for the columns that a method has.

    If any method is private, the names of the others say that they are not.
    """
    table: Table = {}
    private = any(result.epsilon is not None for result in results)
    for method in methods:
        mine = [result for result in results if result.method == method]
        public = private and mine and all(result.epsilon is None for result in mine)
        table[f"{method} (not private)" if public else method] = {
            column: (mean(values), stdev(values) if len(values) > 1 else 0.0)
            for column in COLUMNS
            if (values := [v for r in mine if (v := _value(r, column)) is not None])
        }
    return table


def _value(result: MethodResult, column: str) -> float | None:
    if column == "personalised":
        return mean(result.personalised.values())
    if column == "global on own test":
        return mean(result.global_own.values()) if result.global_own else None
    return result.global_all


def as_markdown(table: Table) -> str:
    """Return the table as Markdown, mean ± standard deviation."""
    lines = [
        "| method | " + " | ".join(COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for method, row in table.items():
        cells = [f"{row[c][0]:.3f} ± {row[c][1]:.3f}" if c in row else "–" for c in COLUMNS]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def spent_note(federation: Federation, results: Sequence[MethodResult]) -> str:
    """Return a paragraph on the largest ε spent with each method; empty without privacy."""
    most: dict[str, float] = {}
    for result in results:
        if result.epsilon is not None:
            most[result.method] = max(result.epsilon, most.get(result.method, 0.0))
    if not most:
        return ""
    each = ", ".join(f"{method} {value:.3f}" for method, value in most.items())
    privacy = federation.privacy
    return (
        f"\nDifferential privacy of each {privacy.unit}: planned for ε = {privacy.epsilon:g} at δ ="
        f" {privacy.delta:g} for every vendor and method; the largest ε in a vendor's ledger at the"
        f" end: {each}.\n"
    )


def write_comparison(
    out: Path, federation: Federation, methods: Sequence[Method], results: Sequence[MethodResult]
) -> None:
    """Write ``comparison.md``, ``comparison.json``, and ``comparison.png``."""
    # matplotlib is slow to import, and every worker imports this module.
    from srflm_flower.report.figures_compare import comparison_figure
    from srflm_flower.report.rendering import png_of

    table = tabulate(methods, results)
    text = as_markdown(table) + spent_note(federation, results)
    write_durably(out / "comparison.md", text.encode())
    data = {
        "federation": federation.name,
        "metric": federation.task.metric,
        "table": table,
        "results": [result.model_dump() for result in results],
    }
    write_durably(out / "comparison.json", json.dumps(data, indent=2).encode())
    figure = comparison_figure(table, COLUMNS, federation.task.metric)
    write_durably(out / "comparison.png", png_of(figure))
