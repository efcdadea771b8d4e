"""Rules of where to compute."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from clients.device import choose_device, mixed_precision
from strategies.errors import ConfigurationError


@pytest.fixture
def only_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("only_a_cpu")
def test_auto_falls_back_to_the_cpu() -> None:
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("only_a_cpu")
@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        choose_device(name)
    assert caught.value.found == f'device = "{name}", which this machine does not have'
    assert caught.value.expected == "one of: cpu"
    assert caught.value.mend == 'set run.device = "auto"'


def test_auto_prefers_cuda_to_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"


@pytest.mark.parametrize("wanted", [True, False])
def test_cpu_computes_in_full_precision(wanted: bool) -> None:
    assert isinstance(mixed_precision(torch.device("cpu"), wanted), nullcontext)


def test_card_without_bfloat16_computes_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in float16: without scaled gradients the small ones would vanish."""
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation
    )
    assert isinstance(mixed_precision(torch.device("cuda"), wanted=True), nullcontext)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_computes_in_bfloat16_when_wanted_and_there() -> None:
    device = torch.device("cuda")
    ones = torch.ones(4, 4, device=device)
    there = torch.cuda.is_bf16_supported(including_emulation=False)
    with mixed_precision(device, wanted=True):
        assert (ones @ ones).dtype == (torch.bfloat16 if there else torch.float32)
    with mixed_precision(device, wanted=False):
        assert (ones @ ones).dtype == torch.float32
