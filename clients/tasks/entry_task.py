"""A task of another distribution, as training, evaluation, and privacy see it.

The distribution's object has ``loss(outputs, targets)`` and ``scores(outputs, targets)``, and may
have ``result(outputs)``; see docs/how-to/extend.md.  Everything that decides what leaves a site is
here instead: scores are clipped to the agreed range, and one record is one share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clients.tasks.entry_settings import EntryTaskSettings
from clients.tasks.shared_settings import LOSS
from clients.tasks.task import Cases, Task, means_of, share_of
from strategies.errors import ConfigurationError
from strategies.extensions import TASKS, load_entry

TRIED = 3  # made-up records
SIDE = 32
_CLOSE = 1e-4  # relative: sums of another order differ by their rounding


@dataclass(frozen=True)
class EntryTask:
    """The agreed object ``own``, beside the task ``like`` that reads the same kind of target.

    A record's scores are its loss, then those of the settings in their order.
    """

    settings: EntryTaskSettings
    like: Task
    own: Any

    def check(self, cases: Cases, whose: str) -> frozenset[int]:
        """Raise :class:`strategies.errors.DataError` as for the kind with this target."""
        return self.like.check(cases, whose)

    def check_variety(self, found: frozenset[int], whose: str) -> None:
        """Raise :class:`DataError` as for the kind with this target."""
        self.like.check_variety(found, whose)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return one number for each record, shape (B,).

        Raises :class:`ConfigurationError` for anything else.
        """
        found = self.own.loss(outputs, targets)
        self._require(found, "loss", len(outputs))
        return found  # type: ignore[no-any-return]

    def scores(self, outputs: torch.Tensor, cases: Cases, in_full: bool) -> torch.Tensor:
        """Return loss and scores, (n, 1 + scores); raises :class:`ConfigurationError` as above."""
        targets, names = cases.targets.cpu(), [each.name for each in self.settings.scores]
        found = self.own.scores(outputs, targets)
        if not isinstance(found, dict) or set(found) != set(names):
            raise self._other(f"scores that are not {', '.join(names)}", "one tensor for each name")
        for name in names:
            self._require(found[name], f"score {name!r}", len(outputs))
        columns = [self.loss(outputs, targets), *(found[name] for name in names)]
        return torch.stack([each.detach().cpu().double() for each in columns], dim=1)

    def summary(self, scores: torch.Tensor) -> dict[str, float]:
        """Return the mean of every score, within its range, over the records that have it."""
        ranges = [(-math.inf, math.inf), *((s.low, s.high) for s in self.settings.scores)]
        low, high = (torch.tensor(each, dtype=scores.dtype) for each in zip(*ranges, strict=True))
        names = (LOSS, *(each.name for each in self.settings.scores))
        return means_of(names, scores.maximum(low).minimum(high))

    def shares(self, scores: torch.Tensor) -> torch.Tensor:
        """Return each record's score in the metric, its range scaled to [0, 1]."""
        names = [each.name for each in self.settings.scores]
        chosen = self.settings.scores[names.index(self.settings.metric)]
        return share_of(scores[:, 1 + names.index(chosen.name)], (chosen.low, chosen.high))

    def confidence(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return minus the loss of each record."""
        return -self.loss(outputs, targets).double()

    def result(self, outputs: torch.Tensor) -> NDArray[Any]:
        """Return what the outputs of one record mean to a user, as for the kind of its target."""
        if not hasattr(self.own, "result"):
            return self.like.result(outputs)
        return np.asarray(self.own.result(outputs))

    def _require(self, found: object, what: str, records: int) -> None:
        if not isinstance(found, torch.Tensor) or tuple(found.shape) != (records,):
            shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise self._other(f"{what} of shape {shape}", f"a number for each of {records} records")

    def _other(self, found: str, expected: str) -> ConfigurationError:
        entry = self.settings.entry
        return ConfigurationError(
            f"task {entry.name!r} of {entry.distribution}, which returned a {found}",
            expected,
            "correct the extension, and agree on its new version",
        )


def load_task(settings: EntryTaskSettings, like: Task) -> EntryTask:
    """Return the agreed task; raises :class:`ConfigurationError` if it is not there or no task."""
    made = load_entry(TASKS, settings.entry)
    try:
        own = made(**settings.entry.options)
    except Exception as error:  # code of others raises anything
        raise ConfigurationError(
            f"task {settings.entry.name!r} of {settings.entry.distribution}, which refuses its"
            f" options ({type(error).__name__})",
            "a class or function that takes [task.entry.options]",
            "correct the options, or the extension",
        ) from error
    missing = [name for name in ("loss", "scores") if not callable(getattr(own, name, None))]
    if missing:
        raise ConfigurationError(
            f"task {settings.entry.name!r} of {settings.entry.distribution} without"
            f" {' and '.join(missing)}",
            "an object with loss(outputs, targets) and scores(outputs, targets)",
            "correct the extension, and agree on its new version",
        )
    return EntryTask(settings, like, own)


def try_task(task: EntryTask) -> None:
    """Try a task on made-up records before anything starts.

    Raises :class:`ConfigurationError` for results of other shapes or names, for a loss through
    which no gradient flows, and for one in which records see each other: then clipping each
    record's gradient, on which privacy rests, would not be what it says.
    """
    outputs, cases = _made_up(task.settings)
    try:
        losses = task.loss(outputs, cases.targets)
        losses.sum().backward()
        alone = [task.loss(outputs[n : n + 1], cases.targets[n : n + 1]) for n in range(TRIED)]
        task.summary(task.scores(outputs.detach(), cases, True))
        task.result(outputs.detach()[:1])
    except ConfigurationError:
        raise
    except Exception as error:  # code of others raises anything
        raise task._other(
            f"{type(error).__name__} for made-up records", "a loss and scores"
        ) from error
    if not torch.allclose(losses, torch.cat(alone), rtol=_CLOSE, atol=_CLOSE):
        raise task._other(
            "loss in which the records of a batch see each other",
            "the loss of each record by itself",
        )


def _made_up(settings: EntryTaskSettings) -> tuple[torch.Tensor, Cases]:
    rng = torch.Generator().manual_seed(0)
    space = (SIDE,) * settings.spatial_dims
    images = torch.rand(TRIED, settings.channels, *space, generator=rng) * 2 - 1
    spacing = torch.ones(TRIED, settings.spatial_dims)
    pixels = () if settings.target == "class" else space
    outputs = torch.rand(TRIED, settings.outputs, *pixels, generator=rng, requires_grad=True)
    if settings.target == "image":
        return outputs, Cases(images, images.flip(-1), spacing)
    targets = torch.arange(TRIED).view(-1, *[1] * len(pixels)).expand(TRIED, *pixels)
    return outputs, Cases(images, targets % len(settings.classes), spacing)
