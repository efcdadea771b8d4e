"""The ends of a run's rounds: seconds per round, and a check of equal work in two runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

WARM_UP_ROUNDS = 2  # not counted, as they load the data and import torch


@dataclass(frozen=True)
class RoundEnd:
    """The end of a round (round 0: the start), in seconds since 1970, and its gradient steps."""

    round: int
    time: float
    steps: int


class UnequalWork(Exception):
    """Two runs cannot be compared because their gradient steps differ."""


def append_round_end(path: Path, end: RoundEnd) -> None:
    """Append one line to a file of round ends."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(end)) + "\n")


def read_round_ends(path: Path) -> list[RoundEnd]:
    """Return the round ends in a file, without an unfinished last line."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [RoundEnd(**json.loads(line)) for line in lines if line.endswith("\n")]


def seconds_a_round(ends: Sequence[RoundEnd]) -> float:
    """Return the median time between consecutive round ends, after the first two rounds.

    Raises :class:`ValueError` if there are too few.
    """
    gaps = [now.time - then.time for then, now in pairwise(ends) if now.round > WARM_UP_ROUNDS]
    if not gaps:
        raise ValueError(f"found {len(ends)} round ends; expected more than {WARM_UP_ROUNDS + 1}")
    return median(gaps)


def check_equal_work(one: Sequence[RoundEnd], other: Sequence[RoundEnd]) -> int:
    """Return the gradient steps a round, which must be the same in all rounds of both runs.

    Raises :class:`UnequalWork`.
    """
    steps = [{end.round: end.steps for end in ends if end.round > 0} for ends in (one, other)]
    counts = {count for each in steps for count in each.values()}
    if steps[0] != steps[1] or len(counts) != 1:
        raise UnequalWork(f"gradient steps by round: {steps[0]} and {steps[1]}")
    return counts.pop()
