"""The answers that a site gave in the open term, on disk: what a record may quote of this vendor.

::

    answered/t<term>.jsonl    one line an answer, written before the answer leaves
"""

from __future__ import annotations

from pathlib import Path

from clients.files.durable import append_durably
from clients.files.lines import complete_lines
from strategies.protocol.messages import Envelope, Reply
from strategies.protocol.records import Ballot, Metrics, Noun, VendorPrivacy, canonical_json
from strategies.term.record_check import OwnPart


class _Answered(Noun):
    """The part of one answer that a record can quote."""

    attempt: int = -1  # in files of older versions
    trained: bool = False
    ballot: Ballot | None = None
    metrics: tuple[Metrics, ...] = ()
    privacy: VendorPrivacy | None = None


class AnswersOnDisk:
    """A folder with one file for each open term."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, asked: Envelope, reply: Reply, trained: bool = False) -> None:
        """Note an answer durably; ``trained`` says that an update as a client goes with it."""
        answered = _Answered(
            attempt=asked.attempt,
            trained=trained,
            ballot=reply.ballot,
            metrics=tuple(reply.metrics.values()),
            privacy=reply.privacy,
        )
        append_durably(self._path(asked.term), canonical_json(answered.model_dump(mode="json")))

    def of(self, term: int, vendor: str) -> OwnPart:
        """Return everything that this ``vendor`` answered in ``term``."""
        lines = complete_lines(self._path(term))
        found = [_Answered.model_validate_json(line) for line in lines]
        return OwnPart(
            vendor,
            frozenset(each.attempt for each in found if each.trained),
            frozenset(each.attempt for each in found if any(each.metrics)),
            tuple(each.ballot for each in found if each.ballot is not None),
            tuple(metrics for each in found for metrics in each.metrics),
            tuple(each.privacy for each in found if each.privacy is not None),
        )

    def forget_through(self, term: int) -> None:
        """Delete the answers of all terms up to this one."""
        for path in self._folder.glob("t*.jsonl"):
            if int(path.stem[1:]) <= term:
                path.unlink(missing_ok=True)

    def _path(self, term: int) -> Path:
        return self._folder / f"t{term:06}.jsonl"
