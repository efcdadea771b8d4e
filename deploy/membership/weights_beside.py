"""The agreed initial weights travel beside the federation file, and lie beside it at each site."""

from __future__ import annotations

from pathlib import Path

from clients.files.durable import write_durably
from clients.networks.agreed_file import agreed_bytes
from clients.settings import InitialWeights
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import with_changes


def beside(federation: Federation) -> Federation:
    """Return the federation with the name of its file of weights alone.

    No path of this machine goes to the other members.
    """
    given = federation.model.initial_weights
    if given is None:
        return federation
    named = {"file": given.file.name, "sha256": given.sha256}
    return with_changes(federation, model__initial_weights=named)


def copy_weights(given: InitialWeights | None, folder: Path) -> None:
    """Write the agreed file of weights into ``folder`` under its own name, if there is one.

    Raises :class:`strategies.errors.ConfigurationError` if it is not the agreed one.
    """
    if given is not None:
        write_durably(folder / given.file.name, agreed_bytes(given))
