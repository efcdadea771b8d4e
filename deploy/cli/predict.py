"""``srflm predict``: classify image files with a model from a run."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from strategies.errors import DataError


def predict(
    model: Annotated[Path, typer.Argument(help="a file from the models folder of a run")],
    images: Annotated[list[Path], typer.Argument(help="image files, or folders of them")],
    image_size: Annotated[
        int | None, typer.Option(help="resize to this many pixels, as in training", min=8)
    ] = None,
) -> None:
    """Print CSV: the file, its most probable class, and the probability of every class.

    Files that cannot be classified are named on stderr, and the exit code is then 1.
    """
    from clients.models.model_file import load_model, read_model_file
    from clients.prediction import predict_file

    network, file = load_model(model), read_model_file(model)
    # The model file says how to prepare images, so no federation file is needed.
    task, trained_size = file.task, file.notes.get("image-size")
    low_high = file.notes.get("window")  # not in files of older versions
    window = None if low_high is None else (float(low_high[0]), float(low_high[1]))
    paths = _files(images)
    failures: list[DataError] = []
    rows = _classified(
        paths,
        lambda path: predict_file(network, path, task, image_size, trained_size, window),
        failures,
    )
    writer, written = csv.writer(sys.stdout), 0
    for path, probabilities in rows:
        # Written late: a call in which nothing can be classified prints an error and no table.
        if not written:
            writer.writerow(["file", "class", *task.classes])
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        writer.writerow([path, task.classes[best], *(f"{p:.4f}" for p in probabilities)])
        written += 1
    if not written:
        raise _nothing_classified(failures)
    for failure in failures:
        typer.echo(f"Not classified: {failure}", err=True)
    if failures:
        raise typer.Exit(1)


def _files(paths: list[Path]) -> list[tuple[Path, bool]]:
    """Return all files under ``paths``, each with a flag for a hidden file in a folder.

    Raises :class:`DataError` if a path does not exist.
    """
    found: list[tuple[Path, bool]] = []
    for path in paths:
        if not path.exists():
            raise DataError(
                f"no file or folder {path}", "an image", "correct the path", DataError.MISSING
            )
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        for each in inside:
            if each.is_file():
                # Relative to the named folder: a hidden folder above it is the user's choice.
                names = each.relative_to(path).parts
                found.append((each, any(name.startswith(".") for name in names)))
    return found


def _classified(
    paths: list[tuple[Path, bool]],
    classify: Callable[[Path], list[float]],
    failures: list[DataError],
) -> Iterator[tuple[Path, list[float]]]:
    """Yield each file's probabilities; add the errors of all other files to ``failures``."""
    for path, hidden in paths:
        try:
            # Named among the failures, so that every file of a folder appears in the result.
            if hidden:
                raise DataError(
                    f"{path} is hidden",
                    "image files only",
                    "remove it, or name the file itself",
                    DataError.UNREADABLE,
                )
            yield path, classify(path)
        except DataError as error:
            failures.append(error)


def _nothing_classified(failures: list[DataError]) -> DataError:
    if len(failures) == 1:
        return failures[0]
    first = f"; the first: {failures[0]}" if failures else ""
    return DataError(
        f"no image among {len(failures)} files{first}",
        "image files, or folders of them",
        "name the files or the folder that hold images",
        DataError.MISSING,
    )
