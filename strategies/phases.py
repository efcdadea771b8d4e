"""The phases of a term: their names, what each does, and the messages that belong to it."""

from __future__ import annotations

from typing import Final

from strategies.protocol import messages as wire
from strategies.secure_aggregation import messages as secure

PHASES: Final = {
    "open": "open the term",
    "train": "train at the clients",
    "aggregate": "aggregate securely",
    "finetune": "fine-tune at the server",
    "evaluate": "evaluate at all vendors",
    "commit": "commit the record",
}
"""Name of a phase, as in events, records, and absences → what is done in it; in their order."""

PHASE_OF: Final = {
    wire.OPEN: "open",
    wire.TRAIN: "train",
    wire.RECALL: "train",
    **dict.fromkeys(secure.KINDS, "aggregate"),
    wire.FINETUNE: "finetune",
    wire.EVALUATE: "evaluate",
    wire.ACCEPT: "commit",
    wire.COMMIT: "commit",
}
"""Type of a message → the phase to which it belongs; other messages belong to none."""


def phase_in_full(name: str) -> str:
    """Return what is done in a phase; a name that is not of a phase comes back as it is."""
    return PHASES.get(name, name)
