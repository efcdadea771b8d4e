"""Settings of the algorithms, as they stand in ``federation.toml``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Role = Literal["client", "server"]
"""What a vendor is in a round: one of those that train, or the one that serves and fine-tunes."""


def kebab(name: str) -> str:
    """Spell a field as TOML users do: ``client_epochs`` → ``client-epochs``."""
    return name.replace("_", "-")


class Settings(BaseModel):
    """A table of a configuration file: frozen, kebab-case keys, unknown keys refused.

    Values are strict (``"3"`` and ``true`` are no numbers; ``3`` is one where 3.0 is).  A validator
    raises ``ValueError("expected …; how to mend it")``.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=kebab,
        populate_by_name=True,
        allow_inf_nan=False,
    )


class ElectionSettings(Settings):
    """How the next provisional server is chosen (README.md, step 5).

    ``loss_weight`` is the paper's λ.  For the first ``by_turn_rounds`` rounds (the paper's K)
    vendors serve in the order of the roster.  ``server`` names the server of policy ``fixed``.
    """

    policy: Literal["cycle", "score", "round-robin", "random", "fixed"] = "cycle"
    loss_weight: float = Field(default=0.5, ge=0)
    by_turn_rounds: int = Field(default=5, ge=0)
    server: str | None = Field(default=None, validate_default=True)

    @field_validator("server")
    @classmethod
    def _server_goes_with_fixed(cls, server: str | None, info: ValidationInfo) -> str | None:
        policy = info.data.get("policy")
        if policy == "fixed" and server is None:
            raise ValueError('expected a vendor\'s name, as policy is "fixed"; add server = "…"')
        if policy not in ("fixed", None) and server is not None:
            raise ValueError(
                'expected it with policy = "fixed" only; remove it, or set this policy'
            )
        return server


class AggregationSettings(Settings):
    """How the server averages (README.md, step 2).

    ``include_stale_server``: whether the mean has the server's own weights from the last round in
    which it was a client: ``never``; ``once-trained`` (only if it ever was one); ``always`` (as the
    paper's demo: the initial weights when it never was one).  ``trim`` is the fraction cut off each
    tail by ``trimmed-mean``; ``faulty`` the number of faulty vendors that ``krum`` tolerates.
    With ``secure`` the server learns only the clients' sum (rule ``mean``), rounded to multiples of
    ``secure_range`` · 2^-27 (10 vendors); no weight may change by more than this range in a round.
    ``moving_average`` is the decay β of the moving average of the committed models, which every
    vendor tries as its personalised model, and which is released as the global one; 0: there is
    none.
    """

    rule: Literal["mean", "weighted-mean", "trimmed-mean", "krum"] = "mean"
    include_stale_server: Literal["never", "once-trained", "always"] = "once-trained"
    trim: float = Field(default=0.2, ge=0, lt=0.5)
    faulty: int = Field(default=1, ge=0)
    min_clients: int = Field(default=1, ge=1)
    secure: bool = False
    secure_range: float = Field(default=64.0, gt=0)
    moving_average: float = Field(default=0.0, ge=0, lt=1)
