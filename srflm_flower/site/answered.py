"""The answers that a site gave in the open term, on disk: what a record may quote of this vendor.

A question that was answered is not answered a second time with other noise or from another start.

::

    answered/t<term>.jsonl    one line an answer, written before the answer leaves
"""

from __future__ import annotations

from pathlib import Path

from clients.files.durable import append_durably
from clients.files.lines import complete_lines
from strategies.errors import MessageRefused
from strategies.protocol.messages import EvaluateModels, Reply, Request, Train
from strategies.protocol.records import Ballot, Metrics, Noun, VendorPrivacy, canonical_json
from strategies.term.record_check import OwnPart

MOST_EVALUATIONS = 16
"""Evaluations of one kind for one server in a term.  One is enough; a server whose attempts fail
comes with other models each time."""


class _Training(Noun):
    """A training as a client: who had asked for it, and from which model (hash) it began."""

    server: str
    round: int
    start: str


class _Evaluation(Noun):
    """An evaluation of ``models`` (name → hash), and the metrics that were sent, by name."""

    server: str
    models: dict[str, str]
    split: str
    select: bool
    told: dict[str, Metrics]


class _Answered(Noun):
    """The part of one answer that a record can quote, and what it answered."""

    attempt: int = -1  # in files of older versions
    trained: bool = False
    training: _Training | None = None
    evaluation: _Evaluation | None = None
    ballot: Ballot | None = None
    metrics: tuple[Metrics, ...] = ()
    privacy: VendorPrivacy | None = None


class AnswersOnDisk:
    """A folder with one file for each open term."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, asked: Request, reply: Reply, trained: bool = False) -> None:
        """Note an answer durably; ``trained`` says that an update as a client goes with it."""
        envelope, training, evaluation = asked.envelope, None, None
        if trained and isinstance(asked, Train):
            training = _Training(server=envelope.server, round=asked.round, start=asked.model)
        if isinstance(asked, EvaluateModels):
            evaluation = _Evaluation(
                server=envelope.server,
                models=asked.models,
                split=asked.split,
                select=asked.select,
                told=reply.metrics,
            )
        answered = _Answered(
            attempt=envelope.attempt,
            trained=trained,
            training=training,
            evaluation=evaluation,
            ballot=reply.ballot,
            metrics=tuple(reply.metrics.values()),
            privacy=reply.privacy,
        )
        line = canonical_json(answered.model_dump(mode="json"))
        append_durably(self._path(envelope.term), line)

    def of(self, term: int, vendor: str) -> OwnPart:
        """Return everything that this ``vendor`` answered in ``term``."""
        found = self._all(term)
        return OwnPart(
            vendor,
            frozenset(each.attempt for each in found if each.trained),
            frozenset(each.attempt for each in found if any(each.metrics)),
            frozenset((each.attempt, each.training.round) for each in found if each.training),
            tuple(each.ballot for each in found if each.ballot is not None),
            tuple(metrics for each in found for metrics in each.metrics),
            tuple(each.privacy for each in found if each.privacy is not None),
        )

    def starts(self, asked: Train) -> set[str]:
        """Return the models (hashes) from which this site has trained for a server in a round."""
        given = (each.training for each in self._all(asked.envelope.term) if each.training)
        wanted = asked.envelope.server, asked.round
        return {each.start for each in given if (each.server, each.round) == wanted}

    def told(self, asked: EvaluateModels) -> dict[str, Metrics] | None:
        """Return the metrics that were sent when this was asked before, or None.

        Raises :class:`MessageRefused` if the server has asked too much in the term.
        """
        kind = asked.envelope.server, asked.split, asked.select
        answers = (each.evaluation for each in self._all(asked.envelope.term) if each.evaluation)
        given = [each for each in answers if (each.server, each.split, each.select) == kind]
        for each in given:
            if each.models == asked.models:
                return each.told
        if len({canonical_json(each.models) for each in given}) >= MOST_EVALUATIONS:
            raise MessageRefused(
                f"one more evaluation of other models for {asked.envelope.server!r} in one term",
                f"at most {MOST_EVALUATIONS}: each costs time, and privacy of the metrics",
                "look into the server that sent it",
                MessageRefused.PLAN,
            )
        return None

    def _all(self, term: int) -> list[_Answered]:
        lines = complete_lines(self._path(term))
        return [_Answered.model_validate_json(line) for line in lines]

    def forget_through(self, term: int) -> None:
        """Delete the answers of all terms up to this one."""
        for path in self._folder.glob("t*.jsonl"):
            if int(path.stem[1:]) <= term:
                path.unlink(missing_ok=True)

    def _path(self, term: int) -> Path:
        return self._folder / f"t{term:06}.jsonl"
