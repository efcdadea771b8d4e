"""The table ``[data.prepare]`` of ``federation.toml``: from HU or other values to inputs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict, field_validator

from strategies.settings import Settings

Window = tuple[float, float]
"""The values (low, high) that become 0 and 1; low < high."""


class PrepareSettings(Settings):
    """How the values of an image, as HU, become a network's input.

    All members must have the same, so that a tissue looks alike in every vendor's images.
    """

    window: Annotated[Window, Strict(False)] | None = Field(
        default=None,
        description="The two values, as HU, that become 0 and 1, with all between in proportion and"
        " all outside cut off; left out, each image is scaled by its own range, and CT is refused.",
    )

    @field_validator("window")
    @classmethod
    def _low_comes_first(cls, window: Window | None) -> Window | None:
        if window is not None and window[0] >= window[1]:
            raise ValueError(
                "expected a low and a high value, as [-160, 240]; exchange or correct them"
            )
        return window
