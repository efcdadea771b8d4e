"""The typed messages of a term: the requests of each phase and the sites' replies.

Every message is one Flower ``RecordDict``: one of the nouns below as JSON, and the attached models
as safetensors bytes under their hashes.  docs/explanation/term.md has the table of phases.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from pydantic import Field

from strategies.errors import MessageRefused
from strategies.protocol.bounds import ByName, Count, History, Many, Ordinal
from strategies.protocol.evidence_nouns import Evidence
from strategies.protocol.memory import NOUN, PARTS
from strategies.protocol.records import (
    Approval,
    Ballot,
    Committed,
    Grant,
    LogAnchor,
    Metrics,
    Noun,
    Proposal,
    RunOrder,
    VendorPrivacy,
)
from strategies.protocol.secure_nouns import KeyCard
from strategies.weights import Model

OPEN = "query.open"
TRAIN = "train.local"
RECALL = "train.recall"
FINETUNE = "train.finetune"
EVALUATE = "evaluate.models"
ACCEPT = "query.accept"
COMMIT = "query.commit"
RECORDS = "query.records"
MODEL = "query.model"
VOTES = "query.votes"
ORDER = "query.order"
SHARE = "query.personalised"
KINDS = OPEN, TRAIN, RECALL, FINETUNE, EVALUATE, ACCEPT, COMMIT, RECORDS, MODEL, VOTES, ORDER, SHARE

_MODELS = "model:"
_BLOCK = "safetensors"
_SMALL_BYTES = 2**20
"""A model up to this size, in bytes, is sent in the same record as the noun."""


class Envelope(Noun):
    """The federation, term, attempt, and server of a message; a site refuses it if they differ.

    The comparison with the site's own view is :mod:`strategies.protocol.admission`.
    """

    federation: str
    term: Count
    attempt: Count
    server: str


class Request(Noun):
    """The fields that all requests share."""

    envelope: Envelope


class OpenAttempt(Request):
    """Phase 1: the server opens a term on top of ``parent`` and its ``model``.

    With an attempt above 0 it asks for the site's vote.  ``order`` is the run order that the server
    follows, for sites that have missed it.
    """

    parent: str
    model: str
    order: RunOrder | None = None


class Train(Request):
    """Phases 2 and 3: train ``model`` on the site's own data, in ``round`` of the agreed plan.

    The site's own plan has learning rate and epochs.  Only a comparison counts work in ``steps``.
    """

    round: Ordinal
    model: str
    steps: Count | None = None


class RecallUpdate(Request):
    """Phase 2, to the server's own node: send the last update that this vendor made as a client.

    With ``or_initial``, a vendor that has never been a client sends the initial weights.
    """

    round: Ordinal
    or_initial: bool


class EvaluateModels(Request):
    """Phase 4: evaluate models (name → hash) on one of the site's splits.

    With ``select``, the models are candidates for the site's personalised model, and the reply also
    has the metrics of that model, under the name ``personalised``.
    """

    models: ByName[str]
    split: Literal["validation", "test"] = "validation"
    select: bool = True


class Accept(Request):
    """Phase 5, first half: store the proposed record and its model."""

    proposal: Proposal


class Commit(Request):
    """Phase 5, second half: committed records, oldest first.

    It also brings a site that has missed terms up to date; with ``more``, another page follows, and
    no model is needed yet.  It may come from any vendor: the certificates prove the commits.  With
    them comes the sender's ``evidence`` of liars.
    """

    records: History[Committed]
    more: bool = False
    evidence: Many[Evidence] = ()


class FetchRecords(Request):
    """From a server that has missed terms: send a page of records from ``first`` on."""

    first: Ordinal


class FetchModel(Request):
    """From a server that lacks the model of a committed or accepted record: send that model."""

    model: str


class TellVotes(Request):
    """From a site that may have missed something: tell your open term, vote, and run order."""


class VotesTold(Noun):
    """A site's open term, and whether the site has accepted a record in it.

    ``head`` is the hash of its last committed record; a ``forgetful`` site has lost its state.
    ``edition`` is the number of the edition that decides the open term, ``order`` that in force.
    The sites of the vendors in ``unreached`` do not answer this one.
    """

    term: Ordinal
    accepted: bool
    forgetful: bool
    edition: Ordinal = 1
    head: str = ""
    order: RunOrder | None = None
    unreached: Many[str] = ()


class OrderRun(Request):
    """Before the first term of a run: follow ``order`` (a site's policy may refuse)."""

    order: RunOrder


class ShareBest(Request):
    """After the last term: send the personalised model (a site's policy may refuse)."""


class Reply(Noun):
    """A site's reply to any request; only the fields of that phase are set.

    ``code`` is the error code of a failed request.  ``needs`` lists the hashes of models that the
    site lacks and that must be attached when the request is sent again.  ``head_term`` is the last
    term in the site's ledger, ``attempt`` the highest attempt that it has seen for the next term.
    ``grant`` is the vote that an opening asks for, and ``accepted`` the proposal that the site has
    accepted earlier.  ``signature`` is of an acceptance with the ``log``, of the survivors in
    secure aggregation, or of this answer (:mod:`strategies.protocol.signed_answers`).  Secure
    aggregation also uses ``keys`` and ``shares``.  ``privacy`` comes with an evaluation, an
    ``approval`` of a new roster with an opening's reply, ``evidence`` of liars with a vote.
    """

    vendor: str
    status: Literal["done", "needs-models", "failed", "spare"]
    code: str = ""
    needs: Many[str] = ()
    head_term: Count = 0
    attempt: Count = 0
    ballot: Ballot | None = None
    steps: Count = 0
    update: str = ""
    metrics: ByName[Metrics] = Field(default_factory=dict)
    grant: Grant | None = None
    accepted: Proposal | None = None
    signature: str = ""
    log: LogAnchor | None = None
    records: History[Committed] = ()
    votes: VotesTold | None = None
    privacy: VendorPrivacy | None = None
    keys: KeyCard | None = None
    shares: ByName[str] = Field(default_factory=dict)
    approval: Approval | None = None
    evidence: Many[Evidence] = ()


AnyNoun = TypeVar("AnyNoun", bound=Noun)


@dataclass(frozen=True)
class Answer:
    """A node's reply, its models by hash, and ``rest``: what only secure aggregation sends."""

    reply: Reply
    models: Mapping[str, Model]
    rest: RecordDict


def pack(noun: Noun, models: Iterable[Model] = ()) -> RecordDict:
    """Return the message content for ``noun`` with ``models`` attached."""
    return with_models(RecordDict({NOUN: ConfigRecord({"json": noun.model_dump_json()})}), models)


def with_models(content: RecordDict, models: Iterable[Model]) -> RecordDict:
    """Return ``content`` with ``models`` added, each as one block of bytes under its hash."""
    # Flower sends a record as one object and an array as several more, each with a request of its
    # own on every hop: a small block goes into the noun's record.  It sends a large array in parts,
    # so that a broken upload can continue: a large block becomes an array.
    noun, records = ConfigRecord(dict(content.config_records[NOUN])), {}
    for model in models:
        name = _MODELS + model.hash
        if len(model.data) <= _SMALL_BYTES:
            noun[name] = model.data
        else:
            records[name] = ArrayRecord({_BLOCK: Array(np.frombuffer(model.data, np.uint8))})
    return RecordDict({**content, NOUN: noun, **records})


def answer_in(message: Message) -> Answer | None:
    """Return the answer in a node's message, or None for an error or a malformed reply.

    A model that is damaged or has another hash than it claims is left out.
    """
    if message.has_error():
        return None
    content = message.content
    try:
        reply = noun_in(content, Reply)
    except ValueError:
        return None
    try:
        models = models_in(content)
    except ValueError:
        models = {}
    known = _blocks(content).keys() | {NOUN}
    return Answer(reply, models, RecordDict({k: v for k, v in content.items() if k not in known}))


def unpack(message: Message, kind: type[AnyNoun]) -> AnyNoun:
    """Return the noun in ``message``.

    Raises :class:`MessageRefused` if the message has no valid noun of this kind.
    """
    try:
        return noun_in(message.content, kind)
    except ValueError as error:
        raise MessageRefused(
            f"a message of type {message.metadata.message_type} without a valid {kind.__name__}",
            "a message of this version of srflm-flower",
            "install the same version at every site",
            MessageRefused.MALFORMED,
        ) from error


def noun_in(content: RecordDict, kind: type[AnyNoun]) -> AnyNoun:
    """Return the noun in a message's content; raises ValueError without a valid one of ``kind``."""
    try:
        return kind.model_validate_json(str(content.config_records[NOUN]["json"]))
    except KeyError as error:
        raise ValueError("a message without a noun") from error


def envelope_of(message: Message) -> Envelope | None:
    """Return the envelope of a request of any kind, or None without a valid envelope."""
    try:
        noun = json.loads(str(message.content.config_records[NOUN]["json"]))
        return Envelope.model_validate(noun["envelope"])
    except (KeyError, TypeError, ValueError, RecursionError):  # the last for very deep JSON
        return None


def has_models(message: Message) -> bool:
    """Return whether models are attached to ``message``."""
    return bool(_blocks(message.content))


def models_in(content: RecordDict) -> dict[str, Model]:
    """Return the models attached to ``content``, by hash.

    Raises ValueError for a model that is damaged or has another hash than it claims.
    """
    found = {}
    for key, block in _blocks(content).items():
        name = key.removeprefix(_MODELS)
        found[name] = Model.received(_bytes(block), name)
    return found


def others_in(content: RecordDict) -> set[str]:
    """Return the names of the entries in ``content`` other than noun, models, and memories."""
    noun = content.config_records.get(NOUN, ConfigRecord())
    names = (content.keys() - {NOUN}) | (noun.keys() - {"json", *PARTS})
    return {str(name) for name in names} - _blocks(content).keys()


def _blocks(content: RecordDict) -> dict[str, object]:
    """Return name → block of bytes for every model in ``content``, small or large."""
    records: Mapping[str, Mapping[str, object]] = content.config_records
    found = {**records.get(NOUN, {}), **content.array_records}
    return {name: block for name, block in found.items() if name.startswith(_MODELS)}


def _bytes(block: object) -> bytes:
    try:
        if isinstance(block, ArrayRecord):
            array = block[_BLOCK].numpy()
            # Exactly one array of bytes: the record can hold nothing besides the model.
            alone = len(block) == 1 and array.dtype == np.uint8
            block = array.tobytes() if alone else None
    except (KeyError, ValueError) as error:
        raise ValueError("a model that cannot be decoded") from error
    if not isinstance(block, bytes):
        raise ValueError("a model that is no block of bytes")
    return block


def payload_bytes(content: RecordDict) -> int:
    """Return the size of the array data and JSON in ``content``, in bytes."""
    return sum(record.count_bytes() for record in content.values())
