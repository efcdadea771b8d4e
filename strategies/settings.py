"""Settings of the algorithms, as they stand in ``federation.toml``."""

from __future__ import annotations

import math
from typing import Any, Literal

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


def is_plain(value: object) -> bool:
    """Return whether a value of a file is a number, a text, true or false, or an array of these."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return isinstance(value, bool | int | str) or (
        isinstance(value, float) and math.isfinite(value)
    )


class EntrySettings(Settings):
    """Code of another distribution, by entry point; ``srflm config entry`` prints this table."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$",
        description="Name of the entry point in its group: srflm.networks, srflm.tasks,"
        " srflm.aggregations, or srflm.elections.",
    )
    distribution: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$",
        description="Name of the distribution, as pip installs it.",
    )
    version: str = Field(min_length=1, description="Its version; a site refuses every other.")
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 (hexadecimal) of its installed files; a site refuses every other.",
    )
    options: dict[str, Any] = Field(
        default={},
        description="Arguments for a task, an aggregation, or an election, under the names that it"
        " gives them; a network has model.arguments.",
    )

    @field_validator("options")
    @classmethod
    def _plain_options(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name, value in options.items():
            if not is_plain(value):
                raise ValueError(
                    f"expected numbers, texts, true or false, and arrays of these; correct {name!r}"
                )
        return options


def check_entry(entry: EntrySettings | None, chosen: object, setting: str) -> EntrySettings | None:
    """Return ``entry``; raises ``ValueError`` unless it stands with ``setting = "entry"``."""
    if chosen == "entry" and entry is None:
        raise ValueError(f'expected this table, as {setting} is "entry"; add it')
    if chosen not in ("entry", None) and entry is not None:
        raise ValueError(f'expected it with {setting} = "entry" only; remove it, or set this')
    return entry


ENTRY: Any = Field(
    default=None,
    validate_default=True,
    description="The code of another distribution that is used; left out without it.",
)


class ElectionSettings(Settings):
    """How the next provisional server is elected (SRFLM, step 5)."""

    policy: Literal["cycle", "score", "round-robin", "random", "fixed", "entry"] = Field(
        default="cycle",
        description="Who serves next: the highest score among those that have not served in this"
        ' cycle ("cycle"), the highest score of all ("score", the paper\'s demo), by turn, at'
        ' random, always the same vendor, or whom [election.entry] says ("entry").',
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
    entry: EntrySettings | None = ENTRY

    @field_validator("entry")
    @classmethod
    def _entry_goes_with_policy(
        cls, entry: EntrySettings | None, info: ValidationInfo
    ) -> EntrySettings | None:
        return check_entry(entry, info.data.get("policy"), "policy")

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

    rule: Literal["mean", "weighted-mean", "trimmed-mean", "krum", "entry"] = Field(
        default="mean",
        description="Rule that makes one model of the clients' models: the plain mean, the mean"
        " weighted by training examples, the mean without the extremes, the model that is"
        ' closest to its neighbours, or what [aggregation.entry] makes of them ("entry").',
    )
    fine_tuned: Literal["replaces", "joins"] = Field(
        default="joins",
        description='Whether the model that the server has fine-tuned "replaces" the average, as in'
        ' the paper, or "joins" the clients\' models in their average as one more, which counts'
        " the less, the longer it trains than they.",
    )
    include_stale_server: Literal["never", "once-trained", "always"] = Field(
        default="once-trained",
        description="Whether the server's own model from the last round in which it was a client"
        ' counts in the mean, where fine-tuned = "replaces"; "always", as in the paper\'s demo,'
        " takes the initial weights when it never was a client.",
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
    entry: EntrySettings | None = ENTRY

    @field_validator("entry")
    @classmethod
    def _entry_goes_with_rule(
        cls, entry: EntrySettings | None, info: ValidationInfo
    ) -> EntrySettings | None:
        return check_entry(entry, info.data.get("rule"), "rule")

    @property
    def recalls_server(self) -> bool:
        """Whether the server's own last model as a client counts in the mean."""
        return self.fine_tuned == "replaces" and self.include_stale_server != "never"
