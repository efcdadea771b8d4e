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
    """How the next provisional server is elected (SRFLM, step 5)."""

    policy: Literal["cycle", "score", "round-robin", "random", "fixed"] = Field(
        default="cycle",
        description="Who serves next: the highest score among those that have not served in this"
        ' cycle ("cycle"), the highest score of all ("score", the paper\'s demo), by turn, at'
        " random, or always the same vendor.",
    )
    loss_weight: float = Field(
        default=0.5,
        ge=0,
        description="Weight λ of the loss share I_v in the score g_v = d_v + λ·I_v.",
    )
    by_turn_rounds: int = Field(
        default=5,
        ge=0,
        description="Number K of first rounds in which vendors serve in the order of the roster.",
    )
    server: str | None = Field(
        default=None,
        validate_default=True,
        description='Vendor that always serves; only with policy "fixed".',
    )

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
    """How the server averages the vendors' models (SRFLM, step 2)."""

    rule: Literal["mean", "weighted-mean", "trimmed-mean", "krum"] = Field(
        default="mean",
        description="Rule that makes one model of the clients' models: the plain mean, the mean"
        " weighted by training examples, the mean without the extremes, or the model that is"
        " closest to its neighbours.",
    )
    fine_tuned: Literal["replaces", "joins"] = Field(
        default="joins",
        description='Whether the model that the server has fine-tuned "replaces" the average, as in'
        ' the paper, or the step of its fine-tuning "joins" those of the clients as one more.',
    )
    include_stale_server: Literal["never", "once-trained", "always"] = Field(
        default="once-trained",
        description="Whether the server's own model from the last round in which it was a client"
        ' counts in the mean; "always", as in the paper\'s demo, takes the initial weights when it'
        ' never was a client.  No effect where fine-tuned = "joins".',
    )
    trim: float = Field(
        default=0.2,
        ge=0,
        lt=0.5,
        description='Fraction of the values that rule "trimmed-mean" cuts off at each end.',
    )
    faulty: int = Field(
        default=1, ge=0, description='Number of faulty vendors that rule "krum" tolerates.'
    )
    min_clients: int = Field(
        default=1, ge=1, description="Fewest usable client updates with which a term goes on."
    )
    secure: bool = Field(
        default=False,
        description="Whether the server learns only the sum of the clients' updates and no single"
        ' one; needs rule "mean", evaluate-averaged = false and four vendors or more.',
    )
    secure_range: float = Field(
        default=64.0,
        gt=0,
        description="Largest change of one weight in a round that secure aggregation can carry; a"
        " larger change fails the client's update, and a larger range rounds more coarsely.",
    )
    normalisation: Literal["averaged", "at-home"] = Field(
        default="averaged",
        description="Whether the weights and statistics of normalisation layers are averaged like"
        ' all others, or stay at their site ("at-home", FedBN), where images differ by camera.',
    )
    moving_average: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Decay β of the moving average of the committed models, which is released as"
        " the global model and tried as every vendor's personalised one; 0 keeps no average.",
    )
    guard: float | None = Field(
        default=None,
        ge=0,
        description="By how much a term's model may be worse than the mean of the two models"
        " committed before it, in task.metric on a vendor's own validation data, before this"
        " vendor's site refuses the term; left out, no site refuses any.",
    )

    @property
    def recalls_server(self) -> bool:
        """Whether the server's own last model as a client counts in the mean."""
        return self.fine_tuned == "replaces" and self.include_stale_server != "never"
