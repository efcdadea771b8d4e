"""The server's five requests in secure aggregation, and the encoding of the masked update."""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict
from pydantic import Field

from strategies.errors import UpdateRejected
from strategies.protocol.bounds import ByName, Many, Ordinal
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
    """The fields that all five requests share: the round, start model, and session."""

    round: Ordinal
    model: str
    session: str = Field(pattern=r"^[0-9a-f]{32}$")

    @property
    def context(self) -> Context:
        """The aggregation to which the request belongs."""
        return Context(
            **self.envelope.model_dump(),
            round=self.round,
            model=self.model,
            session=self.session,
        )


class AdvertiseKeys(SecureRequest):
    """First request: send new public keys, signed."""


class ShareSecrets(SecureRequest):
    """Second request: split your secrets among the clients with these keys."""

    keys: Many[KeyCard]


class SendMasked(SecureRequest):
    """Third request: take these shares for you (by sender, sealed) and send your masked update."""

    shares: ByName[str]


class ConfirmSurvivors(SecureRequest):
    """Fourth request: sign that these clients have sent their masked updates."""

    survivors: Many[str]


class Unmask(SecureRequest):
    """Fifth request: send the shares that unmask the sum.

    ``confirmations`` has the survivors' signatures of the fourth request, by vendor.
    """

    confirmations: ByName[str]


def with_masked(content: RecordDict, masked: Residues) -> RecordDict:
    """Return ``content`` with a masked update added, as one block of little-endian integers."""
    block = ArrayRecord({MASKED_UPDATE: Array(masked.astype("<u4", copy=False).view(np.uint8))})
    return RecordDict({**content, MASKED_UPDATE: block})


def is_masked(content: RecordDict, weights: Weights) -> bool:
    """Return whether the masked update in ``content`` has exactly one integer for every weight."""
    record = content.array_records.get(MASKED_UPDATE, ArrayRecord())
    # Exactly one array: the record can hold nothing besides the masked update.
    if list(record) != [MASKED_UPDATE]:
        return False
    block = record[MASKED_UPDATE].numpy()
    return block.dtype == np.uint8 and block.size == 4 * sum(w.size for w in weights.values())


def masked_in(content: RecordDict, size: int) -> Residues:
    """Return the masked update in ``content``, one integer for each of ``size`` weights.

    Raises :class:`UpdateRejected` if it is missing or has another size or type.
    """
    try:
        block = content.array_records[MASKED_UPDATE][MASKED_UPDATE].numpy()
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
