"""The folder of a run: the paths in it, and the locks of the programs that write to it.

::

    federation.toml        the resolved federation
    division.toml          a federation with further vendors, if the data is divided as among them
    ledger.jsonl           one term record a line
    models/                global.safetensors and <vendor>.safetensors
    report.html, summary.json
    cases.html             pictures of patients, where the report must not have them
    events.jsonl           the events of the run, in order
    privacy-ledger         the path of the data owner's privacy ledger, if uses count there
    state/                 state for resuming the run (sites, the server with its own ledger)
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from clients.data.plan import DataPlan
from clients.files.durable import not_writable, sweep_temporaries, write_durably
from clients.files.locks import AlreadyLocked, locked
from clients.privacy.ledger.ledger import LEDGER_FILE, PrivacyLedger
from clients.privacy.ledger.place import LedgerPlace, owners_ledger
from srflm_flower.federation.federation import Federation
from srflm_flower.federation.loading import load_federation
from srflm_flower.privacy.own_data import is_own_data
from srflm_flower.results.summary import RunSummary
from strategies.errors import PrivacyError, RunFolderError

ELSEWHERE = "free space, or choose another folder with --out"


@dataclass(frozen=True)
class RunFolder:
    """Paths in a run's folder."""

    path: Path

    @property
    def federation_file(self) -> Path:
        """The resolved federation."""
        return self.path / "federation.toml"

    @property
    def division(self) -> Path:
        """The federation whose division of the data the run uses, if it is another one."""
        return self.path / "division.toml"

    @property
    def ledger(self) -> Path:
        """The committed term records."""
        return self.path / "ledger.jsonl"

    @property
    def models(self) -> Path:
        """The released global model and the vendors' personalised ones."""
        return self.path / "models"

    @property
    def global_model(self) -> Path:
        """The released global model."""
        return self.models / "global.safetensors"

    @property
    def events(self) -> Path:
        """The events of the run, one JSON object a line."""
        return self.path / "events.jsonl"

    @property
    def summary(self) -> Path:
        """The summary: status, metrics, and a sentence on how the run ended."""
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        """The report for people."""
        return self.path / "report.html"

    @property
    def cases(self) -> Path:
        """The pictures of own or private data, apart from the report, which may be handed on."""
        return self.path / "cases.html"

    @property
    def server(self) -> Path:
        """The state of the process that conducts the run."""
        return self.path / "state" / "server"

    @property
    def server_ledger(self) -> Path:
        """The server's own ledger, with its proposals in the open term."""
        return self.server / "ledger.sqlite"

    @property
    def server_store(self) -> Path:
        """The server's models by hash: the ledger's head and the proposal's."""
        return self.server / "models"

    @property
    def site_store(self) -> Path:
        """The simulated sites' models by hash; all sites share one copy of equal models."""
        return self.path / "state" / "models"

    def site(self, vendor: str) -> Path:
        """The state folder of a simulated site."""
        return self.path / "state" / "sites" / vendor

    @property
    def owners_ledger(self) -> Path:
        """The note of the ledger in which the data's owner counts all uses."""
        return self.path / "privacy-ledger"

    def privacy_ledger(self, vendor: str) -> PrivacyLedger:
        """The privacy ledger of a simulated site: the owner's, if the run has noted that."""
        if self.owners_ledger.exists():
            return owners_ledger(Path(self.owners_ledger.read_text(encoding="utf-8"))).open()
        # Outside of the site's folder, so that an old copy of the folder does not match it.
        anchor = self.path / "state" / "anchors" / f"{vendor}.anchor"
        return LedgerPlace(self.site(vendor) / LEDGER_FILE, anchor).open()

    def require_counted(self, federation: Federation) -> None:
        """Raise :class:`PrivacyError` for private training on own data that its owner cannot count.

        So are runs of older versions, and those of a comparison.
        """
        if counts_for_owner(federation) and not self.owners_ledger.exists():
            raise PrivacyError(
                f"{self.path}, a run that keeps privacy ledgers of its own",
                "a run whose uses of the data count in the one ledger of their owner",
                "start a new run; what this one has spent is not in that ledger",
                PrivacyError.LEDGER_MISSING,
            )

    def federation(self) -> Federation:
        """Return the run's federation."""
        return load_federation(self.federation_file)

    def read_summary(self) -> RunSummary | None:
        """Return the summary, or None of a run that has written none yet.

        Raises :class:`RunFolderError` for one that cannot be read.
        """
        try:
            return RunSummary.model_validate_json(self.summary.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:  # pydantic's error is a ValueError
            raise RunFolderError(
                f"{self.summary}, which cannot be read as a summary",
                "the summary that this version has written",
                f"resume the run, which writes it again: `srflm simulate --resume {self.path}`",
                RunFolderError.NOT_A_RUN,
            ) from error

    def data_plan(self) -> DataPlan:
        """Return the settings that determine the data of the run's vendors."""
        divided = self.division if self.division.exists() else self.federation_file
        return load_federation(divided).data_plan()

    @contextmanager
    def launched(self) -> Iterator[None]:
        """Hold the folder for the program that starts Flower, from before the start to the end.

        Raises :class:`RunFolderError` when another program holds it.
        """
        # Not the lock below, which the process that Flower starts has to take.
        with _held(self.path / "launcher.lock"):
            yield

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for the process that conducts the run; delete a crash's temporary files.

        Raises :class:`RunFolderError` when another process holds it.
        """
        with _held(self.path / "lock"):
            sweep_temporaries(self.path)
            yield


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold the lock ``path``; raises :class:`RunFolderError` when another process holds it."""
    try:
        with locked(path):
            yield
    except AlreadyLocked as error:
        raise _busy(path.parent, error.holder) from error


def _busy(folder: Path, holder: str) -> RunFolderError:
    return RunFolderError(
        f"another run (process {holder}) writes to {folder}",
        "a folder of its own for every run",
        "wait until it ends, or choose another folder with --out",
        RunFolderError.BUSY,
    )


def counts_for_owner(federation: Federation) -> bool:
    """Return whether uses of the federation's data count in the ledger of the data's owner."""
    return federation.privacy.private and is_own_data(federation)


def create_run_folder(
    federation: Federation, out: Path | None, base: Path, alone: bool = False
) -> RunFolder:
    """Make ``out``, or a new ``<base>/<time>-<name>``, with the resolved federation in it.

    A run ``alone`` keeps its privacy ledgers in its folder; its models must not be given away.
    Raises :class:`RunFolderError` when ``out`` holds a run already or cannot be written.
    """
    try:
        folder = _taken(out.resolve()) if out is not None else _first_free(base, federation.name)
    except OSError as error:
        raise not_writable(out or base, error, ELSEWHERE) from error
    try:
        if counts_for_owner(federation) and not alone:  # first: without it the run cannot go on
            write_durably(folder.owners_ledger, str(owners_ledger().path).encode())
        write_durably(folder.federation_file, federation.to_toml().encode())
    except RunFolderError as error:  # its advice is to resume the run, but there is none yet
        raise RunFolderError(error.found, error.expected, ELSEWHERE, error.code) from error
    return folder


def open_run_folder(path: Path) -> RunFolder:
    """Return the folder of an existing run.

    Raises :class:`RunFolderError` if ``path`` has no federation file.
    """
    folder = RunFolder(path.resolve())
    if not folder.federation_file.is_file():
        raise RunFolderError(
            f"{folder.path} has no federation.toml",
            "the folder of a run, as `srflm simulate` prints it",
            "correct the path; runs lie in the folder `runs`",
            RunFolderError.NOT_A_RUN,
        )
    return folder


def _taken(path: Path) -> RunFolder:
    folder = RunFolder(path)
    if folder.ledger.exists() or folder.federation_file.exists():
        raise RunFolderError(
            f"{path} holds a run already",
            "a new folder",
            f"resume it with `srflm simulate --resume {path}`, or choose another --out",
            RunFolderError.BUSY,
        )
    path.mkdir(parents=True, exist_ok=True)
    return folder


def _first_free(base: Path, name: str) -> RunFolder:
    """Make a new folder named after time and federation, with a number if the name is taken."""
    wanted = base.resolve() / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    wanted.parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1000):
        path = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        with suppress(FileExistsError):
            path.mkdir()  # fails for all but one of the runs that start in the same second
            return RunFolder(path)
    raise OSError(errno.EEXIST, "no free name")
