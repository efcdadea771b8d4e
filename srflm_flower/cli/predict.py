"""``srflm predict``: classify images with a model that a run has left."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Annotated

import typer


def predict(
    model: Annotated[Path, typer.Argument(help="a file from the models folder of a run")],
    images: Annotated[list[Path], typer.Argument(help="image files, or folders of them")],
    image_size: Annotated[
        int | None, typer.Option(help="resize to this many pixels, as in training", min=16)
    ] = None,
) -> None:
    """Print CSV: the file, its most probable class, and the probability of every class."""
    from clients.prediction import predict_file
    from srflm_flower.model_file import load_model, read_model_file

    network, task = load_model(model), read_model_file(model).task
    writer = csv.writer(sys.stdout)
    writer.writerow(["file", "class", *task.classes])
    for path in _files(images):
        probabilities = predict_file(network, path, task, image_size)
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        writer.writerow([path, task.classes[best], *(f"{p:.4f}" for p in probabilities)])


def _files(paths: list[Path]) -> list[Path]:
    found = []
    for path in paths:
        inside = (
            sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        )
        found += inside
    return found
