"""What the looks find: plain data, with which the rules are tested alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from strategies.coded_error import SrflmError
from strategies.settings import Role

Stage = Literal["name", "reach", "identity", "accept", "done"]
"""Where a contact with a peer has ended."""


@dataclass(frozen=True)
class FileFacts:
    """The site's files on the disk.

    ``user`` and ``owners`` are numbers of users.  ``open_keys`` and ``open_folders`` are names that
    others can read, ``unwritable`` those of folders.
    """

    user: int
    owners: frozenset[int]
    open_keys: tuple[str, ...] = ()
    open_folders: tuple[str, ...] = ()
    unwritable: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunningFacts:
    """What runs of a site; ``ended`` are programs of a site that is up that do not run.

    ``strays`` counts programs without a supervisor; ``notes_left`` says that an earlier supervisor
    was killed; ``restores`` are folders of a broken restore.
    """

    up: bool
    ended: tuple[str, ...] = ()
    strays: int = 0
    notes_left: bool = False
    restores: tuple[str, ...] = ()


@dataclass(frozen=True)
class CertificateFacts:
    """One certificate; ``fault`` is what is wrong with its key, issuer or owner."""

    name: str
    starts: datetime | None = None
    ends: datetime | None = None
    fault: SrflmError | None = None
    renewal: str = ""
    hosts: tuple[str, ...] = ()
    """The host names and addresses that it names, as text in lower case."""


@dataclass(frozen=True)
class VersionFacts:
    """Installed code; ``unfit`` says which packages are not as the project asks for.

    ``bundle`` and ``agreed`` are hashes; ``nginx`` is what ``nginx -V`` prints, None without one.
    """

    bundle: str
    agreed: tuple[str, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    unfit: tuple[str, ...] = ()
    nginx: str | None = None


@dataclass(frozen=True)
class Need:
    """Bytes that a training step takes: the ``least`` that it can, and what is ``likely``."""

    least: int
    likely: int


@dataclass(frozen=True)
class MachineFacts:
    """The machine; sizes are bytes.  ``model`` is that of a model as it is sent.

    ``needs`` is None where the network could not be tried.  ``device`` is the kind that training
    takes, ``named`` the one that site.toml names.
    """

    free_disk: int
    free_files: int | None
    model: int
    memory: int
    free_memory: int
    needs: Need | None
    named: str
    device: str | None
    gpu: tuple[int, int] | None = None
    """Free and all bytes of the GPU that training takes."""
    up: bool = False
    threads: int | None = None
    cores: int = 1


@dataclass(frozen=True)
class PortFacts:
    """The site's own ports; ``refusal`` says why nothing can listen, None if something can.

    ``answers`` is whether a site that is up shows the agreed key on its own port.
    """

    listen: str
    up: bool
    refusal: str | None = None
    answers: bool | None = None
    local_taken: bool = False


@dataclass(frozen=True)
class AddressFacts:
    """The agreed addresses by vendor, and to what the own one resolves here."""

    vendor: str
    listen: str
    agreed: Mapping[str, str]
    resolved: tuple[str, ...] = ()


@dataclass(frozen=True)
class PeerFacts:
    """One contact with a peer; ``why`` is a short reason of our own words if it ended early.

    ``ahead`` is the seconds by which its clock is ahead, ``speed`` bytes per second.
    """

    peer: str
    address: str
    stage: Stage
    why: str = ""
    ahead: float | None = None
    round_trip: float | None = None
    speed: float | None = None


@dataclass(frozen=True)
class DataFacts:
    """This site's own data.  ``named_in`` is the file that names it, empty if none does.

    ``counts`` are records by split, ``classes`` training records by class; both are empty for data
    that were not read.  ``findings`` counts those of ``srflm data check`` by severity.
    """

    source: str
    named_in: str = ""
    path: str = ""
    present: bool = False
    readable: bool = False
    size: int = 0
    was_read: bool = False
    problem: SrflmError | None = None
    counts: Mapping[Literal["train", "validation", "test"], int] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    findings: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PrivacyFacts:
    """The privacy of this site's records.

    ``refused`` are roles that the site's own policy refuses, with its reason.  ``spent`` is ε so
    far, ``next`` with one more round, ``planned`` with all planned ones.  ``limit`` is the
    budget, None in a federation without differential privacy.
    """

    refused: Mapping[Role, str]
    problem: SrflmError | None
    limit: float | None
    spent: float = 0.0
    next: float = 0.0
    planned: float = 0.0
    rounds: int = 0
