"""How one file is divided among the vendors of a simulation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from strategies.settings import Settings


class DirichletPartition(Settings):
    """Divide every class over the vendors by proportions from Dir(α) (Hsu et al., 2019)."""

    kind: Literal["dirichlet"] = Field(
        default="dirichlet", description="Each class is divided by random proportions."
    )
    alpha: float = Field(
        default=0.5, gt=0, description="α of the proportions: the smaller, the more uneven."
    )


class ByClassPartition(Settings):
    """Give every vendor the classes that its ``[[vendors]]`` table lists."""

    kind: Literal["by-class"] = Field(
        description="Each vendor gets the classes that its [[vendors]] table lists."
    )


class SharesPartition(Settings):
    """Divide the data at random, whatever its targets are, by the vendors' shares."""

    kind: Literal["shares"] = Field(
        description="The data is divided at random, by the vendors' shares."
    )
    shares: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Strict(False)] = Field(
        default=(),
        description="One number for each vendor, in the order of the roster: its share of the data"
        " is its number over their sum; left out, all shares are equal.",
    )
