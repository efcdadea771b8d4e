"""Find the configuration of a bundle, and read it as plain data: JSON, or YAML of plain values.

MONAI's own reader evaluates what it reads (GHSA-873f-pvrv-4x83, GHSA-x6pr-233j-x5cw,
GHSA-wvpx-5qmp-46g3), so it is not used; of ``configs/logging.conf``, which is evaluated too,
nothing is ever read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from strategies.errors import ConfigurationError

STEMS = ("inference", "train")
SUFFIXES = (".json", ".yaml", ".yml")
_MOST_BYTES = 4 * 2**20


def config_of(bundle: Path) -> Path:
    """Return the configuration file of a bundle's folder; a file is taken as it is.

    Raises :class:`ConfigurationError` if there is none.
    """
    if bundle.is_file():
        return bundle
    places = [bundle / "configs" / f"{stem}{suffix}" for stem in STEMS for suffix in SUFFIXES]
    for place in places:
        if place.is_file():
            return place
    raise ConfigurationError(
        f"{bundle} without configs/inference.json or another configuration",
        "the folder of a MONAI bundle, or its configuration file (.json, .yaml)",
        "name the folder that has configs/ and models/",
    )


def read_config(path: Path) -> dict[str, Any]:
    """Return the entries of a configuration file; nothing in them is evaluated.

    Raises :class:`ConfigurationError` for a file that cannot be read, is too large, or is no table
    in JSON or plain YAML.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _no_config(path, f"larger than {_MOST_BYTES // 2**20} MiB")
        text = path.read_text(encoding="utf-8")
        tree = json.loads(text) if path.suffix == ".json" else _yaml(text)
    except OSError as error:
        raise _no_config(path, error.strerror or "it cannot be read") from error
    # YAML's errors quote the file; a nesting without end is a RecursionError.
    except (ValueError, RecursionError) as error:
        raise _no_config(path, f"{type(error).__name__}") from None
    if not isinstance(tree, dict):
        raise _no_config(path, "no table")
    return tree


def _yaml(text: str) -> Any:
    import yaml  # type: ignore[import-untyped]

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def compose_node(self, parent: Any, index: Any) -> Any:
            # An entry that is repeated by name multiplies without end.
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:  # also for the tags by which YAML makes objects
        raise ValueError(type(error).__name__) from None


def _no_config(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is no configuration of a bundle ({why})",
        "a table in JSON, or in YAML without tags and aliases",
        "correct the path, or ask whoever made the bundle",
    )
