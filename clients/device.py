"""Choose where to compute: CUDA, Apple's MPS, or the CPU."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from strategies.errors import ConfigurationError


def choose_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises :class:`ConfigurationError` if this machine does not have the named device.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, here in available.items() if here))
    if not available[name]:
        raise ConfigurationError(
            f'device = "{name}", which this machine does not have',
            "one of: " + ", ".join(kind for kind, here in available.items() if here),
            'set run.device = "auto"',
        )
    return torch.device(name)


def mixed_precision(device: torch.device, wanted: bool) -> AbstractContextManager[object]:
    """Return a context for forward passes: bfloat16 if wanted and in hardware, else float32."""
    # float16 would need scaled gradients, and emulated bfloat16 saves no time.
    if wanted and device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


def gpus_for(device: str) -> int:
    """Return the number of GPUs of which a simulation's engine must know for this setting.

    Else the engine hides them from the vendors' processes; Apple's MPS needs no such permission.
    """
    return torch.cuda.device_count() if device in ("auto", "cuda") else 0
