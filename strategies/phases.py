"""The phases of a term: their names, their descriptions, and the message types of each."""

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
"""Name of a phase, as in events, records, and absences → its description; in order."""

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
"""Type of a message → its phase; messages of other types are outside the phases."""


def phase_in_full(name: str) -> str:
    """Return the description of a phase, or ``name`` itself if it is not a phase."""
    return PHASES.get(name, name)
