"""A site that is up: find it by the notes of its supervisor, and bring it down."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from clients.files.locks import AlreadyLocked, is_held, locked
from deploy.processes.family import is_alive
from deploy.processes.supervisor import ProcessTable
from deploy.site.layout import Layout
from deploy.site.settings import load_site
from strategies.errors import DeploymentError

DOWN_SECONDS = 60.0


def read_notes(layout: Layout) -> ProcessTable | None:
    """Return the notes of the running site, or None when it is not up."""
    try:
        notes = ProcessTable.model_validate_json(layout.up.read_bytes())
    except (OSError, ValueError):
        return None
    return notes if is_held(layout.lock) else None  # nobody holds it: the notes are old


@contextmanager
def kept_down(vendor: str, layout: Layout, folder: Path) -> Iterator[None]:
    """Keep the site of ``vendor`` in ``folder`` from being started inside the block.

    Raises :class:`DeploymentError` for a site that is up.
    """
    try:
        with locked(layout.lock):
            yield
    except AlreadyLocked as error:
        raise DeploymentError(
            f"the site of {vendor} is up already (process {error.holder})",
            "a site that is down",
            f"`srflm status {folder}` shows it; `srflm down {folder}` stops it",
            DeploymentError.UP,
        ) from error


def bring_down(folder: Path) -> bool:
    """Stop the site in ``folder`` and wait until it is down; return whether it was up.

    Raises :class:`DeploymentError` when it does not stop, and
    :class:`strategies.errors.ConfigurationError` when ``folder`` is no site.
    """
    layout = Layout.of(load_site(folder.resolve()))
    notes = read_notes(layout)
    if notes is None:
        return False
    try:
        supervisor = psutil.Process(notes.supervisor)
        supervisor.terminate()
    except psutil.NoSuchProcess:
        return False
    until = time.monotonic() + DOWN_SECONDS
    while time.monotonic() < until:
        if not is_alive(supervisor):
            return True
        time.sleep(0.1)
    raise DeploymentError(
        f"process {notes.supervisor} does not end",
        "a site that goes down when asked",
        f"read {layout.logs / 'supervisor.log'}; kill -9 {notes.supervisor} ends it, too",
        DeploymentError.NOT_DOWN,
    )
