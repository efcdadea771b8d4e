"""Moving averages of models, mostly of the committed global ones; every site keeps its own.

a_n = a_{n−1} + w_n·(m_n − a_{n−1}), with w_n = (1 − β) / (1 − βⁿ) for the n-th model m_n and the
decay β: an exponential moving average without bias towards the first model (Kingma & Ba, ICLR
2015, section 3).
"""

# Averaging reduces the noise, and the bias towards the data of the vendor that served last. It
# costs no privacy: it is post-processing of models that everybody has.

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clients.models.model_file import ModelFile, read_model_file
from clients.settings import ModelSettings
from clients.tasks.settings import TaskSettings
from strategies.weights import Weights


@dataclass(frozen=True)
class MovingAverage:
    """Average of ``models`` models; the model of ``term`` is the latest one included."""

    weights: Weights
    models: int
    term: int


def advanced(
    average: MovingAverage | None, model: Weights, term: int, decay: float
) -> MovingAverage:
    """Return ``average`` with one more model, or a new average if it is None.

    ``decay`` is β, from 0 (the latest model alone) to below 1. The result has the model's types.
    """
    if average is None:
        return MovingAverage(model, 1, term)
    models = average.models + 1
    share = (1 - decay) / (1 - decay**models)
    weights = {
        name: _between(average.weights[name], array, share).astype(array.dtype)
        for name, array in model.items()
    }
    return MovingAverage(weights, models, term)


def _between(old: np.ndarray, new: np.ndarray, share: float) -> np.ndarray:
    # Always in float64: sites with the same models must get the same bits.
    start = old.astype(np.float64)
    return np.asarray(start + share * (new.astype(np.float64) - start))


class AverageFile:
    """A moving average on disk, written durably."""

    def __init__(self, path: Path, model: ModelSettings, task: TaskSettings) -> None:
        self._path, self._model, self._task = path, model, task

    def read(self) -> MovingAverage | None:
        """Return the average, if there is one."""
        if not self._path.exists():
            return None
        file = read_model_file(self._path)
        return MovingAverage(file.weights, file.notes["models"], file.notes["term"])

    def take_in(
        self, models: Iterable[tuple[int, Weights | None]], decay: float
    ) -> MovingAverage | None:
        """Add models, given as (term, weights) in order; return the average if any was new.

        Terms that are already included are skipped, and so are models that the site lacks (None).
        """
        known = average = self.read()
        for term, weights in models:
            # A site that missed models, or lost the file, continues with the models that it has.
            if weights is not None and (average is None or term > average.term):
                average = advanced(average, weights, term, decay)
        if average is None or average is known:
            return None
        notes = {"models": average.models, "term": average.term, "kind": "moving-average"}
        ModelFile(self._model, self._task, average.weights, notes).write(self._path)
        return average
