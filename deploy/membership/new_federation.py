"""The text of a new ``federation.toml`` for the consortium: every setting, explained, no vendor."""

from __future__ import annotations

from typing import Any, Final

from deploy.site.commented_toml import commented_toml
from srflm_flower.federation.loading import built_in_federation, with_changes

HEADER: Final = """\
# What the members of the federation have agreed on. Edit it before the first
# `srflm federation publish`; afterwards only the roster changes. It needs no paths (each site names
# its own data) and no vendors: they come from the admitted requests, in alphabetical order. Write
# [[vendors]] tables (name = "…") at the end of the file for another order of the first rounds, or
# for settings of a vendor, such as its size in a private federation.
"""
NETWORKS: Final[dict[str, dict[str, Any]]] = {
    "classification": {},
    "segmentation": {
        "network": "UNet",
        "arguments": {"channels": [16, 32, 64, 128], "strides": [2, 2, 2], "num_res_units": 2},
    },
    "restoration": {"network": "dncnn"},
}
"""A network to begin with for each kind of task, where the default does not fit."""


def federation_toml(name: str, task: dict[str, Any], data: dict[str, Any], rounds: int) -> str:
    """Return a commented file for tables ``[task]`` and ``[data]``.

    Raises :class:`strategies.errors.ConfigurationError` for values that no federation may have.
    """
    changes = {f"model__{key}": value for key, value in NETWORKS.get(task["kind"], {}).items()}
    federation = with_changes(
        built_in_federation(2), name=name, task=task, data=data, run__rounds=rounds, **changes
    )
    lines = commented_toml(federation.model_copy(update={"vendors": ()})).splitlines()
    start = lines.index("vendors = []")
    end = start + 1
    # The roster's comment stands above its line.
    while lines[start - 1].startswith("#"):
        start -= 1
    return HEADER + "\n" + "\n".join([*lines[:start], *lines[end:]]) + "\n"
