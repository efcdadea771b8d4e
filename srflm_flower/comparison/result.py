"""The result of one method on one seed."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

Method = Literal[
    "srflm",
    "srflm-paper",
    "srflm-finetuned",
    "fedavg",
    "fedavg-finetuned",
    "fedprox",
    "fedbn",
    "ditto",
    "fedrep",
    "scaffold",
    "cyclic",
    "round-robin",
    "fixed-server",
    "local",
    "pooled",
]
METHODS: tuple[Method, ...] = get_args(Method)
"""All methods in the usual order of a table."""


class MethodResult(BaseModel):
    """One method on one seed: test metrics, and what the run took.

    ``personalised`` and ``global_own`` map each vendor to the metric of its personalised or of the
    global model on its own test split.  ``global_all`` is the global model's metric on all test
    splits together.  The global values are ``None`` for a method without a global model.
    ``epsilon`` is the largest ε in the vendors' ledgers, or ``None`` without privacy.

    ``steps`` are gradient steps, ``bytes_sent`` the payload of all messages between sites, and
    ``seconds`` the wall time from the first message to the last model.

    ``left_out`` is the vendor without which the federation was trained, if any; ``held_out`` is
    the metric of the global model on that vendor's test split, where it is defined.

    ``success`` is that of an attack, where it is known, and ``stopped`` the code of the error that
    ended an attacked run early, or "".
    """

    model_config = ConfigDict(frozen=True)

    method: Method
    seed: int
    steps: int
    personalised: dict[str, float]
    global_own: dict[str, float] | None
    global_all: float | None
    epsilon: float | None = None
    bytes_sent: int = 0
    seconds: float = 0.0
    left_out: str | None = None
    held_out: float | None = None
    success: float | None = None
    stopped: str = ""
