"""The state of a vendor's site on disk: its ledger, its updates, its personalised model.

::

    ledger.sqlite                    term records, votes, proposals, run orders
    updates/t<term>-r<round>.safetensors   updates as a client, to be sent again on request
    updates/finetuned.safetensors    the latest model that it fine-tuned as the server
    updates/unfinished-<role>.pt     checkpoint of the last epoch of an interrupted training
    best.safetensors                 its personalised model
    own.safetensors                  the model that it trains alone
    fine-tuned.json                  the released model that it has trained on at home
    best-measured.json               how the best model so far was measured
    best.lock                        held while these two change
    average.safetensors              the moving average of the global models it has seen
    local-average.safetensors        the moving average of its own models
    secure/                          secrets of secure aggregation in the open term
    site.log                         errors in full; they never leave the site
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from clients.files.checkpoint import Checkpoint
from clients.files.durable import append_durably, write_durably
from clients.files.locks import locked
from clients.files.rotation import rotate_if_large
from clients.models.model_file import ModelFile, marked, read_model_file
from clients.models.moving_average import AverageFile
from clients.settings import ModelSettings
from clients.tasks.settings import TaskSettings
from srflm_flower.results.choosing import Candidate, is_better, replaces
from srflm_flower.site.answered import AnswersOnDisk
from srflm_flower.site.ledger import TermLedger
from srflm_flower.site.secure_aggregation.secrets_on_disk import SecretsOnDisk
from strategies.protocol.records import Ballot, Metrics
from strategies.weights import Weights


class UpdateNotes(BaseModel):
    """The work that led to an update (``start`` is the start model's hash), and its ballot.

    ``server`` is the vendor that asked for it, and ``attempt`` the attempt at the term; empty and 0
    in files of older versions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    term: int
    round: int
    start: str
    ballot: Ballot
    steps: int
    server: str = ""
    attempt: int = 0


@dataclass(frozen=True)
class Best:
    """A vendor's personalised model, as it was chosen and measured on its own validation data.

    ``noiseless`` marks the one model of a private federation that no ε covers.
    """

    weights: Weights
    measured: Candidate
    term: int
    origin: str
    noiseless: bool = False

    @property
    def metrics(self) -> Metrics:
        """Its metrics on the vendor's validation data."""
        return self.measured.metrics


class SiteState:
    """A vendor's folder; every write is durable before it returns.

    ``starts`` is a deployed site's file with the number of its starts.
    """

    def __init__(
        self,
        folder: Path,
        federation: str,
        model: ModelSettings,
        task: TaskSettings,
        starts: Path | None = None,
    ) -> None:
        self._folder, self._model, self._task = folder, model, task
        self.ledger = TermLedger(folder / "ledger.sqlite", federation, starts)
        self.secure_notes = SecretsOnDisk(folder / "secure")
        self.answered = AnswersOnDisk(folder / "answered")
        self.average = AverageFile(folder / "average.safetensors", model, task)
        self.local_average = AverageFile(folder / "local-average.safetensors", model, task)

    # ---- updates -----------------------------------------------------------------------------

    def checkpoint(self, role: str, key: str) -> Checkpoint:
        """Return the checkpoint for unfinished work in a role; ``key`` identifies the work."""
        return Checkpoint(self._folder / "updates" / f"unfinished-{role}.pt", key)

    @contextmanager
    def training(self) -> Iterator[None]:
        """Hold the site's training lock; wait while another process of this site trains."""
        # Otherwise two requests for the same work would both train, and spend ε twice.
        with locked(self._folder / "training.lock", wait=True):
            yield

    def store_update(self, weights: Weights, notes: UpdateNotes) -> None:
        """Store a client update, so that a repeated request needs no second training."""
        file = ModelFile(self._model, self._task, weights, notes.model_dump(mode="json"))
        file.write(self._update_path(notes.term, notes.round))

    def update(self, term: int, round_number: int) -> tuple[Weights, UpdateNotes] | None:
        """Return the update of ``term`` and ``round_number`` if there is one."""
        path = self._update_path(term, round_number)
        return self._read_update(path) if path.exists() else None

    def store_finetuned(self, weights: Weights, notes: UpdateNotes) -> None:
        """Store the model that this vendor has fine-tuned as the server; replaces the last one."""
        file = ModelFile(self._model, self._task, weights, notes.model_dump(mode="json"))
        file.write(self._finetuned_path)

    def finetuned(self) -> tuple[Weights, UpdateNotes] | None:
        """Return the model that this vendor last fine-tuned as the server."""
        path = self._finetuned_path
        return self._read_update(path) if path.exists() else None

    def newest_training(self) -> Weights | None:
        """Return the model that this vendor trained last, in either role."""
        found = [each for each in (self.last_update(), self.finetuned()) if each is not None]

        def when(each: tuple[Weights, UpdateNotes]) -> tuple[int, int, int]:
            return each[1].term, each[1].round, each[1].attempt

        # Under one attempt a vendor has one role.  One that serves after it has trained, or trains
        # after it was replaced as the server, does so under a later attempt; files of older
        # versions have none, and there fine-tuning counts as the later.
        newest = max(reversed(found), key=when, default=None)
        return newest[0] if newest is not None else None

    @property
    def _finetuned_path(self) -> Path:
        return self._folder / "updates" / "finetuned.safetensors"

    def last_update(self) -> tuple[Weights, UpdateNotes] | None:
        """Return the latest update that this vendor made as a client."""
        # The numbers in the names are padded with zeros, so their order is that of the terms.
        paths = sorted((self._folder / "updates").glob("t*.safetensors"))
        return self._read_update(paths[-1]) if paths else None

    def forget_updates(self) -> None:
        """Delete all updates but the latest."""
        for path in sorted((self._folder / "updates").glob("t*.safetensors"))[:-1]:
            path.unlink(missing_ok=True)

    def _update_path(self, term: int, round_number: int) -> Path:
        return self._folder / "updates" / f"t{term:06}-r{round_number:06}.safetensors"

    @staticmethod
    def _read_update(path: Path) -> tuple[Weights, UpdateNotes]:
        file = read_model_file(path)
        return file.weights, UpdateNotes.model_validate(file.notes)

    # ---- the personalised model ----------------------------------------------------------------

    def best(self) -> Best | None:
        """Return the personalised model, if there is one."""
        path = self._folder / "best.safetensors"
        if not path.exists():
            return None
        file = read_model_file(path)
        notes = file.notes
        found = file.weights, _candidate_in(notes), notes["term"], notes["origin"]
        return Best(*found, file.without_noise)

    def keep_if_chosen(self, candidate: Best, metric: str, errors: float) -> Best:
        """Store ``candidate`` if it replaces the stored model; return the model now stored.

        ``metric`` and ``errors`` decide, as in :func:`srflm_flower.results.choosing.replaces`.
        """
        # Two answers at once must not each overwrite a better model of the other.
        with locked(self._folder / "best.lock", wait=True):
            kept, new = self.best(), candidate.measured
            best = self._best_measured(new, metric)
            if kept is not None and not replaces(new, kept.measured, best, metric, errors):
                return kept
            origin = {"term": candidate.term, "origin": candidate.origin}
            notes = {**_notes_of(new), **origin, **marked(candidate.noiseless)}
            file = ModelFile(self._model, self._task, candidate.weights, notes)
            file.write(self._folder / "best.safetensors")
            return candidate

    def _best_measured(self, new: Candidate, metric: str) -> Candidate:
        """Return the measurement of the best model so far, ``new`` among them, and keep it."""
        path = self._folder / "best-measured.json"
        if path.exists():
            best = _candidate_in(json.loads(path.read_bytes()))
            # Of other patients, as after new data, it says nothing.
            if len(best.scores) == len(new.scores) and not is_better(
                new.metrics, best.metrics, metric
            ):
                return best
        write_durably(path, json.dumps(_notes_of(new)).encode())
        return new

    def own_model(self) -> tuple[Weights, int] | None:
        """Return the model that the vendor trains alone, and the last term that it includes."""
        path = self._folder / "own.safetensors"
        if not path.exists():
            return None
        file = read_model_file(path)
        return file.weights, int(file.notes["term"])

    def keep_own_model(self, weights: Weights, term: int, noiseless: bool) -> None:
        """Store the model that the vendor trains alone, ``noiseless`` in a private federation."""
        notes = {"term": term, **marked(noiseless)}
        file = ModelFile(self._model, self._task, weights, notes)
        file.write(self._folder / "own.safetensors")

    def fine_tuned_from(self) -> str:
        """Return the hash of the released model that was last trained on at home, or ""."""
        path = self._folder / "fine-tuned.json"
        return str(json.loads(path.read_bytes())["start"]) if path.exists() else ""

    def note_fine_tuned(self, start: str) -> None:
        """Note the hash of the released model that has been trained on at home."""
        write_durably(self._folder / "fine-tuned.json", json.dumps({"start": start}).encode())

    # ---- the open term -------------------------------------------------------------------------

    def highest_attempt(self) -> int:
        """Return the highest attempt at the next term that the site has granted, 0 for none."""
        return max(0, self.ledger.votes(len(self.ledger) + 1).granted)

    # ---- the site's own log --------------------------------------------------------------------

    def log(self, text: str) -> None:
        """Append to the site's own log, with the time; it is rotated when it has grown large."""
        path, now = self._folder / "site.log", time.strftime("%Y-%m-%dT%H:%M:%S%z")
        append_durably(path, f"{now} {text}".encode())
        with suppress(OSError):  # the text is written, and a large log does no harm
            rotate_if_large(path)


def _notes_of(measured: Candidate) -> dict[str, Any]:
    return {
        "metrics": measured.metrics,
        # Six digits are plenty, and a model file's header must not grow with every record.
        "scores": [round(score, 6) for score in measured.scores],
        "at-home": measured.at_home,
    }


def _candidate_in(notes: Mapping[str, Any]) -> Candidate:
    scores = tuple(notes.get("scores", ()))  # older versions kept none
    return Candidate(notes["metrics"], scores, notes.get("at-home", False))
