"""The agreed files of weights travel beside the federation file, and lie beside it at each site."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from clients.files.durable import write_durably
from clients.networks.agreed_file import agreed_bytes
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes


class _Given(NamedTuple):
    """A file, its hash, and the table that names both."""

    file: Path
    sha256: str
    table: str


def beside(federation: Federation) -> Federation:
    """Return the federation without vendors' paths, and with the names of its files of weights.

    No path of this machine goes to the other members.
    """
    changes: dict[str, Any] = {
        f"model__{given.table.replace('-', '_')}__file": given.file.name
        for given in _given(federation)
    }
    if any(vendor.path is not None for vendor in federation.vendors):
        changes["vendors"] = [each.model_copy(update={"path": None}) for each in federation.vendors]
    return with_changes(federation, **changes) if changes else federation


def copy_weights(federation: Federation, folder: Path) -> None:
    """Write the agreed files of weights into ``folder`` under their own names, if there are any.

    Raises :class:`strategies.errors.ConfigurationError` if one is not the agreed one.
    """
    for given in _given(federation):
        data = agreed_bytes(given.file, given.sha256, f"model.{given.table}")
        write_durably(folder / given.file.name, data)


def bring_weights(federation: Federation, source: Path) -> None:
    """Put the agreed files of weights that lie in ``source`` where the federation has them.

    Raises :class:`strategies.errors.ConfigurationError` if one is missing or not the agreed one.
    """
    for given in _given(federation):
        sent = source / given.file.name
        data = agreed_bytes(sent, given.sha256, f"model.{given.table}")
        write_durably(given.file, data)


def _given(federation: Federation) -> list[_Given]:
    initial, features = federation.model.initial_weights, federation.model.features
    found = []
    if initial is not None:
        found.append(_Given(initial.file, initial.sha256, "initial-weights"))
    if features is not None and features.file is not None and features.sha256 is not None:
        found.append(_Given(features.file, features.sha256, "features"))
    return found
