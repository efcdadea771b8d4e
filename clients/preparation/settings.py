"""The table ``[data.prepare]`` of ``federation.toml``: from an image to a network's input."""

# Without torch or MONAI, which take seconds to import: the launcher imports this file.

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, Strict, ValidationInfo, field_validator

from strategies.settings import Settings

Window = tuple[float, float]
"""The values (low, high) that become 0 and 1; low < high."""

Normalise = Literal["window", "z-score", "percentile"]
"""The rule by which values become inputs in [0, 1]."""

AXES = ("LR", "PA", "IS")
"""The two ends of each axis of the patient: left and right, back and front, feet and head."""


def _one_is_a_list(value: Any) -> Any:
    return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else value


_OneOrEach = (Strict(False), BeforeValidator(_one_is_a_list), Field(min_length=1, max_length=3))

Spacing = Annotated[tuple[Annotated[float, Field(gt=0)], ...], *_OneOrEach]
Size = Annotated[tuple[Annotated[int, Field(ge=1)], ...], *_OneOrEach]


class PrepareSettings(Settings):
    """How an image becomes a network's input, in this order: orientation, spacing, values, size.

    All members must have the same, so that a tissue looks alike in every vendor's images.
    """

    orientation: str | None = Field(
        default=None,
        description='Directions in the patient to which the axes lead, as "RAS": to the right,'
        " anterior, superior; a slice takes the two of its plane, in this order; left out, axes"
        " stay as they were read.",
    )
    spacing: Spacing | None = Field(
        default=None,
        description="Size of a voxel in mm after resampling, one number or one a dimension; left"
        " out, nothing is resampled.",
    )
    window: Annotated[Window, Strict(False)] | None = Field(
        default=None,
        description="The two values, as HU, that become 0 and 1, with all between in proportion and"
        " all outside cut off; left out, see normalise.",
    )
    normalise: Normalise | None = Field(
        default=None,
        description='How values become inputs from 0 to 1: by the "window"; by "z-score", where 4'
        " standard deviations below and above the mean of all but the background become 0 and 1;"
        ' by "percentile", where two percentiles become 0 and 1; left out, by the window, or'
        " without one by each image's own range, and CT is refused.",
    )
    percentiles: Annotated[Window, Strict(False)] = Field(
        default=(1.0, 99.0),
        description="Percentiles of an image's values that become 0 and 1; only with normalise"
        ' = "percentile".',
    )
    size: Size | None = Field(
        default=None,
        description="Voxels a side to which images are cut or padded around their centre after"
        " resampling, one number or one a dimension; left out, images keep their size.",
    )
    patch: Size | None = Field(
        default=None,
        description="Voxels a side, one number or one a dimension, of the part of an image on which"
        " the network trains, drawn at random in every step; whole images are evaluated by a"
        " sliding window of this size, and may have any size; for masks and images to restore only;"
        " left out, it sees whole images.",
    )
    patch_foreground: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the patches that hold a voxel of a class but the background, each"
        " class of the mask as often as the others; the other patches lie anywhere.",
    )

    @property
    def is_set(self) -> bool:
        """Whether anything is agreed on by which an image as it was read is changed."""
        return self.changes != AS_READ

    @property
    def changes(self) -> PrepareSettings:
        """The settings by which an image as it was read is changed: all but those of patches."""
        return self.model_copy(update={"patch": None, "patch_foreground": 0.5})

    def patch_of(self, dims: int) -> tuple[int, ...] | None:
        """Return the sides of a patch of ``dims`` dimensions; None without patches."""
        if self.patch is None:
            return None
        return self.patch * dims if len(self.patch) == 1 else self.patch

    @field_validator("orientation")
    @classmethod
    def _one_end_of_each_axis(cls, orientation: str | None) -> str | None:
        if orientation is not None and (
            len(orientation) != len(AXES)
            or any(sum(end in orientation for end in axis) != 1 for axis in AXES)
        ):
            raise ValueError(
                'expected three letters, one each of L or R, P or A, and I or S, as "RAS";'
                " correct them"
            )
        return orientation

    @field_validator("window")
    @classmethod
    def _low_comes_first(cls, window: Window | None) -> Window | None:
        if window is not None and window[0] >= window[1]:
            raise ValueError(
                "expected a low and a high value, as [-160, 240]; exchange or correct them"
            )
        return window

    @field_validator("normalise")
    @classmethod
    def _fits_the_window(
        cls, normalise: Normalise | None, info: ValidationInfo
    ) -> Normalise | None:
        if "window" not in info.data:  # it is wrong, and reported by itself
            return normalise
        has_window = info.data["window"] is not None
        if normalise == "window" and not has_window:
            raise ValueError("expected a window = [low, high] beside it; add the window")
        if normalise in ("z-score", "percentile") and has_window:
            raise ValueError(
                'expected "window", or nothing, beside a window; remove one of the two'
            )
        return normalise

    @field_validator("percentiles")
    @classmethod
    def _are_percentiles(cls, percentiles: Window, info: ValidationInfo) -> Window:
        low, high = percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(
                "expected a low and a high percentile from 0 to 100, as [1, 99]; correct them"
            )
        # The default beside another rule is no contradiction: `srflm config show` writes it.
        default = cls.model_fields["percentiles"].default
        if percentiles != default and info.data.get("normalise") != "percentile":
            raise ValueError(
                'expected none without normalise = "percentile"; remove it, or set this rule'
            )
        return percentiles


AS_READ: Final = PrepareSettings()
"""Nothing is agreed on: values by each image's own range, and geometry as it was read."""
