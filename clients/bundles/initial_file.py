"""Write weights as the file with which a federation may begin, and say which file it is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import tomlkit

from clients.files.durable import write_durably
from strategies.errors import ConfigurationError
from strategies.weights import Weights, encode_weights


def write_initial_weights(make: Callable[[], Weights], path: Path) -> str:
    """Write the weights that ``make`` returns; return the table ``[model.initial-weights]``.

    Raises :class:`ConfigurationError` for a name in another suffix than .safetensors, and if the
    file is there already, whatever it is: it may be that of a federation that runs.
    """
    if path.suffix != ".safetensors":
        raise ConfigurationError(f"{path} for weights", "a name in .safetensors", "name another")
    if os.path.lexists(path):
        raise ConfigurationError(f"{path}, which is there already", "a new file", "name another")
    data = encode_weights(make())
    write_durably(path, data)
    digest = hashlib.sha256(data).hexdigest()
    # The name alone: the file is to lie beside the federation file at every member.
    table = {"model": {"initial-weights": {"file": path.name, "sha256": digest}}}
    text = tomlkit.dumps(table)
    # The table [model] itself stands above already.
    return "\n" + text.removeprefix("[model]\n").lstrip("\n")
