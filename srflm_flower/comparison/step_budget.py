"""The gradient steps of an SRFLM run, which are the budget of every other method."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from strategies.protocol.records import TermRecord
from strategies.settings import Role
from strategies.term.plan import StepPlan


class StepBudget(BaseModel):
    """The gradient steps of a run: ``rounds[r − 1][vendor]`` are those of round r, in any role."""

    model_config = ConfigDict(frozen=True)

    rounds: tuple[dict[str, int], ...]

    def steps(self, vendor: str, round_number: int) -> int:
        """Return a vendor's steps in a round (0 if it was absent)."""
        return self.rounds[round_number - 1].get(vendor, 0)

    def through(self, vendor: str, round_number: int) -> int:
        """Return a vendor's steps in all rounds through this one."""
        return sum(each.get(vendor, 0) for each in self.rounds[:round_number])

    def in_round(self, round_number: int) -> int:
        """Return all vendors' steps in a round."""
        return sum(self.rounds[round_number - 1].values())

    @property
    def total(self) -> int:
        """All gradient steps of the run."""
        return sum(sum(each.values()) for each in self.rounds)

    def for_other_servers(self, client_steps: dict[str, int]) -> StepPlan:
        """Return the plan in which every round costs the same, whoever serves.

        Each client takes its ``client_steps``; the server takes the rest of the round's steps, and
        at least one.
        """

        def plan(vendor: str, round_number: int, role: Role) -> int:
            if role == "client":
                return client_steps[vendor]
            others = sum(steps for name, steps in client_steps.items() if name != vendor)
            return max(1, self.in_round(round_number) - others)

        return plan


def budget_of(records: Sequence[TermRecord]) -> StepBudget:
    """Return the vendors' steps in each round; the rounds of a term share its steps equally."""
    rounds: list[dict[str, int]] = []
    for record in records:
        count = record.round - len(rounds)  # the number of rounds in this term
        rounds += [{v: steps // count for v, steps in record.steps.items()}] * count
    return StepBudget(rounds=tuple(rounds))
