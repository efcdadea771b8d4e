"""A sink for MLflow: a run in a store of files on this machine, and nothing over the network."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final

from deploy.tracking.extras import needed

EXPERIMENT: Final = "srflm"
SETTINGS: Final = {
    # Else MLflow reports its use to its makers; it decides so when it is imported.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow 3 would have a database, for which mlflow-skinny lacks the packages; it still reads
    # and writes files, and `mlflow migrate-filestore` brings them into a database.
    "MLFLOW_ALLOW_FILE_STORE": "true",
}
AT_ONCE: Final = 500
"""Figures in one call; MLflow takes no more than 1000."""


class MLflow:
    """Adds a run called ``name`` to the store in ``folder``, which is made if there is none.

    Raises :class:`strategies.errors.ConfigurationError` without the package ``mlflow-skinny``.
    """

    def __init__(self, folder: Path, name: str) -> None:
        os.environ.update(SETTINGS)
        mlflow: Any = needed("mlflow", "mlflow")
        self._metric = mlflow.entities.Metric
        self._client = mlflow.MlflowClient(tracking_uri=folder.resolve().as_uri())
        found = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found else self._client.create_experiment(EXPERIMENT)
        self._run = self._client.create_run(experiment, run_name=name).info.run_id
        self._waiting: list[Any] = []

    def scalar(self, name: str, value: float, step: int) -> None:
        """Take a figure."""
        self._waiting.append(self._metric(name, value, int(time.time() * 1000), step))

    def flush(self) -> None:
        """Write what was taken so far."""
        while self._waiting:
            some, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            self._client.log_batch(self._run, metrics=some)

    def close(self) -> None:
        """Mark the run as finished."""
        self.flush()
        self._client.set_terminated(self._run)
