"""Signed votes as anybody can check them, and two of them that show that a vendor lies."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from strategies.protocol.bounds import Count, Ordinal
from strategies.protocol.records import (
    Grant,
    LogAnchor,
    Noun,
    Proposal,
    SignedWork,
    TermRecord,
)

Kind = Literal["record", "acceptance", "grant", "ballot"]


class Acceptance(Noun):
    """A vendor's acceptance of ``record`` under ``attempt``, with its signature.

    ``log`` is the message log for which it has signed at the same time.
    """

    record: TermRecord
    attempt: Count
    signature: str
    log: LogAnchor | None = None


class ClientWork(Noun):
    """A client's signed ballot under ``attempt``, whose ``server`` had asked for the training."""

    attempt: Count
    server: str
    told: SignedWork


class Said(Noun):
    """One thing that a vendor has signed in a term: exactly one of the fields is set.

    ``record`` is a record that it made as a server, without proof.
    """

    record: Proposal | None = None
    acceptance: Acceptance | None = None
    grant: Grant | None = None
    ballot: ClientWork | None = None

    @model_validator(mode="after")
    def _one(self) -> Said:
        if sum(getattr(self, name) is not None for name in Said.model_fields) != 1:
            raise ValueError("expected exactly one of record, acceptance, grant, and ballot")
        return self

    @property
    def kind(self) -> Kind:
        """The field that is set."""
        kinds: tuple[Kind, ...] = ("record", "acceptance", "grant", "ballot")
        return next((each for each in kinds if getattr(self, each) is not None), "record")


class Evidence(Noun):
    """Two signatures of ``vendor`` in one term that no honest site gives.

    ``federation`` is the hash of the edition that decides the term.
    """

    vendor: str
    federation: str
    term: Ordinal
    one: Said
    other: Said

    @property
    def is_of_votes(self) -> bool:
        """Whether the votes on a record are concerned; else the ballots of one training are."""
        # A site that has lost its disk trains once more, and signs another ballot: no harm is done.
        return "ballot" not in (self.one.kind, self.other.kind)

    def __str__(self) -> str:
        what = sorted({self.one.kind, self.other.kind})
        pair = f"two {what[0]}s" if len(what) == 1 else f"a {what[0]} and a {what[1]}"
        return f"{self.vendor} has signed {pair} in term {self.term} that contradict each other"
