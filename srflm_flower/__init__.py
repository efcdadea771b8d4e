"""Server-rotating federated learning on Flower.

Run a federation on this machine, read its results, and use its model::

    import srflm_flower

    run = srflm_flower.simulate(rounds=3)
    print(run.outcome, run.curves("accuracy").frame())
    model = run.model()
    print(model.classes, model.probabilities("image.png"))

Only what is used is imported: PyTorch, pandas, and Flower take seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clients.models.trained import TrainedModel
    from srflm_flower.federation.federation import Federation
    from srflm_flower.run.opened import Run

__all__ = ["Run", "__version__", "load_model", "simulate"]
__version__ = "0.1.0"


def load_model(path: str | Path) -> TrainedModel:
    """Return the model saved in ``path``, ready for inference (in ``eval`` mode, on the CPU).

    It knows its ``classes`` and its ``preparation``: give image files to ``predict`` or
    ``probabilities``.  Called, it is the plain network: its input is float32 of shape
    (n, channels, *space) with values in [−1, 1], as in training, ``2 * images - 1`` for images in
    [0, 1]; its output are logits of shape (n, classes).
    Raises :class:`strategies.errors.RunFolderError` when ``path`` is not such a model file.
    """
    from clients.models.trained import load_trained

    return load_trained(path)


def simulate(
    federation: Federation | str | Path | None = None,
    *,
    out: str | Path | None = None,
    rounds: int | None = None,
    seed: int | None = None,
    cpus: int | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> Run:
    """Run a federation on this machine in Flower's simulation engine, and return its results.

    ``federation`` is a federation, or the path of its file; without it, the built-in demonstration.
    ``out`` is the folder for the results, by default a new one in ``runs``; every event goes to
    ``on_event`` as it happens.  The run may have stopped early: ``Run.outcome`` says so.  Raises
    :class:`strategies.errors.SrflmError` if it cannot start or does not end by itself.
    """
    # The engine starts processes, which is the work of ``deploy``, above this package: no module
    # here needs it, so it is taken only when somebody outside calls this.
    engine = import_module("deploy.simulation.from_python")
    run: Run = engine.simulate_in(federation, out, rounds, seed, cpus, on_event)
    return run


def __getattr__(name: str) -> Any:
    if name == "Run":
        from srflm_flower.run.opened import Run

        return Run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
