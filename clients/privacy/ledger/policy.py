"""A site's own privacy policy, which no federation and no server can override."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, Strict

from clients.privacy.accounting.mechanism import Mechanism
from clients.privacy.settings import PrivacySettings, Unit
from strategies.settings import Role, Settings

LedgerPath = Annotated[Path, Strict(False)]
ROLES: tuple[Role, ...] = ("client", "server")


class PrivacyPolicy(Settings):
    """This site's own limits for the privacy of its records, which no federation overrides."""

    ledger: LedgerPath | None = Field(
        default=None,
        description="File of the data owner's privacy ledger, outside of the state folder; the"
        " sites of one owner share it; left out, srflm/privacy/privacy.sqlite in the user's folder"
        " for state, $XDG_STATE_HOME or ~/.local/state.",
    )

    required: bool = Field(
        default=False,
        description="Whether this site trains with differential privacy or not at all.",
    )
    max_epsilon: float | None = Field(
        default=None,
        gt=0,
        description="Most ε that may be spent on a record according to this site's privacy ledger;"
        " left out, the federation's epsilon.",
    )
    delta: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Largest δ at which this site counts its ε; left out, the federation's delta.",
    )
    min_noise: float = Field(
        default=0.0,
        ge=0,
        description="Least noise multiplier of a private training step that this site takes.",
    )
    roles: Annotated[tuple[Role, ...], Strict(False)] = Field(
        default=ROLES, description="Roles for which this site's records may be used."
    )


@dataclass(frozen=True)
class Budget:
    """The most ε at ``delta`` for each ``unit``.

    ``server_uses`` is the most rounds of one federation in which this site fine-tunes as server.
    """

    epsilon: float
    delta: float
    server_uses: int | None = None
    unit: Unit = "record"


@dataclass(frozen=True)
class Request:
    """A request to train in ``role`` on a site's records; ``mechanism`` None means no privacy."""

    role: Role
    mechanism: Mechanism | None


@dataclass(frozen=True)
class Violation:
    """A reason to refuse a request; it appears in the site's own log only."""

    found: str
    expected: str
    mend: str


def check(request: Request, policy: PrivacyPolicy) -> tuple[Violation, ...]:
    """Return the violations of the policy; the budget is not checked here."""
    violations = []
    if request.role not in policy.roles:
        violations.append(
            Violation(
                f"the role of {request.role}",
                f"one of {', '.join(policy.roles) or 'none'}, which this site allows",
                "leave it to the other vendors, or change privacy.roles in site.toml",
            )
        )
    if request.mechanism is None:
        if policy.required:
            violations.append(
                Violation(
                    "training without differential privacy",
                    "training with it, which this site requires",
                    "set privacy.unit in federation.toml, or change privacy.required in site.toml",
                )
            )
    elif request.mechanism.noise_multiplier < policy.min_noise:
        violations.append(
            Violation(
                f"a noise multiplier of {request.mechanism.noise_multiplier:g}",
                f"at least {policy.min_noise:g}, which this site requires",
                "plan the federation with more noise, or change privacy.min-noise in site.toml",
            )
        )
    return tuple(violations)


def budget(settings: PrivacySettings, policy: PrivacyPolicy, rounds_per_term: int = 1) -> Budget:
    """Return the smaller of the federation's plan and the site's limit, for ε and for δ."""
    terms = settings.server_terms
    return Budget(
        min(settings.epsilon, policy.max_epsilon or settings.epsilon),
        min(settings.delta, policy.delta or settings.delta),
        None if terms is None else terms * rounds_per_term,
        "patient" if settings.unit == "patient" else "record",
    )
