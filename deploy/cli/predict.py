"""``srflm predict``: use a model from a run on image files."""

from __future__ import annotations

import csv
import io
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.files.durable import not_writable, write_durably
from strategies.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def predict(
    model: Annotated[Path, typer.Argument(help="a file from the models folder of a run")],
    images: Annotated[list[Path], typer.Argument(help="image files, or folders of them")],
    image_size: Annotated[
        int | None, typer.Option(help="resize to this many pixels, as in training", min=8)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="folder for masks and restored images, which are written as .npy"),
    ] = None,
) -> None:
    """Print CSV: the file, its most probable class, and the probability of every class.

    A model for segmentation or restoration writes a .npy file for each image into the folder
    --output: the label of every pixel, or the restored image in [0, 1].  The CSV names the files.

    Files that cannot be used are named on stderr, and the exit code is then 1.
    """
    from clients.models.model_file import load_model, read_model_file
    from clients.prediction import predict_file

    network, file = load_model(model), read_model_file(model)
    # The model file says how to prepare images, so no federation file is needed.
    task, trained_size = file.task, file.notes.get("image-size")
    prepare = file.prepare
    table = _Classes(task.classes) if task.target == "class" else _Results(_made(output))
    failures: list[DataError] = []
    for path in _usable(_files(images), failures):
        try:
            found = predict_file(network, path, task, image_size, trained_size, prepare)
            table.take(path, found)
        except DataError as error:
            failures.append(error)
    if not table.written:
        raise _nothing_found(failures)
    for failure in failures:
        typer.echo(f"Not used: {failure}", err=True)
    if failures:
        raise typer.Exit(1)


class _Table(ABC):
    """The table on standard output, as CSV."""

    heading: Sequence[str]

    def __init__(self) -> None:
        self.written = 0
        self._writer = csv.writer(sys.stdout)

    @abstractmethod
    def row(self, path: Path, found: NDArray[Any]) -> list[object]:
        """Return the row of a file."""

    def take(self, path: Path, found: NDArray[Any]) -> None:
        """Write the row of a file."""
        row = self.row(path, found)
        # Written late: a call in which nothing can be used prints an error and no table.
        if not self.written:
            self._writer.writerow(self.heading)
        self._writer.writerow(row)
        self.written += 1


class _Classes(_Table):
    """The class of each file."""

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self.classes, self.heading = classes, ["file", "class", *classes]

    def row(self, path: Path, found: NDArray[Any]) -> list[object]:
        return [path, self.classes[int(found.argmax())], *(f"{p:.4f}" for p in found.tolist())]


class _Results(_Table):
    """The files that are written into a folder, one for each image."""

    heading = ("file", "result")

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def row(self, path: Path, found: NDArray[Any]) -> list[object]:
        target = self.folder / f"{path.name}.npy"
        if target.exists():
            raise DataError(
                f"{target} is there already",
                "a new file for each image",
                "name another folder with --output, or images of different names",
                DataError.UNREADABLE,
            )
        import numpy as np

        content = io.BytesIO()
        np.save(content, found, allow_pickle=False)
        write_durably(target, content.getvalue())
        return [path, target]


def _made(folder: Path | None) -> Path:
    if folder is None:
        raise DataError(
            "no folder for the results of this model",
            "--output FOLDER",
            "name a folder; it is made if it is missing",
            DataError.MISSING,
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error) from error
    return folder


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


def _usable(paths: list[tuple[Path, bool]], failures: list[DataError]) -> Iterator[Path]:
    """Yield the files that are not hidden; the others are among the ``failures``."""
    for path, hidden in paths:
        # Named among the failures, so that every file of a folder appears in the result.
        if hidden:
            failures.append(
                DataError(
                    f"{path} is hidden",
                    "image files only",
                    "remove it, or name the file itself",
                    DataError.UNREADABLE,
                )
            )
        else:
            yield path


def _nothing_found(failures: list[DataError]) -> DataError:
    if len(failures) == 1:
        return failures[0]
    first = f"; the first: {failures[0]}" if failures else ""
    return DataError(
        f"no image among {len(failures)} files{first}",
        "image files, or folders of them",
        "name the files or the folder that hold images",
        DataError.MISSING,
    )
