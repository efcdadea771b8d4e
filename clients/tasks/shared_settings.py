"""What the settings of all tasks share: kinds of target, metrics, and the names of classes."""

# Without torch or MONAI, as settings.py.

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import Field

TargetKind = Literal["class", "mask", "image"]
"""What belongs to an image: its class, a class for each of its pixels, or another image."""

LOSS = "loss"


class Metric(NamedTuple):
    """A figure by which models are judged; ``bound`` is the range of one record's score.

    ``chooses`` says that more is better and that the metric may choose between models; the others
    are reported only.
    """

    title: str
    unit: str = ""
    bound: tuple[float, float] = (0.0, 1.0)
    chooses: bool = True


CHANNELS: Any = Field(default=1, ge=1, description="Channels of an image: 1 is grey, 3 is colour.")
DIMENSIONS: Any = Field(
    default=2, description="Spatial dimensions of an image: 2 is a slice, 3 a volume."
)


def all_different(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of classes; raises ``ValueError`` for fewer than two, or the same twice."""
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise ValueError("expected at least two class names, all different; list every class once")
    return classes


def all_told_apart(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of segments; raises ``ValueError`` for names that differ in case only."""
    # Masks name their segments, and are matched so: see clients.imaging.segmentation.
    if len({name.strip().casefold() for name in classes}) != len(classes):
        raise ValueError(
            "expected class names that differ in more than capital letters and spaces around them,"
            " as segments of masks are found by their names; rename the classes"
        )
    return classes
