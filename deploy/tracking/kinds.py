"""The programs for which figures are written."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """A program for which figures are written."""

    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    JSONL = "jsonl"
