"""Write a Flower app: a folder with a ``pyproject.toml`` that names the installed code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tomlkit

from srflm_flower import __version__


@dataclass(frozen=True)
class Components:
    """The names of a ServerApp and a ClientApp, as ``module:attribute``."""

    server: str
    client: str


SIMULATED = Components("srflm_flower.server_app:app", "srflm_flower.client_app:app")
DEPLOYED = Components("deploy.serving.apps:server", "deploy.serving.apps:client")


def write_app(
    folder: Path,
    components: Components,
    settings: Mapping[str, object],
    tools: Mapping[str, object] | None = None,
) -> Path:
    """Write the app into ``folder`` and return it; equal arguments give equal bytes.

    ``settings`` are the settings of a run with their defaults; ``tools`` are further tables below
    ``[tool]``. The app holds names only: the code is installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    app = {
        "publisher": "srflm",
        "components": {"serverapp": components.server, "clientapp": components.client},
        "config": dict(settings),  # Flower lets a run override only the keys that are here
    }
    tree = {
        "project": {"name": "srflm-flower", "version": __version__, "license": "Apache-2.0"},
        "tool": {**(tools or {}), "flwr": {"app": app}},
    }
    (folder / "pyproject.toml").write_text(tomlkit.dumps(tree), encoding="utf-8")
    return folder
