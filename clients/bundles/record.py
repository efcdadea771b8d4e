"""What a bundle tells of the run from which its model comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RunRecord:
    """A run, as its ledger has it.

    ``metrics`` are means over the vendors on their validation data, as they were released;
    ``epsilon`` is (ε, δ) by vendor, empty without differential privacy, and ``privacy`` the promise
    in words.
    """

    name: str = ""
    federation: str = ""
    vendors: tuple[str, ...] = ()
    rounds: int = 0
    terms: int = 0
    model: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    epsilon: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    privacy: str = ""
