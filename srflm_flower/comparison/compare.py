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
from dataclasses import dataclass
from pathlib import Path

from clients.files.durable import write_durably
from srflm_flower.comparison.left_out import LeftOut, without
from srflm_flower.comparison.methods import (
    Method,
    MethodResult,
    has_global,
    require_possible,
    run_baseline,
    run_srflm,
)
from srflm_flower.comparison.private_plans import at_seed
from srflm_flower.comparison.resuming import name_of, once
from srflm_flower.comparison.step_budget import StepBudget
from srflm_flower.comparison.summary import COLUMNS, summarise, tabulate
from srflm_flower.comparison.tables import whole_text
from srflm_flower.federation.federation import Federation
from strategies.errors import SimulationError


@dataclass(frozen=True)
class Series:
    """All methods on one seed, with all vendors or without the one that is left out."""

    seed: int
    left_out: str | None = None

    def folder(self, out: Path, method: Method) -> Path:
        """Return the folder of a method's run."""
        without = f"-without-{self.left_out}" if self.left_out is not None else ""
        return out / f"{method}-{self.seed}{without}"


@dataclass(frozen=True)
class Begun:
    """A finished run of SRFLM, with what the other methods of its series need."""

    series: Series
    result: MethodResult
    federation: Federation
    budget: StepBudget
    left_out: LeftOut | None


def compare(
    federation: Federation,
    methods: Sequence[Method],
    seeds: Sequence[int],
    out: Path,
    workers: int,
    proximal: float,
    on_result: Callable[[MethodResult], None],
    left_out: Sequence[str] = (),
) -> list[MethodResult]:
    """Run every method on every seed, ``workers`` runs at a time.

    Methods with a global model run once more without each vendor of ``left_out``.  ``on_result``
    gets each result as it comes.  All results are written to ``out`` at the end, even if a run has
    failed; then :class:`SimulationError` lists the failures.  Raises :class:`ConfigurationError`
    before anything runs if the federation cannot run one of the methods.

    Runs that ``out`` has already are not made again, so an interrupted comparison goes on.
    """
    require_possible(federation, methods)
    every = [Series(seed, vendor) for vendor in (None, *left_out) for seed in seeds]
    failures: list[str] = []
    found: list[MethodResult] = []
    with worker_pool(workers) as pool:
        running: set[Future[object]] = set()
        # SRFLM first, as its gradient steps are the budget of the other methods.
        for series in every:
            running.add(pool.submit(_srflm, federation, series, out))
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                error = future.exception()
                if error is not None:
                    failures.append(f"{type(error).__name__}: {error}")
                    continue
                result = future.result()
                # An SRFLM run has ended, so the budget for the others of its series is known.
                if isinstance(result, Begun):
                    running |= {
                        _submit(pool, method, result, out, proximal)
                        for method in others_of(methods, result.series)
                    }
                    result = result.result
                assert isinstance(result, MethodResult)
                if result.method in methods:
                    found.append(result)
                    on_result(result)
    found.sort(
        key=lambda result: (result.left_out or "", methods.index(result.method), result.seed)
    )
    write_comparison(out, federation, methods, found)
    if failures:
        raise SimulationError(
            f"{len(failures)} run(s) failed:\n" + "\n".join(f"  - {each}" for each in failures),
            f"{_number_of_runs(methods, every)} runs; {len(found)} are in {out}",
            "mend the cause and compare again",
        )
    return found


def others_of(methods: Sequence[Method], series: Series) -> list[Method]:
    """Return the methods beside SRFLM: with a vendor left out, those with a global model."""
    return [
        method
        for method in methods
        if method != "srflm" and (series.left_out is None or has_global(method))
    ]


def _number_of_runs(methods: Sequence[Method], every: Sequence[Series]) -> int:
    asked = "srflm" in methods
    return sum(len(others_of(methods, series)) + asked for series in every)


def _srflm(federation: Federation, series: Series, out: Path) -> Begun:
    left_out = None
    if series.left_out is None:
        changed = at_seed(federation, series.seed)
    else:
        changed, left_out = without(federation, series.seed, series.left_out)
    folder = series.folder(out, "srflm")
    done = once(
        folder,
        name_of(changed, "srflm", series.left_out),
        lambda: run_srflm(changed, folder, left_out),
    )
    assert done.budget is not None
    return Begun(series, done.result, changed, done.budget, left_out)


def _submit(
    pool: ProcessPoolExecutor, method: Method, begun: Begun, out: Path, proximal: float
) -> Future[object]:
    folder = begun.series.folder(out, method)
    return pool.submit(_baseline, method, begun, folder, proximal)


def _baseline(method: Method, begun: Begun, folder: Path, proximal: float) -> MethodResult:
    given = begun.federation, folder, begun.budget, proximal, begun.left_out
    asked = name_of(begun.federation, method, begun.budget, proximal, begun.series.left_out)
    return once(folder, asked, lambda: (run_baseline(method, *given), None)).result


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


def write_comparison(
    out: Path, federation: Federation, methods: Sequence[Method], results: Sequence[MethodResult]
) -> None:
    """Write ``comparison.md``, ``comparison.json``, and ``comparison.png``."""
    # matplotlib is slow to import, and every worker imports this module.
    from srflm_flower.report.figures_compare import comparison_figure
    from srflm_flower.report.rendering import png_of

    table, summaries = tabulate(methods, results), summarise(methods, results)
    text = whole_text(federation, methods, results)
    write_durably(out / "comparison.md", text.encode())
    data = {
        "federation": federation.name,
        "metric": federation.task.metric,
        "table": table,
        "statistics": {method: each.as_json() for method, each in summaries.items()},
        "results": [result.model_dump() for result in results],
    }
    write_durably(out / "comparison.json", json.dumps(data, indent=2).encode())
    figure = comparison_figure(table, COLUMNS, federation.task.metric)
    write_durably(out / "comparison.png", png_of(figure))
