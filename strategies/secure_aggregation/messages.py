"""The server's five questions, as messages; the masked update travels as one block of integers."""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict
from pydantic import Field

from strategies.errors import UpdateRejected
from strategies.protocol.messages import Request
from strategies.protocol.secure_nouns import Context, KeyCard
from strategies.secure_aggregation.quantising import Residues
from strategies.weights import Weights

KEYS = "query.keys"
SHARES = "query.shares"
MASKED = "query.masked"
CONFIRM = "query.confirm"
UNMASK = "query.unmask"
KINDS = (KEYS, SHARES, MASKED, CONFIRM, UNMASK)

MASKED_UPDATE = "masked"
"""The name of the masked update in a message's content."""


class SecureRequest(Request):
    """What every question has: which update is meant, and the server's session."""

    round: int = Field(ge=1)
    model: str
    session: str = Field(pattern=r"^[0-9a-f]{32}$")

    @property
    def context(self) -> Context:
        """The aggregation that it belongs to."""
        return Context(
            **self.envelope.model_dump(),
            round=self.round,
            model=self.model,
            session=self.session,
        )


class AdvertiseKeys(SecureRequest):
    """Send new public keys, signed."""


class ShareSecrets(SecureRequest):
    """Here are the keys of all that take part: split your secrets among them."""

    keys: tuple[KeyCard, ...]


class SendMasked(SecureRequest):
    """Here are the others' shares for you (by sender, sealed): send your masked update."""

    shares: dict[str, str]


class ConfirmSurvivors(SecureRequest):
    """These have sent their masked updates: sign that."""

    survivors: tuple[str, ...]


class Unmask(SecureRequest):
    """These signatures (by vendor) confirm the survivors: send the shares that unmask the sum."""

    confirmations: dict[str, str]


def with_masked(content: RecordDict, masked: Residues) -> RecordDict:
    """Return ``content`` with a masked update added."""
    block = ArrayRecord({MASKED_UPDATE: Array(masked.astype("<u4", copy=False).view(np.uint8))})
    return RecordDict({**content, MASKED_UPDATE: block})


def is_masked(content: RecordDict, weights: Weights) -> bool:
    """Return whether the masked update in ``content`` is one integer for every weight."""
    record = content.array_records.get(MASKED_UPDATE, ArrayRecord())
    if list(record) != [MASKED_UPDATE]:
        return False
    block = record[MASKED_UPDATE].numpy()
    return block.dtype == np.uint8 and block.size == 4 * sum(w.size for w in weights.values())


def masked_in(message: Message, size: int) -> Residues:
    """Return the masked update of ``size`` weights that came with ``message``.

    Raises :class:`UpdateRejected` when there is none of this size.
    """
    try:
        block = message.content.array_records[MASKED_UPDATE][MASKED_UPDATE].numpy()
        masked = np.frombuffer(block.tobytes(), "<u4").astype(np.uint32, copy=False)
    except (KeyError, ValueError) as error:
        raise _unusable() from error
    if block.dtype != np.uint8 or masked.shape != (size,):
        raise _unusable()
    return masked


def _unusable() -> UpdateRejected:
    return UpdateRejected(
        "a reply whose masked update is missing or has another size",
        "one integer for every weight",
        "give every site the same [model] table and version of srflm-flower",
    )
