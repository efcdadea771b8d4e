"""The federation's nouns: ballots, metrics, and the chained term records.  Plain data only.

A **term record** is the outcome of one term.  Its hash covers everything in it and the hash of
its parent, so that a ledger is a chain of which every site can verify every link.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from strategies.protocol.bounds import MAX_NUMBER, ByName, Count, History, Many, Ordinal
from strategies.settings import Role

Quorum = Literal["majority", "byzantine"]
"""How many vendors decide: a majority, or so many that a third less one may lie."""

Metrics = ByName[float]
"""Metric name → value; metrics that are undefined on the data at hand are left out."""


class Noun(BaseModel):
    """A frozen value whose fields are all known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Ballot(Noun):
    """What a vendor reports for the election.

    ``examples`` is n_v, its number of training examples; ``loss`` is L_v, its mean training loss
    over the work of this term (docs/explanation/method.md, steps 1 and 3).
    """

    examples: Ordinal
    loss: float


class Absence(Noun):
    """A vendor that took no part in a phase, and why (an error code, never a text).

    A vendor that has failed or refused signs this itself; nobody can sign that it did not answer.
    """

    vendor: str
    phase: str
    code: str
    attempt: Count = 0
    signature: str | None = None


class VendorMetrics(Noun):
    """One vendor's metrics on its own validation split for the term's models."""

    averaged: Metrics = {}
    finetuned: Metrics = {}
    personalised: Metrics = {}


class VendorPrivacy(Noun):
    """What the agreed plan has cost one vendor's training records, and what it leaves room for.

    ε at ``delta`` for one record or patient added or removed, over all rounds and both roles of
    this federation.  The site's own ledger may know of more, and tells it at home only.
    """

    epsilon: float = Field(ge=0)
    delta: float = Field(gt=0, lt=1)
    can_serve: bool
    can_train: bool


class SignedWork(Noun):
    """A vendor's ballot and gradient steps in one round and role, signed by this vendor."""

    round: Ordinal
    role: Role
    ballot: Ballot
    steps: Count
    signature: str


class SignedEvaluation(Noun):
    """A vendor's signature of its metrics in the record, and of its ``privacy`` if it told it.

    ``averaged`` says whether it was asked about the averaged model, too.
    """

    averaged: bool
    privacy: bool
    signature: str


class SignedAnswers(Noun):
    """The signatures of one vendor on the figures that a record quotes of it."""

    work: Many[SignedWork] = ()
    evaluation: SignedEvaluation | None = None


class PhaseCost(Noun):
    """What a phase of a term took: wall-clock seconds and payload bytes as the server saw them."""

    seconds: float = 0.0
    bytes_sent: Count = 0
    bytes_received: Count = 0


class Edition(Noun):
    """The roster that votes under one edition of the federation file."""

    federation: str = Field(description="Identity (SHA-256) of the edition's federation file.")
    roster: Many[str] = Field(
        min_length=2, description="The vendors that vote, in the edition's order."
    )
    keys: Many[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(
        default=(),
        description="Their Ed25519 public keys in the same order; empty in a simulation.",
    )

    byzantine: Literal[True] | None = Field(
        default=None,
        description='Set if the file has `protocol.quorum = "byzantine"`.',
    )

    guarded: Literal[True] | None = Field(
        default=None, description="Set if the file has `aggregation.guard`."
    )

    @property
    def quorum(self) -> Quorum:
        """How many of the roster decide."""
        return "byzantine" if self.byzantine else "majority"

    @model_validator(mode="after")
    def _one_key_each(self) -> Edition:
        if len({*self.roster}) < len(self.roster) or len(self.keys) not in (0, len(self.roster)):
            raise ValueError("expected different vendors with a key each")
        return self


class Approval(Noun):
    """A vendor's consent that ``edition`` shall follow the edition whose hash is ``previous``."""

    vendor: str
    previous: str
    edition: Edition
    signature: str = ""


class RosterChange(Noun):
    """The edition that holds from the next term on, and who has approved it, with signatures."""

    edition: Edition
    approvals: ByName[str]


class Recovery(Noun):
    """The members that go on after the quorum was lost for good, signed by all of them.

    ``edition`` decides from the term after the record with the hash ``head``, which is of ``term``;
    ``previous`` is the hash of the edition in force until then.
    """

    previous: str
    term: Ordinal
    head: str
    edition: Edition
    signatures: ByName[str] = {}


class TermRecord(Noun):
    """The outcome of one term: who served, who contributed, the new model, and who is next.

    ``ranking`` is the succession for the *next* term: its first vendor is elected, the rest
    stand in for it in this order.  ``round`` counts SRFLM rounds, the last one of this term.
    ``clients`` are the vendors whose updates were averaged, with the server's own last one if
    ``stale_server``.  ``privacy`` is what vendors have last reported of theirs; ``ended`` says why
    no further term can follow.  With a ``roster_change`` another edition of the federation file
    decides from the next term on, and ``ranking`` is an order of its roster.  ``signed`` has the
    vendors' own signatures (:mod:`strategies.protocol.signed_answers`).  The first record after a
    ``recovery`` carries it, and is decided by the recovery's edition.
    """

    schema_version: Literal[1] = 1
    federation: str
    term: Ordinal
    attempt: Count
    server: str
    round: Ordinal
    clients: Many[str]
    stale_server: bool
    ballots: ByName[Ballot]
    ranking: Many[str]
    absences: History[Absence] = ()
    learning_rate: float
    steps: ByName[Count]
    averaged_model: str
    model: str
    metrics: ByName[VendorMetrics]
    privacy: ByName[VendorPrivacy] = {}
    ended: str = ""
    cost: ByName[PhaseCost]
    parent: str
    roster_change: RosterChange | None = None
    signed: ByName[SignedAnswers] | None = None
    recovery: Recovery | None = None

    @property
    def next_federation(self) -> str:
        """The hash of the federation file that holds in the next term."""
        change = self.roster_change
        return change.edition.federation if change is not None else self.federation

    @property
    def lost_servers(self) -> tuple[str, ...]:
        """The vendors that were elected before ``server`` and failed, in order."""
        return lost_servers(self.absences, self.attempt)

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the record's canonical JSON without the fields that are not set."""
        plain = self.model_dump(mode="json", exclude_none=True)
        return hashlib.sha256(canonical_json(plain)).hexdigest()


class Grant(Noun):
    """A vendor's promise to obey no server below ``attempt``, with what it has accepted before.

    ``accepted`` is the hash of the record accepted under ``accepted_attempt``, or empty.
    """

    vendor: str
    attempt: Count
    accepted_attempt: int = Field(default=-1, ge=-1, le=MAX_NUMBER)
    accepted: str = ""
    signature: str = ""


class Proposal(Noun):
    """A term record that a server proposes, signed by the server that made it.

    ``proof`` says why it may be proposed (:mod:`strategies.protocol.proof`): the grants for the
    attempt, then those for the attempt under which it was accepted before, and so on.
    """

    record: TermRecord
    signature: str = ""
    proof: Many[Many[Grant]] = ()


class LogAnchor(Noun):
    """A site's message log at one moment: the number of its lines and the hash of the last one."""

    lines: int = Field(ge=0, le=MAX_NUMBER)
    head: str = Field(pattern=r"^[0-9a-f]{64}$")


class Certificate(Noun):
    """Why a record counts as committed: who accepted it under ``attempt``, with signatures.

    ``proposal`` is the signature of the server that made the record.  ``logs`` are the message logs
    for which the vendors have signed together with their acceptances; sites of older versions, and
    those of a simulation, have signed for none.
    """

    attempt: Count
    proposal: str = ""
    acceptances: ByName[str]
    logs: ByName[LogAnchor] = {}


class Committed(Noun):
    """A committed term record and its certificate: what a ledger is made of."""

    record: TermRecord
    certificate: Certificate


class RunOrder(Noun):
    """An order to run terms until ``rounds`` SRFLM rounds are committed.  The highest number holds.

    ``rounds`` below what is committed, or what will be after the open term, ends the run.
    """

    number: Ordinal
    federation: str
    rounds: Count
    vendor: str
    signature: str = ""


def canonical_json(value: object) -> bytes:
    """Encode plain data as JSON that is the same for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def lost_servers(absences: Iterable[Absence], attempt: int) -> tuple[str, ...]:
    """Return who failed as server before ``attempt``; of an attempt that failed, nothing else is
    kept.
    """
    return tuple(absence.vendor for absence in absences if absence.attempt < attempt)


def liars_withstood(vendors: int, quorum: Quorum) -> int:
    """Return f, the number of lying vendors despite whom no two records of a term are committed."""
    return (vendors - 1) // 3 if quorum == "byzantine" else 0


def quorum_size(vendors: int, quorum: Quorum) -> int:
    """Return how many of the vendors decide: any two groups of that size share f + 1."""
    # ⌈(N + f + 1) / 2⌉: of f + 1 vendors one is honest.  Without liars it is a majority.
    return (vendors + liars_withstood(vendors, quorum)) // 2 + 1


def majority(vendors: int) -> int:
    """Return the smallest number of vendors of which any two groups share one."""
    return quorum_size(vendors, "majority")
