"""The table of all baselines by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from srflm_flower.comparison.baselines.baseline import Baseline
from srflm_flower.comparison.baselines.ditto import DITTO
from srflm_flower.comparison.baselines.fedavg import CYCLIC, FEDAVG, FEDPROX
from srflm_flower.comparison.baselines.fedavg_finetuned import FEDAVG_FINETUNED
from srflm_flower.comparison.baselines.fedbn import FEDBN
from srflm_flower.comparison.baselines.fedrep import FEDREP
from srflm_flower.comparison.baselines.local_only import LOCAL
from srflm_flower.comparison.baselines.scaffold import SCAFFOLD

BASELINES: Final[Mapping[str, Baseline]] = MappingProxyType(
    {
        "fedavg": FEDAVG,
        "fedavg-finetuned": FEDAVG_FINETUNED,
        "fedprox": FEDPROX,
        "fedbn": FEDBN,
        "ditto": DITTO,
        "fedrep": FEDREP,
        "scaffold": SCAFFOLD,
        "cyclic": CYCLIC,
        "local": LOCAL,
    }
)
