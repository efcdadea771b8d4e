"""Open the sink that was asked for, at a place where nothing is replaced."""

from __future__ import annotations

from pathlib import Path

from deploy.tracking.json_lines import JsonLines
from deploy.tracking.kinds import Kind
from deploy.tracking.mlflow import MLflow
from deploy.tracking.sink import Sink
from deploy.tracking.tensorboard import TensorBoard
from strategies.errors import ConfigurationError


def open_sink(kind: Kind, out: Path, name: str) -> Sink:
    """Return a sink: a new folder, a new file of JSON lines, or a new run in a store of MLflow.

    Raises :class:`ConfigurationError` for a package that is missing, and when ``out`` has figures.
    """
    if kind is Kind.MLFLOW:
        return MLflow(out, name)
    # A second run in the same folder would be drawn as one line with the first.
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise ConfigurationError(
            f"--out {out}, which exists", "a new file or an empty folder", "name another --out"
        )
    return JsonLines(out) if kind is Kind.JSONL else TensorBoard(out)
