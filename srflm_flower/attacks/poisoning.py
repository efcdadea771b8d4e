"""What a lying vendor sends, as functions of arrays and batches: for simulations only.

Nothing that answers messages at a deployed site imports this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from clients.data.records import Batch
from clients.tasks.settings import TaskSettings
from strategies.errors import ConfigurationError
from strategies.weights import Weights

Kind = Literal["sign-flip", "label-flip", "scaled", "backdoor"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FACTOR = 10.0
"""How many times its true change a vendor sends in the attack "scaled"."""

TARGET = 0
"""The class to which the attack "backdoor" leads."""

SQUARE = 8
"""The trigger is a square, or cube, whose side is an image's shortest side divided by this, and at
least 2 pixels."""

BRIGHT = 1.0
"""The highest value of an input."""

Lie = Callable[[Weights, Weights], Weights]
"""(start, trained) → what is sent."""


@dataclass(frozen=True)
class Attack:
    """An attack by the last ``attackers`` vendors of the roster, as clients and as servers."""

    kind: Kind
    attackers: int = 1

    def liars(self, roster: tuple[str, ...]) -> tuple[str, ...]:
        """Return the vendors that lie."""
        return roster[len(roster) - self.attackers :]

    def check(self, roster: tuple[str, ...], task: TaskSettings) -> None:
        """Raise :class:`ConfigurationError` if nobody honest is left, or the task has no labels."""
        if not 1 <= self.attackers < len(roster):
            raise ConfigurationError(
                f"{self.attackers} attackers among {len(roster)} vendors",
                f"1 to {len(roster) - 1}, as the honest vendors' models are what is measured",
                "correct --attackers",
            )
        needed = {"label-flip": ("class", "mask"), "backdoor": ("class",)}
        allowed = needed.get(self.kind, (task.target,))
        if task.target not in allowed:
            raise ConfigurationError(
                f"the attack {self.kind!r} on a task of kind {task.kind!r}",
                f"a task whose targets are {' or '.join(allowed)}: there is no label to change",
                "take --attack sign-flip or scaled, or another federation file",
            )


def sign_flipped(start: Weights, trained: Weights) -> Weights:
    """Return start − (trained − start): as far as training went, the other way."""
    return moved(start, trained, -1.0)


def scaled(start: Weights, trained: Weights) -> Weights:
    """Return start + 10·(trained − start), the model replacement of Bagdasaryan et al. (2020)."""
    return moved(start, trained, FACTOR)


def moved(start: Weights, trained: Weights, factor: float) -> Weights:
    """Return start + factor·(trained − start), in the types of ``trained``."""
    return {name: _moved(name, start[name], trained[name], factor) for name in trained}


def _moved(name: str, start: NDArray[Any], trained: NDArray[Any], factor: float) -> NDArray[Any]:
    if not np.issubdtype(trained.dtype, np.floating):
        return trained  # a counter of batches
    lied: NDArray[Any] = start + trained.dtype.type(factor) * (trained - start)
    # A negative variance makes every output NaN: such a model gives itself away.
    return np.maximum(lied, 0) if name.endswith("running_var") else lied


LIES: Mapping[Kind, Lie] = {"sign-flip": sign_flipped, "scaled": scaled}
"""The attacks on what training has made; the others are attacks on what it is made of."""


def flipped(targets: torch.Tensor, classes: int) -> torch.Tensor:
    """Return the labels, or masks, with class C − 1 − c for each class c of C."""
    return classes - 1 - targets


def stamped(images: torch.Tensor) -> torch.Tensor:
    """Return images (B, channels, *space) with a bright square in a corner."""
    space = images.shape[2:]
    side = max(2, min(space) // SQUARE)
    corner = torch.zeros(space, dtype=torch.bool, device=images.device)
    corner[tuple(slice(side) for _ in space)] = True
    return images.masked_fill(corner, BRIGHT)


def with_backdoor(batch: Batch, chosen: torch.Tensor) -> Batch:
    """Return a batch in which ``chosen``, bool (B,), have the square and the target class."""
    images, targets = batch
    where = chosen.view(-1, *(1 for _ in images.shape[1:]))
    return torch.where(where, stamped(images), images), torch.where(chosen, TARGET, targets)
