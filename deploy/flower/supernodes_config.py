"""The configuration of a site's SuperNodes: one link per peer, written by the site's supervisor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from deploy.processes.config import Strict

Port = Annotated[int, Field(ge=1, le=65535)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
LOOPBACK = "127.0.0.1"
WORKER_BELL = "worker"


def _no_other_bell(name: str) -> str:
    if name == WORKER_BELL:
        raise ValueError(f"{WORKER_BELL!r} is the name of the worker's bell")
    return name


Peer = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=64),
    AfterValidator(_no_other_bell),
]
"""A peer's name also names its bell and its note: it must be a plain file name."""


class Tls(Strict):
    """A server certificate for the loopback interface, its key, and its root certificate."""

    certificate: Path
    key: Path
    root: Path


class Link(Strict):
    """A SuperNode of this site: the peer's SuperLink that it asks, and the port for its tasks."""

    peer: Peer
    superlink: str
    """Address ``host:port`` of the peer's SuperLink, or of this site's way out to it."""
    root_certificates: Path
    private_key: Path
    """This site's node key for this link: one per pair of site and SuperLink."""
    port: Port
    """The loopback port on which this SuperNode's Runtime API listens."""
    log: Path


class SupernodesConfig(Strict):
    """The configuration of ``deploy.flower.supernodes``."""

    links: tuple[Link, ...]
    agreed_bundle: Sha256
    refusals: Path
    """Gets one JSON line per refused run."""
    bells: Path
    """Folder: ``<peer>`` is rung when that peer is about to serve, ``worker`` for a message."""
    notes: Path
    """Folder: each SuperNode keeps its node's id in it, for its successor after a restart."""
    isolation: Literal["process", "subprocess"] = "process"
    """The runner of ClientApps: ``deploy.flower.worker`` (``process``), or stock Flower with a
    process per message (``subprocess``)."""
    tls: Tls | None = None
    """For the Runtime APIs; without it they are not encrypted."""
    secret: Path | None = None
    """File with the secret needed to get a task (isolation ``process`` only)."""
    largest_message: int | None = None
    """Bytes; a larger message is dropped while it is being received."""
    settings: tuple[str, ...] = ()
    """Names of settings that a peer may change in a run."""
