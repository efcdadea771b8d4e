"""``srflm predict``: use a model from a run on image files."""

from __future__ import annotations

import csv
import io
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clients.files.durable import not_writable, write_durably
from strategies.errors import DataError

if TYPE_CHECKING:
    from clients.prediction import Prediction


def predict(
    model: Annotated[Path, typer.Argument(help="a file from the models folder of a run")],
    images: Annotated[list[Path], typer.Argument(help="image files, or folders of them")],
    image_size: Annotated[
        int | None, typer.Option(help="resize to this many pixels, as in training", min=8)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="folder for masks and restored images"),
    ] = None,
) -> None:
    """Print CSV: the file, its most probable class, and the probability of every class.

    A model for segmentation or restoration writes a file for each image into the folder --output:
    the label of every voxel, or the restored image, in the unit of the agreed window or in [0, 1].
    It is NIfTI where the image's place in the patient is known, else .npy. The CSV names the files.

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
            table.take(path, predict_file(network, path, task, image_size, trained_size, prepare))
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
    def row(self, path: Path, found: Prediction) -> list[object]:
        """Return the row of a file."""

    def take(self, path: Path, found: Prediction) -> None:
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

    def row(self, path: Path, found: Prediction) -> list[object]:
        chances = found.values
        best = self.classes[int(chances.argmax())]
        return [path, best, *(f"{p:.4f}" for p in chances.tolist())]


class _Results(_Table):
    """The files that are written into a folder, one for each image."""

    heading = ("file", "result")

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def row(self, path: Path, found: Prediction) -> list[object]:
        suffix, content = _as_file(found)
        target = self.folder / f"{_stem(path)}{suffix}"
        if target.exists():
            raise DataError(
                f"{target} is there already",
                "a new file for each image",
                "name another folder with --output, or images of different names",
                DataError.UNREADABLE,
            )
        write_durably(target, content)
        return [path, target]


def _as_file(found: Prediction) -> tuple[str, bytes]:
    """Return suffix and content: NIfTI where the place in the patient is known, else NPY."""
    import numpy as np

    from clients.imaging.writing import SUFFIX, nifti_bytes

    if found.affine is not None:
        # NIfTI has no axis for channels before the others.
        single = found.values[0] if len(found.values) == 1 else found.values
        return SUFFIX, nifti_bytes(single, found.affine)
    content = io.BytesIO()
    np.save(content, found.values, allow_pickle=False)
    return ".npy", content.getvalue()


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".npy")


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
