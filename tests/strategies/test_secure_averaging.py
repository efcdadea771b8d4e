"""Secure aggregation in a federation in memory, with vendors lost and servers that cheat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message

from srflm_flower import messages as wire
from srflm_flower.memory_grid import Deliver, Fault, no_fault
from srflm_flower.run_folder import RunFolder
from srflm_flower.secure_aggregation import messages as secure
from srflm_flower.secure_aggregation.quantising import agreed_quantiser
from srflm_flower.weights import Weights, from_arrays
from tests.support.tiny import VENDORS, conduct, new_run, records_of, tiny_federation


def run_in(folder: Path, name: str = "run", **changes: object) -> RunFolder:
    plain = {"evaluate_averaged": False, "aggregation__secure": True}
    return new_run(tiny_federation(folder, **plain | changes), folder / name)


def averages(run: RunFolder, fault: Fault = no_fault) -> dict[int, Weights]:
    """Conduct a run; return the averaged model of every term, as the server sent it."""
    seen: dict[int, Weights] = {}

    def spy(message: Message, deliver: Deliver) -> Message | None:
        if message.metadata.message_type == wire.FINETUNE:
            envelope = wire.envelope_of(message)
            (arrays,) = wire.models_in(message).values()
            seen[envelope.term] = from_arrays(arrays)
        return fault(message, deliver)

    conduct(run, spy)
    return seen


def test_mean_is_that_of_plain_aggregation_up_to_the_rounding_step(tmp_path: Path) -> None:
    securely = averages(run_in(tmp_path, "secure"))
    plainly = averages(run_in(tmp_path, "plain", aggregation__secure=False))
    step = agreed_quantiser(64.0, len(VENDORS)).step
    for name, array in plainly[1].items():
        np.testing.assert_allclose(securely[1][name], array, rtol=1e-6, atol=step)
    print({t: max(abs(securely[t][n] - a).max() for n, a in w.items()) for t, w in plainly.items()})
