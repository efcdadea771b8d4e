"""The table ``[data.select]`` of ``federation.toml``: which DICOM images are taken."""

# Without numpy, torch, or pydicom: the launcher imports this file.

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict, field_validator

from strategies.settings import Settings

PlaneName = Literal["axial", "coronal", "sagittal"]
Texts = Annotated[tuple[Annotated[str, Field(pattern=r"\S")], ...], Strict(False)]


class SelectSettings(Settings):
    """Which DICOM images `srflm data index` takes; without any setting, all of them.

    A series is judged by the header of its first file.
    """

    modality: Texts = Field(
        default=(), description='Kinds of scanner, as ["CT"] or ["MR"]; one of them.'
    )
    plane: Annotated[tuple[PlaneName, ...], Strict(False)] = Field(
        default=(),
        description='Planes of slices: "axial", "coronal", "sagittal"; one of them, the nearest'
        " where slices are oblique.",
    )
    image_type: Texts = Field(
        default=(),
        description='Words that ImageType must have, as ["ORIGINAL", "M"]; all of them.',
    )
    description: Texts = Field(
        default=(),
        description="Patterns of SeriesDescription with * and ?, whatever the case; one of them,"
        " while a site's own are given to `srflm data index --description`.",
    )
    thickness: Annotated[tuple[float, float], Strict(False)] | None = Field(
        default=None, description="Least and greatest SliceThickness in mm; left out, any."
    )

    @field_validator("thickness")
    @classmethod
    def _least_comes_first(cls, thickness: tuple[float, float] | None) -> object:
        if thickness is not None and not 0 <= thickness[0] <= thickness[1]:
            raise ValueError(
                "expected the least and the greatest thickness in mm, as [0.5, 3]; exchange or"
                " correct them"
            )
        return thickness
