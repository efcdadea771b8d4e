"""Make files of a prediction: NIfTI, NPY, or DICOM beside its source."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clients.imaging.index import Series
from clients.imaging.results.image import image_as_dicom
from clients.imaging.results.mask import mask_as_dicom
from clients.imaging.results.origin import origin_of
from clients.imaging.results.software import new_uid
from clients.imaging.writing import SUFFIX, nifti_bytes
from clients.prediction import Prediction
from clients.preparation.settings import PrepareSettings
from clients.tasks.settings import TaskSettings
from strategies.errors import DataError


class Written(NamedTuple):
    """The content of one file with this suffix, or of several, which have none."""

    suffix: str
    files: list[bytes]


def nifti_or_npy(found: Prediction) -> Written:
    """Return NIfTI where the place in the patient is known, else NPY."""
    if found.affine is not None:
        # NIfTI has no axis for channels before the others.
        single = found.values[0] if len(found.values) == 1 else found.values
        return Written(SUFFIX, [nifti_bytes(single, found.affine)])
    content = io.BytesIO()
    np.save(content, found.values, allow_pickle=False)
    return Written(".npy", [content.getvalue()])


class DicomResults:
    """Results of one call as DICOM: those of one series become one new series."""

    def __init__(self, task: TaskSettings, settings: PrepareSettings) -> None:
        if task.target == "image" and settings.window is None:
            raise DataError(
                "a model without an agreed window, so that its images are in no unit",
                "[data.prepare] window in the model's federation, for DICOM",
                "write NIfTI: --format nifti",
                DataError.WINDOW,
            )
        self._task = task
        self._series: dict[str, str] = {}

    def __call__(self, source: Path | Series, found: Prediction) -> Written:
        """Return the files of a result; raises :class:`DataError` for a source that is no DICOM."""
        origin = origin_of(source)
        known = str(origin.files[0].SeriesInstanceUID)
        series = self._series.setdefault(known, new_uid())
        if self._task.target == "mask":
            classes = self._task.classes
            return Written(
                ".dcm", [mask_as_dicom(found.values, found.affine, origin, classes, series)]
            )
        files = image_as_dicom(found.values, found.affine, origin, series)
        return Written(".dcm" if isinstance(source, Path) and source.is_file() else "", files)
