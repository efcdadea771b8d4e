"""The table ``[task]`` with ``kind = "entry"``: a task of another distribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from clients.tasks.shared_settings import (
    CHANNELS,
    DIMENSIONS,
    LOSS,
    Metric,
    TargetKind,
    all_different,
    all_told_apart,
)
from strategies.settings import EntrySettings, Settings


class ScoreSettings(Settings):
    """A score that the task gives each record; its mean over the records is a metric."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,39}$", description="Name of the score and of its metric."
    )
    unit: str = Field(default="", max_length=10, description="Unit, if it has one.")
    low: float = Field(default=0.0, description="Lowest value; a lower score counts as this one.")
    high: float = Field(default=1.0, description="Highest value; a higher one counts as this one.")
    chooses: bool = Field(
        default=True,
        description="Whether more is better, so that it may choose between models.",
    )

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low >= self.high:
            raise ValueError("expected low below high; correct one of them")
        if self.name == LOSS:
            raise ValueError(f"expected another name, as every task has a {LOSS!r}; rename it")
        return self


class EntryTaskSettings(Settings):
    """A task by entry point: its data is read as that of the kind with the same target."""

    kind: Literal["entry"] = Field(
        description="Kind of task: loss and scores are those of [task.entry]."
    )
    target: TargetKind = Field(
        description='What belongs to an image: its "class", a "mask" with a class for each pixel,'
        ' or another "image".'
    )
    classes: Annotated[tuple[str, ...], Strict(False)] = Field(
        default=(),
        description="Names of the classes, in the order of their labels 0, 1, …; none where the"
        " target is an image.",
    )
    channels: int = CHANNELS
    spatial_dims: Literal[2, 3] = DIMENSIONS
    outputs: int = Field(
        ge=1, description="Numbers that the network puts out, for each pixel if not for an image."
    )
    scores: Annotated[tuple[ScoreSettings, ...], Strict(False)] = Field(
        min_length=1, description="The scores that the task gives each record."
    )
    metric: str = Field(
        description="The score whose mean on validation data chooses each vendor's personalised"
        " model and the released global one."
    )
    entry: EntrySettings = Field(description="The code of another distribution that is used.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.target == "image" and self.classes:
            raise ValueError("expected no classes, as the target is an image; remove them")
        if self.target != "image":
            all_different(self.classes)
        if self.target == "mask":
            all_told_apart(self.classes)
        names = [each.name for each in self.scores]
        if len(set(names)) != len(names):
            raise ValueError("expected scores of different names; rename one")
        choosing = [each.name for each in self.scores if each.chooses]
        if self.metric not in choosing:
            raise ValueError(
                f"expected a metric among the scores that choose ({', '.join(choosing) or 'none'});"
                f" add {self.metric!r} to them, or name another"
            )
        return self

    @property
    def released(self) -> str:
        """The metric that is released with noise: a mean over the records' scores."""
        return self.metric

    @property
    def pooled(self) -> tuple[str, ...]:
        """The metrics that are means over all records, so that several vendors' can be pooled."""
        return (LOSS,)  # a score may be undefined for some records

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics by name."""
        return {
            each.name: Metric(
                each.name.replace("-", " ").capitalize(),
                each.unit,
                (each.low, each.high),
                each.chooses,
            )
            for each in self.scores
        }
