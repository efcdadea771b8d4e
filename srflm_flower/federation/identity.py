"""The identity of a federation: a hash of all settings on which its members agree.

An upgrade must not change it: runs, ledgers and consortia go on under the name that they have.  So
a setting that came later, and that has its default, is no part of what is hashed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

FIRST_SETTINGS: Final[Mapping[str, str]] = {
    "": "bundle edition evaluate-averaged name previous rounds-per-term seed",
    "aggregation": (
        "faulty include-stale-server min-clients moving-average rule secure secure-range trim"
    ),
    "data": "examples heterogeneity image-size label-alpha max-examples source",
    "data.partition": "alpha kind",
    "election": "by-turn-rounds loss-weight policy server",
    "first": "federation keys roster",
    "model": "dp-ready network norm weight-standardisation width",
    "privacy": (
        "batch-size client-noise client-steps clip copies delta epsilon gradients "
        "loss-bound loss-share metrics metrics-noise physical-batch random server-noise "
        "server-steps server-terms trainable-layers unit update-clip update-noise"
    ),
    "splits": "allow-one-class test validation",
    "task": "channels classes kind metric spatial-dims",
    "training": (
        "batch-size client-epochs decay learning-rate momentum optimizer server-epochs weight-decay"
    ),
    "vendors[]": (
        "address classes client-noise max-examples name node-keys server-noise signing-key size"
    ),
}
"""The settings that count whatever their value, by table: those of the first version that had an
identity to keep.  Nothing is ever added here."""

_FIRST = {
    f"{table}.{name}" if table else name
    for table, names in FIRST_SETTINGS.items()
    for name in names.split()
}


def without_later_defaults(
    everything: Mapping[str, Any], changed: Mapping[str, Any]
) -> dict[str, Any]:
    """Return ``everything`` without what came later and has its default.

    Both are dumps of one federation; ``changed`` has only what differs from its default.
    """
    return _kept(everything, changed, "")


def _kept(everything: Mapping[str, Any], changed: Any, prefix: str) -> dict[str, Any]:
    known = changed if isinstance(changed, Mapping) else {}
    found = {}
    for name, value in everything.items():
        path, differs = f"{prefix}{name}", name in known
        if path in _FIRST:
            found[name] = value
        elif isinstance(value, Mapping):
            inner = _kept(value, known.get(name), f"{path}.")
            if inner:
                found[name] = inner
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            each = known.get(name) or [{}] * len(value)
            found[name] = [
                _kept(one, other, f"{path}[].") for one, other in zip(value, each, strict=True)
            ]
        elif differs:
            found[name] = value
    return found
