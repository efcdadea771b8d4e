"""Settings of the algorithms, as they stand in ``federation.toml``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


def kebab(name: str) -> str:
    """Spell a field as TOML users do: ``client_epochs`` → ``client-epochs``."""
    return name.replace("_", "-")


class Settings(BaseModel):
    """A table of a configuration file: frozen, kebab-case keys, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=kebab,
        populate_by_name=True,
        allow_inf_nan=False,
    )


class ElectionSettings(Settings):
    """How the next provisional server is chosen (SRFLM.md, step 5).

    ``loss_weight`` is the paper's λ.  For the first ``by_turn_rounds`` rounds (the paper's K)
    vendors serve in the order of the roster.  ``server`` names the server of policy ``fixed``.
    """

    policy: Literal["cycle", "score", "round-robin", "random", "fixed"] = "cycle"
    loss_weight: float = Field(default=0.5, ge=0)
    by_turn_rounds: int = Field(default=5, ge=0)
    server: str | None = None

    @model_validator(mode="after")
    def _server_goes_with_fixed(self) -> ElectionSettings:
        if (self.policy == "fixed") != (self.server is not None):
            raise ValueError('`server` names the vendor of policy "fixed", and only of that')
        return self


class AggregationSettings(Settings):
    """How the server averages (SRFLM.md, step 2).

    ``include_stale_server``: whether the mean has the server's own weights from the last round in
    which it was a client: ``never``; ``once-trained`` (only if it ever was one); ``always`` (as the
    paper's demo: the initial weights when it never was one).  ``trim`` is the fraction cut off each
    tail by ``trimmed-mean``; ``faulty`` the number of faulty vendors that ``krum`` tolerates.
    """

    rule: Literal["mean", "weighted-mean", "trimmed-mean", "krum"] = "mean"
    include_stale_server: Literal["never", "once-trained", "always"] = "once-trained"
    trim: float = Field(default=0.2, ge=0, lt=0.5)
    faulty: int = Field(default=1, ge=0)
    min_clients: int = Field(default=1, ge=1)
