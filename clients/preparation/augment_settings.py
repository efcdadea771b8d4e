"""The table ``[data.augment]`` of ``federation.toml``: random changes of training images."""

# Without torch or MONAI, which take seconds to import: the launcher imports this file.

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, Strict, ValidationInfo, field_validator

from strategies.settings import Settings

GEOMETRIC = ("rotation", "scale", "shift")
"""The parts of one affine change, which have one probability."""

_NEEDS = {
    "flip_probability": ("flip",),
    "affine_probability": GEOMETRIC,
    "bias_field_probability": ("bias_field",),
    "gamma_probability": ("gamma",),
    "noise_probability": ("noise",),
    "blur_probability": ("blur",),
}

Range = Annotated[
    tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]], Strict(False)
]


def _probability(default: float, of: str) -> Any:
    return Field(default=default, gt=0, le=1, description=f"Probability of {of}.")


class AugmentSettings(Settings):
    """Random changes of an image in training, new in every step; nothing is changed by default.

    Masks and target images move with their image; its values alone are changed.
    """

    flip: Annotated[tuple[Annotated[int, Field(ge=0, le=2)], ...], Strict(False)] | None = Field(
        default=None,
        description="Axes of space, counted from 0, along which images are reversed, each by"
        " itself.",
    )
    flip_probability: float = _probability(0.5, "reversing an axis")
    rotation: float | None = Field(
        default=None, gt=0, le=180, description="Largest rotation in degrees, in both directions."
    )
    scale: float | None = Field(
        default=None,
        gt=0,
        le=0.5,
        description="Largest change of the size: 0.1 is 10 % up or down.",
    )
    shift: float | None = Field(
        default=None,
        gt=0,
        le=0.5,
        description="Largest shift along each axis, as a part of the image's side.",
    )
    affine_probability: float = _probability(0.5, "rotation, scale, and shift together")
    bias_field: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Largest coefficient of a smooth field of brightness, as of an MR coil: the"
        " exponential of a polynomial of degree 3.",
    )
    bias_field_probability: float = _probability(0.3, "a bias field")
    gamma: Range | None = Field(
        default=None,
        description="Smallest and largest exponent of the values, as [0.7, 1.5].",
    )
    gamma_probability: float = _probability(0.3, "another gamma")
    noise: float | None = Field(
        default=None,
        gt=0,
        le=0.5,
        description="Largest standard deviation of Gaussian noise, where values go from 0 to 1.",
    )
    noise_probability: float = _probability(0.3, "noise")
    blur: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="Largest standard deviation of a Gaussian blur, in pixels.",
    )
    blur_probability: float = _probability(0.3, "blur")

    @property
    def is_set(self) -> bool:
        """Whether images are changed at all."""
        return any(getattr(self, name) is not None for needs in _NEEDS.values() for name in needs)

    @field_validator("flip")
    @classmethod
    def _axes_are_different(cls, flip: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if flip is not None and (not flip or len(set(flip)) < len(flip)):
            raise ValueError("expected at least one axis, each once, as [0]; correct them")
        return flip

    @field_validator("gamma")
    @classmethod
    def _low_comes_first(cls, gamma: tuple[float, float] | None) -> tuple[float, float] | None:
        if gamma is not None and gamma[0] > gamma[1]:
            raise ValueError("expected a low and a high exponent, as [0.7, 1.5]; exchange them")
        return gamma

    @field_validator(*_NEEDS)
    @classmethod
    def _has_its_change(cls, probability: float, info: ValidationInfo) -> float:
        name = info.field_name or ""
        needs = [each for each in _NEEDS[name] if each in info.data]
        # The default is no contradiction: `srflm config show` writes it.
        is_default = probability == cls.model_fields[name].default
        if not is_default and needs and all(info.data[each] is None for each in needs):
            named = " or ".join(each.replace("_", "-") for each in _NEEDS[name])
            raise ValueError(f"expected {named} beside it; add it, or remove the probability")
        return probability
