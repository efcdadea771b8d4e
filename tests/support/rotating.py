"""Runs of the rotating strategy on a federation in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clients.models.model_file import read_model_file
from srflm_flower.run.folder import RunFolder
from strategies.protocol import messages as wire
from tests.support.tiny import new_run, records_of, tiny_federation

ALL_KINDS = (
    wire.OPEN,
    wire.TRAIN,
    wire.RECALL,
    wire.FINETUNE,
    wire.EVALUATE,
    wire.ACCEPT,
    wire.COMMIT,
    wire.SHARE,
)


def run_in(folder: Path, name: str = "run", **changes: object) -> RunFolder:
    return new_run(tiny_federation(folder, **changes), folder / name)


def same_outcome(run: RunFolder, other: RunFolder) -> None:
    """The same servers, and the same weights within 1e-6."""
    ours, theirs = records_of(run), records_of(other)
    assert [r.server for r in ours] == [r.server for r in theirs]
    assert [r.ballots for r in ours] == [r.ballots for r in theirs]
    for path in sorted(other.models.iterdir()):
        mine, expected = read_model_file(run.models / path.name), read_model_file(path)
        for name, array in expected.weights.items():
            np.testing.assert_allclose(mine.weights[name], array, rtol=0, atol=1e-6)
