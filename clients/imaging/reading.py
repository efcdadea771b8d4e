"""The one entry to all readers: an image or a volume of whatever form."""

from __future__ import annotations

from pathlib import Path

from clients.imaging.by_monai import read_by_monai
from clients.imaging.decoding import is_dicom
from clients.imaging.frames import read_file
from clients.imaging.index import Series
from clients.imaging.nifti import is_nifti, read_nifti
from clients.imaging.picture import NUMPY_SUFFIXES, PICTURE_SUFFIXES, read_array, read_picture
from clients.imaging.quiet import quiet
from clients.imaging.refusal import unreadable
from clients.imaging.series import read_series, read_series_in
from clients.imaging.volume import Volume
from strategies.errors import DataError


def read_volume(source: Path | Series) -> Volume:
    """Return the image in a file, or the volume in a series or in a folder with one series.

    Pictures and single DICOM images are upright, (channels, height, width); NIfTI and DICOM
    volumes have the order of axes nearest to RAS, (1, *space); arrays (NPY) are as they are. The
    form is known by the suffix, DICOM and NIfTI by the first bytes too. Raises
    :class:`DataError` for whatever is not read, as each reader does.
    """
    if isinstance(source, Series):
        return read_series(source)
    with quiet():
        try:
            return _read(source)
        except DataError:
            raise
        except Exception as error:  # each format's library has exceptions of its own
            kind = type(error).__name__
    # Raised here: a traceback would show the exception from which it comes, and its text.
    raise unreadable(
        f"{source} cannot be read ({kind})",
        "an image in NIfTI, DICOM, PNG, JPEG, BMP, TIFF, or NPY, or of a form that MONAI's"
        " LoadImage reads",
        "remove the file, or install the reader that its format needs",
    )


def _read(path: Path) -> Volume:
    if path.is_dir():
        return read_series_in(path)
    # MONAI's reader would unpickle objects, and so run code from the file.
    if {suffix.lower() for suffix in path.suffixes} & NUMPY_SUFFIXES:
        return read_array(path)
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return read_picture(path)
    if is_dicom(path):
        return read_file(path)
    if is_nifti(path):
        return read_nifti(path)
    return read_by_monai(path)
