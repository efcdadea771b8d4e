"""Interrupted training goes on from its last epoch and ends with the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from clients.data.vendor_data import Split
from clients.files.checkpoint import Checkpoint
from clients.files.durable import write_durably
from clients.settings import TrainingSettings
from clients.training import Work, train


class Interrupted(BaseException):
    """The process is killed."""


def network() -> torch.nn.Module:
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(16, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 3)
    )


def data() -> Split:
    generator = torch.Generator().manual_seed(1)
    return Split(torch.rand(22, 1, 4, 4, generator=generator), torch.arange(22) % 3)


def trained(checkpoint: Checkpoint | None, epochs: int = 5) -> tuple[torch.nn.Module, float]:
    net = network()
    settings = TrainingSettings(batch_size=8, momentum=0.9)
    loss = train(
        net, data(), Work(0.1, epochs), settings, 7, torch.device("cpu"), checkpoint=checkpoint
    )
    return net, loss


@pytest.mark.parametrize("after", [1, 2, 4])
def test_continued_training_equals_uninterrupted_training(
    tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, loss = trained(None)
    epochs = 0

    def write(path: Path, content: bytes) -> None:
        nonlocal epochs
        write_durably(path, content)
        epochs += 1
        if epochs == after:
            raise Interrupted

    monkeypatch.setattr("clients.files.checkpoint.write_durably", write)
    with pytest.raises(Interrupted):
        trained(Checkpoint(tmp_path / "work.pt", "work", seconds=0))
    monkeypatch.undo()
    steps: list[int] = []
    sgd = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *a, **k: (steps.append(1), sgd(*a, **k))[1])
    found, again = trained(Checkpoint(tmp_path / "work.pt", "work", seconds=0))
    assert len(steps) == 3 * (5 - after)
    assert again == pytest.approx(loss, abs=1e-7)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(tensor, found.state_dict()[name]), name


def test_checkpoint_of_other_work_or_a_damaged_one_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "work.pt"
    trained(Checkpoint(path, "other work", seconds=0), epochs=1)
    assert path.exists()
    expected, _ = trained(None, epochs=2)
    for content in (path.read_bytes(), path.read_bytes()[:100], b""):
        path.write_bytes(content)
        found, _ = trained(Checkpoint(path, "work", seconds=3600), epochs=2)
        for name, tensor in expected.state_dict().items():
            assert torch.equal(tensor, found.state_dict()[name])


def test_epochs_that_end_soon_after_another_are_not_kept(tmp_path: Path) -> None:
    trained(Checkpoint(tmp_path / "work.pt", "work", seconds=3600))
    assert not (tmp_path / "work.pt").exists()
