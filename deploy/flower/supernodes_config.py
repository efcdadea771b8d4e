"""The configuration file of a site's SuperNodes, written at the site's start: a link per peer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from deploy.processes.company import FILE as WANTED
from deploy.processes.config import Strict

Port = Annotated[int, Field(ge=1, le=65535)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
LOOPBACK = "127.0.0.1"
WORKER_BELL = "worker"
OWN_RUN = "+"
"""Bell for a run on the own SuperLink."""


def message_bell(peer: str) -> str:
    """Return the name of the bell for a message of ``peer``; no peer has such a name itself."""
    return f"+{peer}"


def _no_other_bell(name: str) -> str:
    if name in (WORKER_BELL, WANTED):
        raise ValueError(f"{name!r} is the name of another file among the bells")
    return name


# A peer's name also names its bell and its note, so it must be a plain file name.
Peer = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=64),
    AfterValidator(_no_other_bell),
]


class Tls(Strict):
    """A server certificate for the loopback interface, its key, and its root certificate."""

    certificate: Path
    key: Path
    root: Path


class Link(Strict):
    """A SuperNode of this site: the SuperLink of its peer, and the port for its tasks."""

    peer: Peer
    superlink: str  # host:port of the peer's SuperLink, or of this site's way out to it
    root_certificates: Path
    # One key per pair of site and SuperLink: Flower signs a time only, so a captured header of a
    # shared key would work at every SuperLink.
    private_key: Path
    port: Port  # on the loopback interface, for this SuperNode's Runtime API
    log: Path


class SupernodesConfig(Strict):
    """The configuration of ``deploy.flower.supernodes``."""

    links: tuple[Link, ...]
    agreed_bundles: tuple[Sha256, ...]
    refusals: Path  # log with one JSON line per refused run
    # Folder of bells: ``<peer>`` rings when that peer is about to serve, ``worker`` for a message.
    bells: Path
    notes: Path  # folder for each SuperNode's node id, read by its successor after a restart
    # Runner of ClientApps: ``process`` is deploy.flower.worker, ``subprocess`` is stock Flower with
    # a new process for each message.
    isolation: Literal["process", "subprocess"] = "process"
    tls: Tls | None = None  # for the Runtime APIs; without it they are not encrypted
    secret: Path | None = None  # file with the secret for taking tasks (isolation ``process`` only)
    largest_message: int | None = None  # bytes; a larger message is dropped while it is received
    settings: tuple[str, ...] = ()  # names of the settings that a peer may change in a run
