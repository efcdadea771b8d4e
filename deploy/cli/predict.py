"""``srflm predict``: use a model from a run on image files."""

from __future__ import annotations

import csv
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clients.files.durable import not_writable
from clients.files.new import write_new_file, write_new_folder
from strategies.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from clients.imaging.index import Series
    from clients.models.model_file import ModelFile
    from clients.prediction import Prediction
    from clients.results import Written


class Form(StrEnum):
    """The form of files with masks and restored images."""

    NIFTI = "nifti"
    DICOM = "dicom"


def predict(
    model: Annotated[Path, typer.Argument(help="a file from the models folder of a run")],
    images: Annotated[
        list[Path], typer.Argument(help="image files, or folders of files and DICOM series")
    ],
    image_size: Annotated[
        int | None, typer.Option(help="resize to this many pixels, as in training", min=8)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="folder for masks and restored images"),
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", help="form of the files in that folder")
    ] = Form.NIFTI,
) -> None:
    """Print CSV: the file, its most probable class, and the probability of every class.

    A model for segmentation or restoration writes a file for each image into the folder --output:
    the label of every voxel, or the restored image, in the unit of the agreed window or in [0, 1].
    It is NIfTI where the image's place in the patient is known, else .npy. The CSV names the files.

    With --format dicom, results of DICOM images are DICOM: a segmentation object (SEG) with a
    segment for each class, or a new series of restored images in the unit of the agreed window.
    They keep patient, study, and geometry of their source, so keep them as safe as the source.

    Files that cannot be used are named on stderr, and the exit code is then 1.

    Example: srflm predict first-run/models/global.safetensors images > classes.csv
    """
    from clients.models.model_file import load_model, read_model_file
    from clients.prediction import predict_file

    network, file = load_model(model), read_model_file(model)
    if file.without_noise:
        typer.echo(
            "This model was trained without noise, so no ε covers it: keep it at its site.",
            err=True,
        )
    # The model file says how to prepare images, so no federation file is needed.
    task, trained_size = file.task, file.notes.get("image-size")
    prepare = file.prepare
    table = _table(file, form, output)
    failures: list[DataError] = []
    for path, image in _images(images, task.spatial_dims == 3, failures):
        try:
            found = predict_file(network, image, task, image_size, trained_size, prepare)
            table.take(path, image, found)
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
    def row(self, path: Path, source: Path | Series, found: Prediction) -> list[object]:
        """Return the row of a file."""

    def take(self, path: Path, source: Path | Series, found: Prediction) -> None:
        """Write the row of a file, or of a series in a folder ``path``."""
        row = self.row(path, source, found)
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

    def row(self, path: Path, source: Path | Series, found: Prediction) -> list[object]:
        chances = found.values
        best = self.classes[int(chances.argmax())]
        return [path, best, *(f"{p:.4f}" for p in chances.tolist())]


class _Results(_Table):
    """The files that are written into a folder, one for each image, or a folder of slices."""

    heading = ("file", "result")

    def __init__(self, folder: Path, write: Callable[[Path | Series, Prediction], Written]) -> None:
        super().__init__()
        self.folder, self._write = folder, write

    def row(self, path: Path, source: Path | Series, found: Prediction) -> list[object]:
        suffix, files = self._write(source, found)
        target = self.folder / f"{_stem(path)}{suffix}"
        try:
            if suffix:
                write_new_file(target, files[0])
            else:
                named = {f"{number:04}.dcm": each for number, each in enumerate(files, start=1)}
                write_new_folder(target, named)
        except FileExistsError:
            raise DataError(
                f"{target} is there already",
                "a new file for each image",
                "name another folder with --output, or images of different names",
                DataError.UNREADABLE,
            ) from None
        return [path, target]


def _table(file: ModelFile, form: Form, output: Path | None) -> _Table:
    """Return the table for the results of a model."""
    from clients.results import DicomResults, nifti_or_npy

    if file.task.target == "class":
        if form is Form.DICOM:
            raise ConfigurationError(
                "--format dicom for a model that gives classes",
                "a model for segmentation or restoration",
                "leave --format out; the classes are printed as CSV",
            )
        return _Classes(file.task.classes)
    folder = _made(output)
    if form is Form.DICOM:
        return _Results(folder, DicomResults(file.task, file.prepare))
    return _Results(folder, lambda source, found: nifti_or_npy(found))


def _stem(path: Path) -> str:
    name = path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".npy")
    return name[:-4] if name.lower().endswith(".dcm") else name


def _made(folder: Path | None) -> Path:
    if folder is None:
        raise DataError(
            "no folder for the results of this model",
            "--output FOLDER",
            "name a folder; it is made if it is missing",
            DataError.MISSING,
        )
    try:
        # Results show patients: a folder that is made here is for its owner alone.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error) from error
    return folder


def _images(
    paths: list[Path], volumes: bool, failures: list[DataError]
) -> Iterator[tuple[Path, Path | Series]]:
    """Yield the name of each image under ``paths``, and its file or series.

    A folder has DICOM series where ``volumes`` are wanted.  What cannot be an image is among the
    ``failures``, so that every file of a folder appears in the result.  Raises
    :class:`DataError` if a path does not exist.
    """
    for path in paths:
        if not path.exists():
            raise DataError(
                f"no file or folder {path}", "an image", "correct the path", DataError.MISSING
            )
    for path in paths:
        if path.is_dir() and volumes:
            yield from _volumes_in(path, failures)
            continue
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            # Relative to the named folder: a hidden folder above it is the user's choice.
            hidden = any(name.startswith(".") for name in each.relative_to(path).parts)
            if each.is_file() and hidden:
                failures.append(_no_image(each, "is hidden"))
            elif each.is_file():
                yield each, each


def _volumes_in(folder: Path, failures: list[DataError]) -> Iterator[tuple[Path, Path | Series]]:
    from clients.data.manifest.finding import items_in, place_of

    # Names of series matter within this call only, so that any key will do.
    items, left_out = items_in(folder, True, b"srflm predict")
    failures += [_no_image(folder / each.path, f"is left out: {each.reason}") for each in left_out]
    named = folder if folder.name not in ("", "..") else folder.resolve()
    for item in items:
        # A series in the folder itself has its name: that of "." would be hidden.
        is_own = place_of(item.path) == "."
        path = named.with_name(named.name + item.path[1:]) if is_own else folder / item.path
        yield path, item.source


def _no_image(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} {why}",
        "image files only",
        "remove it, or name the file itself",
        DataError.UNREADABLE,
    )


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
