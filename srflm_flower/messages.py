"""The messages of a term, typed: what each phase asks for and what a site answers.

Every message is one Flower ``RecordDict``: the noun below as JSON, and the model weights that
travel with it as array records named by their hash.  README, "A term, message by message", has
the table of phases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from pydantic import Field, ValidationError

from srflm_flower.errors import MessageRefused
from srflm_flower.records import Ballot, Metrics, Noun, TermRecord

OPEN = "query.open"
TRAIN = "train.local"
RECALL = "train.recall"
FINETUNE = "train.finetune"
EVALUATE = "evaluate.models"
COMMIT = "query.commit"
SHARE = "query.personalised"

_NOUN = "noun"
_MODEL = "model:"


class Envelope(Noun):
    """Whose message this is: a site refuses all that does not fit its own view."""

    federation: str
    term: int
    attempt: int
    server: str


class OpenTerm(Noun):
    """Phase 1: the server opens a term on top of ``parent`` and its ``model``."""

    envelope: Envelope
    parent: str
    model: str


class Train(Noun):
    """Phases 2 and 3: train ``model`` on the site's own data.

    Work is given in epochs, or in gradient steps where ``steps`` is set.
    """

    envelope: Envelope
    round: int
    model: str
    learning_rate: float
    epochs: int
    steps: int | None = None


class RecallUpdate(Noun):
    """Phase 2, to the server's own node: send the last update that it made as a client.

    With ``or_initial`` a vendor that never was a client sends the initial weights.
    """

    envelope: Envelope
    round: int
    or_initial: bool


class EvaluateModels(Noun):
    """Phase 4: evaluate models (name → hash) on one of the site's splits.

    With ``select`` they are candidates for the site's personalised model, whose metrics are
    answered too, under the name ``personalised``.
    """

    envelope: Envelope
    models: dict[str, str]
    split: Literal["validation", "test"] = "validation"
    select: bool = True


class Commit(Noun):
    """Phase 5: the new term record, after those that the site has missed (oldest first)."""

    envelope: Envelope
    records: tuple[TermRecord, ...]


class ShareBest(Noun):
    """After the last term: send the personalised model (a site's policy may refuse)."""

    envelope: Envelope


class Reply(Noun):
    """What a site answers.  Only the fields of the phase are set.

    ``code`` tells why a request failed; ``needs`` lists the hashes of models that the site lacks
    and that the request must carry when it is sent again.  ``head_term`` is the last term in the
    site's ledger, ``attempt`` the highest that it has seen for the next one.
    """

    vendor: str
    status: Literal["done", "needs-models", "failed", "spare"]
    code: str = ""
    needs: tuple[str, ...] = ()
    head_term: int = 0
    attempt: int = 0
    ballot: Ballot | None = None
    steps: int = 0
    update: str = ""
    metrics: dict[str, Metrics] = Field(default_factory=dict)


AnyNoun = TypeVar("AnyNoun", bound=Noun)


def pack(noun: Noun, models: Mapping[str, ArrayRecord] | None = None) -> RecordDict:
    """Return the message content for ``noun`` and the models (hash → arrays) that go with it."""
    return with_models(
        RecordDict({_NOUN: ConfigRecord({"json": noun.model_dump_json()})}), models or {}
    )


def with_models(content: RecordDict, models: Mapping[str, ArrayRecord]) -> RecordDict:
    """Return ``content`` with ``models`` (hash → arrays) added."""
    return RecordDict({**content, **{_MODEL + name: arrays for name, arrays in models.items()}})


def unpack(message: Message, kind: type[AnyNoun]) -> AnyNoun:
    """Return the noun in ``message``.

    Raises :class:`MessageRefused` when there is none of this kind.
    """
    try:
        return kind.model_validate_json(str(message.content.config_records[_NOUN]["json"]))
    except (KeyError, ValueError, ValidationError) as error:
        raise MessageRefused(
            f"a message of type {message.metadata.message_type} without a valid {kind.__name__}",
            "a message of this version of srflm-flower",
            "install the same version at every site",
            MessageRefused.MALFORMED,
        ) from error


def models_in(message: Message) -> dict[str, ArrayRecord]:
    """Return the models (claimed hash → arrays) that came with ``message``."""
    return {
        name.removeprefix(_MODEL): arrays
        for name, arrays in message.content.array_records.items()
        if name.startswith(_MODEL)
    }


def payload_bytes(content: RecordDict) -> int:
    """Return the size of what ``content`` carries: array data and JSON, in bytes."""
    return sum(record.count_bytes() for record in content.values())
