"""What all tests share: one core each, nothing cached or spent by another test, a tiny file."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from clients.data.phantom import make_vendor
from clients.data.sources import forget_cached_data

torch.set_num_threads(1)

# A shell that starts the tests in the background has them ignore it, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# `make test` tries the same examples each time, and gives a busy machine the time that it needs;
# `make explore` looks for new examples.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(autouse=True)
def no_cached_data() -> Iterator[None]:
    """Let no test see the data that another one has read."""
    forget_cached_data()
    yield
    forget_cached_data()


@pytest.fixture(scope="session", autouse=True)
def no_ledger_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no fixture spend from the privacy ledger of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state-home")))
        yield


@pytest.fixture(autouse=True)
def ledger_of_this_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the owner's privacy ledger is in this test: no other test spends from it."""
    state = tmp_path.with_name(f"{tmp_path.name}-state")  # beside: tests compare what is in theirs
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    return state / "srflm" / "privacy" / "privacy.sqlite"


@pytest.fixture
def phantom_npz(tmp_path: Path) -> Path:
    """Return a MedMNIST-style file: phantom slices, 16×16, 4 classes, 80 + 30 + 30 of them."""
    phantom = make_vendor(0, 140, size=16, seed=3)
    pixels = (phantom.images[:, 0] * 255).astype(np.uint8)
    arrays = {}
    for name, rows in (("train", slice(80)), ("val", slice(80, 110)), ("test", slice(110, 140))):
        arrays[f"{name}_images"], arrays[f"{name}_labels"] = (
            pixels[rows],
            phantom.labels[rows, None],
        )
    path = tmp_path / "phantom.npz"
    np.savez(path, **arrays)
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A long test that is not slow would run among the fast ones, and in no other command."""
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("slow"):
            raise pytest.UsageError(f"{item.nodeid} is marked long; expected slow too")
